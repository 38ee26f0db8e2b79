"""A PlatformIO platform whose toolchain is the system's."""

from platformio.public import PlatformBase


class System_gccPlatform(PlatformBase):
    """The base class unchanged: there is no package to install."""
