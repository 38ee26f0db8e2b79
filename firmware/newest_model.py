"""Firmware that is built from an editor takes the model that flash.py made last for its kernels.

host_tools/ name the model's folder in SWIN2MCU_MODEL_DIR; nobody else does.
"""

import os
import sys
from pathlib import Path

Import("env")  # noqa: F821  (SCons puts the name here)

if "SWIN2MCU_MODEL_DIR" not in os.environ:
    core = env.GetProjectOption("custom_core", "portable")  # noqa: F821
    models = Path(env.subst("$PROJECT_DIR")).parent / "build" / "models"  # noqa: F821
    made = [path.parent for path in models.glob(f"*-{core}/model.c")]
    if not made:
        board = env.subst("$PIOENV")  # noqa: F821
        command = f"python host_tools/flash.py --board {board}"
        sys.stderr.write(f"error: there is no model to build: make one with `{command}`\n")
        env.Exit(1)  # noqa: F821
    newest = max(made, key=lambda folder: (folder / "model.c").stat().st_mtime_ns)
    os.environ["SWIN2MCU_MODEL_DIR"] = str(newest)
