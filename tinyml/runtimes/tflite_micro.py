"""TensorFlow Lite Micro's interpreter from PyPI: what boards are measured against.

Its wheel exists for Linux on x86-64 alone; runtimes/reference.py says what stands in elsewhere.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from swin2mcu.common.cli import UserError
from tinyml.format.flatbuffer import MalformedError
from tinyml.format.tflite import parse

Int8s = npt.NDArray[np.int8]

SMALLEST_ARENA, LARGEST_ARENA = 1 << 20, 1 << 29


def is_installed() -> bool:
    return importlib.util.find_spec("tflite_micro") is not None


def open_interpreter(model: bytes) -> tuple[Any, int]:
    """An interpreter and its arena's size, found by doubling.

    The package guesses ten times the file, which is too little for small files with large images.
    Raises UserError for bytes that are no model and where no arena helps: an operator refuses it.
    """
    from tflite_micro.python.tflite_micro import runtime

    try:
        parse(model)  # the package's own reader raises whatever Python's struct raises
    except MalformedError as error:
        raise UserError(f"TensorFlow Lite Micro refuses this model: {error}") from error
    size = max(SMALLEST_ARENA, 10 * len(model))
    while True:
        try:
            return runtime.Interpreter.from_bytes(model, arena_size=size), size
        except (ValueError, RuntimeError) as error:
            size *= 2
            if size > LARGEST_ARENA:
                raise UserError(f"TensorFlow Lite Micro refuses this model: {error}") from error


class Micro:
    """An 8-bit .tflite in the interpreter. uint8 ends are taken and given as int8: 128 less."""

    def __init__(self, model: bytes) -> None:
        graph = parse(model)
        self._interpreter = open_interpreter(model)[0]
        self._unsigned = [
            graph.tensors[i].dtype == "uint8" for i in (*graph.inputs, *graph.outputs)
        ]

    def run(self, image: Int8s) -> Int8s:
        """Logits (classes,) of one image (height, width, channels)."""
        fed: npt.NDArray[Any] = image[None]
        if self._unsigned[0]:
            fed = fed.view(np.uint8) ^ np.uint8(0x80)
        self._interpreter.set_input(fed, 0)
        self._interpreter.invoke()
        logits: npt.NDArray[Any] = self._interpreter.get_output(0).ravel()
        if self._unsigned[-1]:
            logits = (logits ^ np.uint8(0x80)).view(np.int8)
        return logits


ARENA_SCRIPT = """
import sys
from tflite_micro.python.tflite_micro import runtime
interpreter = runtime.Interpreter.from_file(sys.argv[1], arena_size=int(sys.argv[2]))
interpreter.print_allocations()
"""


def arena_bytes(model: Path) -> int | None:
    """The arena that the interpreter uses for a model, as it counts itself; None without it.

    It tells by writing to stderr from C++, hence the process of its own.
    """
    if not is_installed():
        return None
    size = open_interpreter(model.read_bytes())[1]
    done = subprocess.run(
        [sys.executable, "-c", ARENA_SCRIPT, str(model), str(size)], capture_output=True, text=True
    )
    found = re.search(r"Arena allocation total (\d+) bytes", done.stdout + done.stderr)
    if done.returncode or not found:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"TFLite Micro does not run {model}: {last}")
    return int(found[1])
