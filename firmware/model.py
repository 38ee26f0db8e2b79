"""For platforms other than system_gcc: compiles the generated model with the firmware."""

import os

Import("env")  # noqa: F821  (SCons puts the name here)

if "SWIN2MCU_MODEL_DIR" in os.environ:
    folder = os.environ["SWIN2MCU_MODEL_DIR"]
    env.Append(CPPPATH=[folder])  # noqa: F821
    env.BuildSources("$BUILD_DIR/model", folder)  # noqa: F821
