"""The ladder holds on a real chain, and a rung that is bent is seen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from blotches import CLASSES, pixels
from PIL import Image

from swin2mcu.common.card import SplitRule, load_card, save_card
from swin2mcu.common.cli import UserError
from swin2mcu.common.pixels import to_int8
from swin2mcu.common.test_access import read_accesses
from tinyml.parity.__main__ import OPERATOR_IMAGES, broken, climb, main
from tinyml.parity.operators import compare_operators
from tinyml.parity.stages import Rung, make_rungs
from tinyml.runtimes.tflite_micro import Micro, arena_bytes

NAMES = [
    "torch-float",
    "legalized",
    "quantised-weights",
    "fake-quantised",
    "exact",
    "onnx",
    "tflite-float32",
    "litert-int8-reference",
    "tflite-micro",
    "generated-c",
]


@pytest.fixture(scope="module")
def rungs(converted_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Rung]:
    return make_rungs(converted_run, tmp_path_factory.mktemp("generated"))


def output_scale(run: Path) -> float:
    scale = load_card(run / "card.json").output_scale
    assert scale is not None
    return scale


def test_the_whole_ladder_holds(converted_run: Path, rungs: list[Rung]) -> None:
    images = pixels(24, seed=4)
    records = climb(rungs, images, None, output_scale(converted_run))
    assert [r["name"] for r in records] == [*NAMES, "end-to-end"]
    assert broken({"rungs": records}) == []
    by_name = {r["name"]: r for r in records}
    for name in ("tflite-micro", "generated-c"):
        assert by_name[name]["max_difference"] == 0 and by_name[name]["unit"] == "lsb"


def test_a_bent_rung_is_reported(converted_run: Path, rungs: list[Rung]) -> None:
    scale = output_scale(converted_run)
    bent = [
        replace(r, run=lambda p, run=r.run: run(p) + scale * (np.arange(3) == 1))
        if r.name == "generated-c"
        else r
        for r in rungs
        if r.name in ("tflite-micro", "generated-c")
    ]
    bent[0] = replace(bent[0], against="")
    records = climb(bent, pixels(5), None, scale)
    assert broken({"rungs": records}) == [
        "generated-c differs from tflite-micro by 1 lsb, allowed are 0"
    ]


def test_each_operator_is_within_one_step_of_its_simulation(converted_run: Path) -> None:
    found = compare_operators(converted_run, pixels(3, seed=5))
    assert set(found) == set(load_card(converted_run / "card.json").ops)
    assert {name: entry["max_lsb"] for name, entry in found.items() if entry["max_lsb"] > 1} == {}
    assert sum(entry["elements"] for entry in found.values()) > 500_000
    assert broken({"rungs": [], "operators": {"MEAN": {"max_lsb": 2}}}) == [
        "MEAN differs from its simulation by 2 LSB"
    ]


def test_a_folder_without_training_files_has_the_int8_rungs(
    converted_run: Path, tmp_path: Path
) -> None:
    for name in ("model_int8.tflite", "card.json"):
        shutil.copy(converted_run / name, tmp_path / name)
    rungs = make_rungs(tmp_path, tmp_path)
    assert [r.name for r in rungs] == NAMES[-3:]
    records = climb(rungs, pixels(3), None, output_scale(tmp_path))
    assert broken({"rungs": records}) == []


def test_a_model_that_is_not_the_cards_is_refused(converted_run: Path, tmp_path: Path) -> None:
    shutil.copy(converted_run / "card.json", tmp_path / "card.json")
    data = bytearray((converted_run / "model_int8.tflite").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "model_int8.tflite").write_bytes(data)
    with pytest.raises(UserError, match="not the model of its card"):
        make_rungs(tmp_path, tmp_path)


def test_arena_is_what_tflite_micro_counts(converted_run: Path) -> None:
    model = converted_run / "model_int8.tflite"
    assert arena_bytes(model) == load_card(converted_run / "card.json").arena_bytes
    assert len(Micro(model.read_bytes()).run(to_int8(pixels(1))[0])) == 3
    (converted_run.parent / "none.tflite").write_bytes(b"no model")
    with pytest.raises(UserError, match="TFLite Micro does not run"):
        arena_bytes(converted_run.parent / "none.tflite")


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[tuple[str, ...]], Path]:
    def make(classes: tuple[str, ...]) -> Path:
        for number, name in enumerate(classes):
            (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
            for i, image in enumerate(pixels(8, seed=number)):
                Image.fromarray(image).save(tmp_path / "data" / name / f"{i}.png")
        return tmp_path / "data"

    return make


@pytest.mark.parametrize("limit", [2, 7])  # fewer and more than operators are compared on
def test_the_command_writes_its_record(
    converted_run: Path,
    folder: Callable[[tuple[str, ...]], Path],
    capsys: pytest.CaptureFixture[str],
    limit: int,
) -> None:
    data = folder(CLASSES)
    arguments = [str(converted_run), "--data", str(data), "--split", "train"]
    assert main([*arguments, "--limit", str(limit)]) == 0
    assert "generated-c" in capsys.readouterr().out
    record = json.loads((converted_run / "parity.json").read_text())
    assert record["images"] == limit and record["split"] == "train"
    compared = record["operators"]["FULLY_CONNECTED"]["elements"] / len(CLASSES)
    assert compared == min(limit, OPERATOR_IMAGES)
    assert record["model_sha256"] == load_card(converted_run / "card.json").sha256
    assert all(0 <= r["top1"] <= 1 for r in record["rungs"])


def test_looks_at_test_are_written_down_and_a_whole_one_is_the_cards(
    converted_run: Path, folder: Callable[[tuple[str, ...]], Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("model_int8.tflite", "card.json"):  # as a zoo entry
        shutil.copy(converted_run / name, run / name)
    arguments = [str(run), "--data", str(folder(CLASSES)), "--split"]
    assert main([*arguments, "train", "--limit", "3"]) == 0
    assert read_accesses(run) == []
    assert main([*arguments, "test", "--limit", "2"]) == 0
    assert "int8" not in load_card(run / "card.json").accuracy
    assert main([*arguments, "test"]) == 0
    first, last = read_accesses(run)
    card = load_card(run / "card.json")
    assert (first["images"], last["images"]) == (2, card.accuracy["int8"]["images"])
    assert last["weights_sha256"] == card.sha256
    assert last["top1"] == card.accuracy["int8"]["top1"]
    assert card.accuracy["int8"]["split"] == "test"


def test_images_are_cut_as_training_cut_them(
    converted_run: Path, folder: Callable[[tuple[str, ...]], Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(converted_run / "model_int8.tflite", run / "model_int8.tflite")
    card, counts = load_card(converted_run / "card.json"), []
    for rule in (SplitRule(), SplitRule(test_share=0.5)):
        save_card(replace(card, split=rule), run / "card.json")
        assert main([str(run), "--data", str(folder(CLASSES)), "--split", "test"]) == 0
        counts.append(json.loads((run / "parity.json").read_text())["split_images"])
    assert counts[0] < counts[1]


def test_another_data_set_is_refused(
    converted_run: Path,
    folder: Callable[[tuple[str, ...]], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = folder(("cats", "dogs"))
    assert main([str(converted_run), "--data", str(data)]) == 2
    error = capsys.readouterr().err.strip()
    assert "has the classes cats, dogs" in error and len(error.splitlines()) == 1
