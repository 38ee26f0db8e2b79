"""PlatformIO's build_flags go to C and C++ alike; this adds what only one of them takes."""

Import("env")  # noqa: F821  (SCons puts the name here)

env.Append(  # noqa: F821
    CFLAGS=["-std=c11"],
    CXXFLAGS=["-std=c++17", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"],
)
