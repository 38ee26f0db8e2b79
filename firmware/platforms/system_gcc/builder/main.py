"""Builds one environment of platformio.ini with the compiler that its `custom_compiler` names."""

import os
from pathlib import Path

from SCons.Script import AlwaysBuild, Default, DefaultEnvironment

env = DefaultEnvironment()
prefix = env.GetProjectOption("custom_compiler").removesuffix("gcc")
env.Replace(
    AR=f"{prefix}ar",
    AS=f"{prefix}gcc",
    CC=f"{prefix}gcc",
    CXX=f"{prefix}g++",
    LINK=f"{prefix}gcc",  # nothing of the C++ library is used, and not every compiler has one
    RANLIB=f"{prefix}ranlib",
    SIZETOOL=f"{prefix}size",
    PROGSUFFIX=".elf",
)
core_flags = env.GetProjectOption("custom_core_flags", "").split()
link_flags = env.GetProjectOption("custom_link_flags", "").split()
env.Append(CCFLAGS=core_flags, LINKFLAGS=core_flags + link_flags)

# The model is generated, so its folder is not in the source tree.
model = Path(os.environ["SWIN2MCU_MODEL_DIR"]) if "SWIN2MCU_MODEL_DIR" in os.environ else None
if model is not None:
    env.Append(PIOBUILDFILES=env.CollectBuildFiles("$BUILD_DIR/model", str(model)))
    env.Append(CPPPATH=[str(model)])

program = env.BuildProgram()
# SCons finds what sources include, not what options name: another linker script or header that
# every file gets by -include must lead to another build too.
project = Path(env.subst("$PROJECT_DIR"))
folders = [project / flag.removeprefix("-L") for flag in link_flags if flag.startswith("-L")]
env.Depends(program, sorted(str(path) for folder in folders for path in folder.glob("*.ld")))
flags = " ".join(env.GetProjectOption("build_flags")).split()
headers = [str(project / flags[i + 1]) for i, flag in enumerate(flags) if flag == "-include"]
env.Depends(env["PIOBUILDFILES"], headers)
AlwaysBuild(env.Alias("size", program, env.VerboseAction("$SIZETOOL $SOURCES", "Size")))
Default([program])
