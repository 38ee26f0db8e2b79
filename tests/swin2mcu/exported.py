"""Export a library in a test, and build it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from swin2mcu.export_library.__main__ import main

STRICT = "-Wall -Wextra -Wshadow -Werror"
SANITIZE = f"{STRICT} -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all"


def output_of(folder: Path) -> dict[str, float | int]:
    from tinyml.format.tflite import read

    graph = read(folder / "model_int8.tflite")
    tensor = graph.tensors[graph.outputs[0]]
    return {
        "output_scale": float(tensor.scales[0]),
        "output_zero_point": int(tensor.zero_points[0]),
    }


def export(model: Path, form: str, out: Path, *arguments: str) -> Path:
    assert main([str(model), "--as", form, "--out", str(out), *arguments]) == 0
    return out


def execute(command: list[str | Path], **options: object) -> str:
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=300, **options
    )  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def build_with_cmake(source: Path, build: Path) -> None:
    cmake = shutil.which("cmake")
    assert cmake, "cmake is missing: apt install cmake"
    execute([cmake, "-S", source, "-B", build, f"-DCMAKE_C_FLAGS={SANITIZE}"])
    execute([cmake, "--build", build])
