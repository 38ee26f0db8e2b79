"""Generated C on the ESP32-S3's kernels, whose very assembly an interpreter runs on the PC."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from aot_runner import build_pie, compile_bytes, images_for, reference, run
from random_graphs import RandomGraph, seeded

from tinyml.aot.compiler import Compiled
from tinyml.format import mobilenet_graphs

ZOO = Path(__file__).resolve().parents[2] / "tinyml" / "zoo"
ARENA_LIMIT = 36 * 1024  # of small-96
LARGE = ("large-224",)


def differing(
    folder: Path, models: Sequence[bytes], compiled: Sequence[Compiled], count: int
) -> list[int]:
    """Which models answer other bytes than TensorFlow Lite Micro."""
    images = [images_for(m, count, seed=i) for i, m in enumerate(models)]
    expected = [answer for m, i in zip(models, images, strict=True) for answer in reference(m, i)]
    flat = [(number, image) for number, some in enumerate(images) for image in some]
    runs = [(n, image, e.size) for (n, image), e in zip(flat, expected, strict=True)]
    outputs = run(build_pie(folder, compiled), runs)
    pairs = zip(runs, outputs, expected, strict=True)
    return sorted({n for (n, _, _), o, e in pairs if not np.array_equal(o, e)})


@pytest.mark.parametrize("first", [4000, pytest.param(4060, marks=pytest.mark.slow)])
def test_sixty_random_graphs(first: int, tmp_path: Path) -> None:
    models = [RandomGraph(seeded(seed)).build() for seed in range(first, first + 60)]
    compiled = [compile_bytes(m, "pie") for m in models]
    assert differing(tmp_path, models, compiled, count=3) == []


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.parent.name, marks=pytest.mark.slow)
        if path.parent.name in LARGE
        else path.parent.name
        for path in sorted(ZOO.glob("*/model_int8.tflite"))
    ],
)
def test_zoo_models_are_byte_identical(name: str, tmp_path: Path) -> None:
    model = (ZOO / name / "model_int8.tflite").read_bytes()
    assert differing(tmp_path, [model], [compile_bytes(model, "pie")], count=3) == []


def test_small_96_fits_internal_ram() -> None:
    compiled = compile_bytes(mobilenet_graphs.small(96), "pie")
    assert compiled.arena_bytes <= ARENA_LIMIT
    assert compiled.arena_bytes == compiled.bound_bytes
