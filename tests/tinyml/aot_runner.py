"""Compiles generated models for the PC, under sanitizers, runs them, and asks the oracle."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from host_tools.mcu.bare_metal import kernel_sources
from host_tools.mcu.interpreted import build_interpreted
from tinyml.aot.compiler import Compiled, compile_graph
from tinyml.aot.fuse import FUSIONS
from tinyml.format.tflite import parse

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware" / "lib"
SANITIZED = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wshadow", "-Werror"]
# The names model.h fixes; with a number behind them many models fit into one program.
NAMES = [
    "sha256",
    "input_height",
    "input_width",
    "input_channels",
    "class_count",
    "labels",
    "output_scale",
    "output_zero_point",
    "arena_bytes",
    "input",
    "output",
    "steps",
    "step_count",
    "run",
]

_MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
typedef struct { int8_t* (*input)(void); const int8_t* (*output)(void); void (*run)(void); } Model;
%s
static const Model models[] = {%s};
/* stdin: model, input bytes, output bytes (u32 each), the input. stdout: the output. */
int main(void) {
  uint32_t head[3];
  while (fread(head, 4, 3, stdin) == 3) {
    const Model* m = &models[head[0]];
    if (fread(m->input(), 1, head[1], stdin) != head[1]) return 1;
    m->run();
    fwrite(m->output(), 1, head[2], stdout);
  }
  return 0;
}
"""


def compile_bytes(
    model: bytes, core: str = "portable", fusions: frozenset[str] = frozenset(FUSIONS)
) -> Compiled:
    return compile_graph(parse(model), hashlib.sha256(model).hexdigest(), core, fusions=fusions)


def write_model(folder: Path, number: int, compiled: Compiled) -> Path:
    """The model's C with `m<number>_` before its public names; returns the file to compile."""
    place = folder / f"m{number}"
    place.mkdir()
    (place / "model.c").write_text(compiled.source.model_c)
    (place / "model_data.h").write_text(compiled.source.model_data_h)
    renames = "".join(f"#define model_{n} m{number}_model_{n}\n" for n in NAMES)
    wrapper = folder / f"wrap{number}.c"
    wrapper.write_text(f'{renames}#include "m{number}/model.c"\n')
    return wrapper


def build(
    folder: Path,
    compiled: Sequence[Compiled],
    flags: Sequence[str] = SANITIZED,
    variant: str = "portable",
) -> Path:
    """One program that holds all of the models, on one variant of the kernels."""
    gcc = shutil.which("gcc")
    assert gcc, "gcc is missing: apt install gcc"
    sources = write_sources(folder, compiled)
    kernels = kernel_sources(variant)
    includes = [f"-I{FIRMWARE / 'engine'}", f"-I{FIRMWARE / 'kernels'}"]
    command = [gcc, *WARNINGS, *flags, *includes, *sources, *map(str, kernels), "-o", "models"]
    subprocess.run(command, cwd=folder, check=True, timeout=570)
    return folder / "models"


def build_pie(folder: Path, compiled: Sequence[Compiled]) -> Path:
    """The same on the ESP32-S3's kernels, their assembly interpreted."""
    sources = [folder / name for name in write_sources(folder, compiled)]
    build_interpreted(folder / "models", sources, [f"-I{FIRMWARE / 'engine'}"])
    return folder / "models"


def write_sources(folder: Path, compiled: Sequence[Compiled]) -> list[str]:
    """The models and a main function, as files in `folder`."""
    sources = [write_model(folder, n, one).name for n, one in enumerate(compiled)]
    declarations = "\n".join(
        f"int8_t* m{n}_model_input(void); const int8_t* m{n}_model_output(void); "
        f"void m{n}_model_run(void);"
        for n in range(len(compiled))
    )
    table = ", ".join(
        f"{{m{n}_model_input, m{n}_model_output, m{n}_model_run}}" for n in range(len(compiled))
    )
    (folder / "main.c").write_text(_MAIN % (declarations, table))
    return ["main.c", *sources]


def run(program: Path, runs: Sequence[tuple[int, np.ndarray, int]]) -> list[np.ndarray]:
    """(model, input, output size) in, outputs out; all in one process, so that state would show."""
    stream = b"".join(
        np.array([model, image.size, size], "<u4").tobytes() + image.tobytes()
        for model, image, size in runs
    )
    done = subprocess.run([program], input=stream, capture_output=True, timeout=570)
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    output = np.frombuffer(done.stdout, np.int8)
    ends = np.cumsum([size for _, _, size in runs])
    assert output.size == ends[-1]
    return np.split(output, ends[:-1])


def reference(model: bytes, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What TensorFlow Lite Micro makes of them."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(model, arena_size=8 << 20)
    outputs = []
    for image in images:
        interpreter.set_input(image, 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0).ravel().copy())
    return outputs


def images_for(model: bytes, count: int, seed: int = 0) -> list[np.ndarray]:
    """Random images, the first one all lowest and highest values."""
    graph = parse(model)
    shape = graph.tensors[graph.inputs[0]].shape
    noise = np.random.default_rng(seed)
    images = [noise.integers(-128, 128, shape).astype(np.int8) for _ in range(count)]
    images[0] = np.where(images[0] < 0, -128, 127).astype(np.int8)
    return images
