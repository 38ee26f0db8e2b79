"""The sources that each engine gets of a model, and the refusal of a model that does not fit."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_run import make_run

from host_tools.boards.generate import TFLM_SCRATCH_BYTES, generate
from host_tools.boards.table import get_board
from host_tools.inputs import Model, load_model
from swin2mcu.common.cli import UserError
from tinyml.runtimes.tflite_micro import arena_bytes


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    made = load_model(str(make_run(tmp_path_factory.mktemp("generate") / "tiny")))
    return replace(made, card=replace(made.card, arena_bytes=100_000))


def test_the_interpreter_gets_the_file_and_an_arena_with_scratch(
    model: Model, tmp_path: Path
) -> None:
    out = generate(model, get_board("host"), "tflm", tmp_path)
    assert {path.name for path in out.iterdir()} == {
        "arena_bytes",
        "model_data.cc",
        "model_data.h",
        "op_resolver.h",
    }
    header = (out / "model_data.h").read_text()
    arena = int(re.search(r"kArenaBytes = (\d+);", header)[1])  # type: ignore[index]
    measured = arena_bytes(model.int8)  # whatever the card says
    assert measured is not None
    assert 0 <= arena - measured - TFLM_SCRATCH_BYTES < 16
    assert int((out / "arena_bytes").read_text()) == arena
    assert f"kDataBytes = {model.int8.stat().st_size};" in header


def test_compiled_code_lies_in_a_folder_of_its_core(model: Model, tmp_path: Path) -> None:
    host = generate(model, get_board("host"), "aot", tmp_path)
    board = generate(model, get_board("qemu-m7"), "aot", tmp_path)
    assert host.name.endswith("-vector") and board.name.endswith("-dsp")
    assert {path.name for path in host.iterdir()} == {"arena_bytes", "model.c", "model_data.h"}
    assert int((host / "arena_bytes").read_text()) > 0


@pytest.mark.parametrize("engine", ["aot", "tflm"])
def test_what_does_not_fit_is_refused_before_it_is_written(
    engine: str, model: Model, tmp_path: Path
) -> None:
    small = replace(get_board("host"), flash_bytes=100_000)
    with pytest.raises(UserError, match="does not fit host: flash"):
        generate(model, small, engine, tmp_path)
    assert not list(tmp_path.iterdir())
