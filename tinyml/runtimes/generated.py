"""Ahead-of-time C of a model, compiled for the PC and called in this process."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from swin2mcu.common.cli import UserError
from swin2mcu.common.paths import FIRMWARE
from tinyml.aot.compiler import compile_graph
from tinyml.format.tflite import Graph

LIBRARIES = FIRMWARE / "lib"
# Linux needs an option to report undefined names when it links a library; others report them.
FLAGS = ("-O3", "-std=c11", "-fPIC", "-shared") + (
    ("-Wl,-z,defs",) if sys.platform == "linux" else ()
)
# Every x86-64 processor has vectors of 16 bytes, but needs this flag; 64-bit Arm needs none.
if platform.machine() in ("x86_64", "AMD64"):
    FLAGS += ("-march=native",)
SUFFIX = ".dll" if sys.platform == "win32" else ".so"


def c_compiler() -> str | None:
    """The C compiler of this PC, if there is one."""
    return next((found for found in map(shutil.which, ("gcc", "cc", "clang")) if found), None)


def compiled_by() -> str:
    """The compiler and the flags that decide how fast its code is: gcc -O3 -march=native."""
    chosen = [flag for flag in FLAGS if flag.startswith(("-O", "-m"))]
    return " ".join([Path(c_compiler() or "no compiler").stem, *chosen])


class GeneratedC:
    """The C of `graph` with the kernels for PCs, built in the folder `work`."""

    def __init__(self, graph: Graph, sha256: str, work: Path) -> None:
        compiler = c_compiler()
        if compiler is None:
            raise UserError("no C compiler found: install gcc or clang")
        source = compile_graph(graph, sha256, "vector").source
        (work / "model_data.h").write_text(source.model_data_h)
        (work / "model.c").write_text(source.model_c)
        library = work / f"model{SUFFIX}"
        kernels = LIBRARIES / "kernels"
        sources = [work / "model.c", *kernels.glob("*.c"), *(kernels / "vector").glob("*.c")]
        command = [compiler, *FLAGS, f"-I{LIBRARIES / 'engine'}", f"-I{kernels}"]
        done = subprocess.run(
            [*command, *map(str, sources), "-o", str(library)], capture_output=True, text=True
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise UserError(f"the generated C does not compile: {last}")
        loaded = ctypes.CDLL(str(library.resolve()))
        loaded.model_input.restype = loaded.model_output.restype = ctypes.c_void_p
        self._run = loaded.model_run
        self._run.restype = None
        self._input = loaded.model_input()
        count = int(graph.tensors[graph.outputs[0]].shape[-1])
        output = ctypes.cast(loaded.model_output(), ctypes.POINTER(ctypes.c_int8))
        self._output = np.ctypeslib.as_array(output, (count,))

    def run(self, image: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """Logits (classes,) of one image (height, width, channels)."""
        fed = np.ascontiguousarray(image)
        ctypes.memmove(self._input, fed.ctypes.data, fed.nbytes)  # running overwrites the input
        self._run()
        return self._output.copy()
