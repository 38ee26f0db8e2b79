"""TensorFlow Lite Micro's interpreter from PyPI, the reference for boards.

Its wheel exists only for Linux on x86-64; runtimes/reference.py chooses another one elsewhere.
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
from tinyml.format.tflite import Graph, parse

Int8s = npt.NDArray[np.int8]

# Of so many, if they are about equal, its SOFTMAX shifts by more than 31 bits and ends the process.
SOFTMAX_TOO_LARGE = 512
SMALLEST_ARENA, LARGEST_ARENA = 1 << 20, 1 << 29


def is_installed() -> bool:
    return importlib.util.find_spec("tflite_micro") is not None


def may_abort(graph: Graph) -> bool:
    """Whether an image may end the process that runs it."""
    return any(
        operator.op == "SOFTMAX"
        and graph.tensors[operator.inputs[0]].shape[-1:] >= (SOFTMAX_TOO_LARGE,)
        for operator in graph.operators
    )


def open_interpreter(model: bytes) -> tuple[Any, int]:
    """An interpreter and the size of its arena, found by doubling.

    The package's default is ten times the file's size, which is too little for small files with
    large images. Raises UserError for bytes that are not a model, and if no arena is large enough,
    because an operator refuses the model.
    """
    from tflite_micro.python.tflite_micro import runtime

    try:
        parse(model)  # the package's own reader raises various errors of Python's struct module
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
    """An 8-bit .tflite in the interpreter. uint8 inputs and outputs become int8, minus 128.

    Raises UserError as open_interpreter does, and for a model that may end this process.
    """

    def __init__(self, model: bytes) -> None:
        graph = parse(model)
        if may_abort(graph):
            raise UserError(
                "TensorFlow Lite Micro ends the process for some images where a SOFTMAX has "
                f"{SOFTMAX_TOO_LARGE} classes or more"
            )
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
    """The arena that the interpreter uses for a model, by its own count; None if not installed.

    The interpreter prints it to stderr from C++, so it runs in a separate process.
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
