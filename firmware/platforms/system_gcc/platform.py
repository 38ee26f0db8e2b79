"""A PlatformIO platform whose toolchain is the system's."""

from platformio.public import PlatformBase


class System_gccPlatform(PlatformBase):
    """Nothing differs from the base class: there is no package to install."""
