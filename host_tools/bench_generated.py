"""The ahead-of-time C of a model on the PC: compiled to a library, called in process."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from host_tools.bench_runner import Runner
from host_tools.inputs import ROOT, Model
from tinyml.aot.__main__ import main as generate
from tinyml.cli import UserError
from tinyml.pixels import to_int8

LIBRARIES = ROOT / "firmware" / "lib"
# What is missing is the linker's to say, in one line, not the loader's at run time.
FLAGS = ("-O2", "-std=c11", "-fPIC", "-shared", "-Wl,-z,defs")


def build_library(model: Model, work: Path) -> Path:
    """Generate C for the portable kernels and compile it. Raises UserError without a compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise UserError("no C compiler: install gcc to measure the generated C")
    folder = work / f"aot-{model.sha256[:16]}"
    arguments = [str(model.int8), "--out", str(folder), "--core", "portable"]
    if generate(arguments):
        raise UserError(f"{model.int8} cannot be turned into C")
    library = folder / "model.so"
    kernels = [*(LIBRARIES / "kernels").glob("*.c"), *(LIBRARIES / "kernels/portable").glob("*.c")]
    command = [
        *(compiler, *FLAGS, f"-I{LIBRARIES / 'engine'}", f"-I{LIBRARIES / 'kernels'}"),
        *(str(path) for path in (folder / "model.c", *kernels)),
        *("-o", str(library)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"the generated C does not build: {done.stderr.strip().splitlines()[-1]}")
    return library


def load_generated_c(model: Model, work: Path) -> Runner:
    library = ctypes.CDLL(str(build_library(model, work).resolve()))
    library.model_input.restype = ctypes.c_void_p
    library.model_output.restype = ctypes.c_void_p
    model_run = library.model_run
    model_run.restype = None
    size, classes = model.size * model.size * 3, len(model.card.classes)
    target = library.model_input()
    logits = np.ctypeslib.as_array(
        ctypes.cast(library.model_output(), ctypes.POINTER(ctypes.c_int8)), (classes,)
    )

    def run(values: npt.NDArray[np.int8]) -> npt.NDArray[Any]:
        ctypes.memmove(target, values.ctypes.data, size)  # running overwrites the input
        model_run()
        return logits.copy()

    return Runner(lambda pixels: np.ascontiguousarray(to_int8(pixels)), run)
