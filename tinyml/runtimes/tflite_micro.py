"""TensorFlow Lite Micro's interpreter from PyPI: what boards are measured against."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from swin2mcu.common.cli import UserError

Int8s = npt.NDArray[np.int8]


class Micro:
    """An int8 .tflite in TFLite Micro's interpreter: what boards are measured against."""

    def __init__(self, model: bytes) -> None:
        from tflite_micro.python.tflite_micro import runtime

        self._interpreter = runtime.Interpreter.from_bytes(model)

    def run(self, image: Int8s) -> Int8s:
        """Logits (classes,) of one image (height, width, 3)."""
        self._interpreter.set_input(image[None], 0)
        self._interpreter.invoke()
        logits: Int8s = self._interpreter.get_output(0)[0]
        return logits


ARENA_SCRIPT = """
import sys
from tflite_micro.python.tflite_micro import runtime
interpreter = runtime.Interpreter.from_file(sys.argv[1])
interpreter.print_allocations()
"""


def arena_bytes(model: Path) -> int:
    """The arena that TFLite Micro's interpreter uses for a model, as it counts itself.

    It tells by writing to stderr from C++, hence the process of its own.
    """
    done = subprocess.run(
        [sys.executable, "-c", ARENA_SCRIPT, str(model)], capture_output=True, text=True
    )
    found = re.search(r"Arena allocation total (\d+) bytes", done.stdout + done.stderr)
    if done.returncode or not found:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"TFLite Micro does not run {model}: {last}")
    return int(found[1])
