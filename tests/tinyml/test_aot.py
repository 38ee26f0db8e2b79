"""Generated C answers with the bytes of TensorFlow Lite Micro, in little memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from aot_runner import build, compile_bytes, images_for, reference, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_graphs import RandomGraph, seeded

from tinyml.aot.fuse import FUSIONS
from tinyml.format import mobilenet_graphs

EVERYTHING = frozenset(FUSIONS)
ROOT = Path(__file__).resolve().parents[2]
ZOO = ROOT / "tinyml" / "zoo"
ZOO_MODELS = sorted(ZOO.glob("*/model_int8.tflite"))


def differing(
    folder: Path,
    models: Sequence[bytes],
    fusions: frozenset[str] = EVERYTHING,
    count: int = 3,
    core: str = "portable",
) -> list[int]:
    """Which models' generated C, sanitized, answers other bytes than the interpreter."""
    compiled = [compile_bytes(m, core, fusions=fusions) for m in models]
    images = [images_for(m, count, seed=i) for i, m in enumerate(models)]
    expected = [reference(m, i) for m, i in zip(models, images, strict=True)]
    runs = [
        (number, image, answer.size)
        for number in range(len(models))
        for image, answer in zip(images[number], expected[number], strict=True)
    ]
    flat = [answer for answers in expected for answer in answers]
    outputs = run(build(folder, compiled, variant=core), runs)
    return sorted(
        {r[0] for r, o, e in zip(runs, outputs, flat, strict=True) if not np.array_equal(o, e)}
    )


def random_models(first: int, count: int) -> list[bytes]:
    return [RandomGraph(seeded(seed)).build() for seed in range(first, first + count)]


@pytest.mark.parametrize("core", ["portable", "vector"])
def test_sixty_random_graphs(core: str, tmp_path: Path) -> None:
    assert differing(tmp_path, random_models(0, 60), core=core) == []


@pytest.mark.slow
@pytest.mark.parametrize("first", range(60, 560, 100))
def test_five_hundred_random_graphs(first: int, tmp_path: Path) -> None:
    assert differing(tmp_path, random_models(first, 100)) == []


@settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_graph(data: st.DataObject) -> None:
    """Hypothesis drives the same generator, and shrinks what fails to a minimal graph."""
    model = RandomGraph(lambda low, high: data.draw(st.integers(low, high))).build()
    with TemporaryDirectory() as folder:
        assert differing(Path(folder), [model], count=2) == []


def test_random_graphs_are_worth_running() -> None:
    """Their outputs vary and their operators are all there: else byte identity would be cheap."""
    from tinyml.format.tflite import parse

    models = random_models(0, 60)
    varied = 0
    for seed, model in enumerate(models):
        answers = reference(model, images_for(model, 3, seed))
        varied += len(np.unique(np.concatenate(answers))) > 2
    operators = {o.op for m in models for o in parse(m).operators}
    assert varied >= 40
    assert operators == {
        "ADD",
        "AVERAGE_POOL_2D",
        "CONCATENATION",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
        "HARD_SWISH",
        "LEAKY_RELU",
        "LOGISTIC",
        "MAX_POOL_2D",
        "MEAN",
        "MUL",
        "PAD",
        "QUANTIZE",
        "RELU",
        "RESHAPE",
        "SOFTMAX",
    }


@pytest.mark.parametrize("without", [*FUSIONS, "all"])
def test_every_fusion_can_be_left_out(without: str, tmp_path: Path) -> None:
    fusions = frozenset() if without == "all" else EVERYTHING - {without}
    assert differing(tmp_path, random_models(1000, 12), fusions) == []


@pytest.mark.parametrize(
    ("size", "blocks", "features", "required", "aim"),
    [
        (96, mobilenet_graphs.SMALL, 1024, 65_536, 45_000),
        (224, mobilenet_graphs.LARGE, 1280, 655_360, 400_000),
    ],
)
def test_mobilenet_fits(
    size: int,
    blocks: tuple[mobilenet_graphs.Block, ...],
    features: int,
    required: int,
    aim: int,
) -> None:
    """Arena with input and output; 4096 bytes are left for the stack (measured on the boards)."""
    model = mobilenet_graphs.MobileNet(size, blocks, features).bytes()
    for core in ("portable", "dsp", "helium") if size == 96 else ("dsp",):
        compiled = compile_bytes(model, core)
        assert compiled.arena_bytes + 4096 <= aim < required
        assert compiled.arena_bytes == compiled.bound_bytes


def test_mobilenet_is_byte_identical(tmp_path: Path) -> None:
    models = [mobilenet_graphs.small(96), mobilenet_graphs.small(96, legalized=False)]
    assert differing(tmp_path, models) == []


@pytest.mark.slow
def test_larger_mobilenets_are_byte_identical(tmp_path: Path) -> None:
    models = [mobilenet_graphs.small(160), mobilenet_graphs.large(224)]
    assert differing(tmp_path, models, count=2) == []


@pytest.mark.parametrize("path", ZOO_MODELS, ids=lambda p: p.parent.name)
def test_zoo_models_are_byte_identical(path: Path, tmp_path: Path) -> None:
    assert differing(tmp_path, [path.read_bytes()], count=2) == []


def test_the_same_model_gives_the_same_files_in_every_process(tmp_path: Path) -> None:
    """Python orders sets otherwise in each process."""
    model = tmp_path / "model.tflite"
    model.write_bytes(mobilenet_graphs.small(64))
    made = []
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "tinyml.aot", str(model), "--out", str(tmp_path / seed)]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        made.append({p.name: p.read_bytes() for p in (tmp_path / seed).rglob("*") if p.is_file()})
    assert made[0] == made[1] and "model.c" in made[0]


def test_streaming_and_overlaying_save_memory() -> None:
    model = mobilenet_graphs.small(96)
    arenas = [
        compile_bytes(model, fusions=EVERYTHING - set(without)).arena_bytes
        for without in ((), ("stream",), ("stream", "overlay"))
    ]
    assert arenas == sorted(arenas) and len(set(arenas)) == 3
