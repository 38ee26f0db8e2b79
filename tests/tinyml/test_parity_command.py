"""The command `python -m tinyml.parity`, and the record that it writes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from blotches import CLASSES, pixels
from PIL import Image

from swin2mcu.common import paths
from swin2mcu.common.card import SplitRule, load_card, save_card
from swin2mcu.common.cli import UserError
from swin2mcu.common.test_access import read_accesses
from tinyml.parity import __main__ as parity
from tinyml.parity.__main__ import OPERATOR_IMAGES, main
from tinyml.parity.record import broken, read_parity


def test_a_record_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "parity.json"
    stage = {"name": "fake-quantised", "against": "quantised-weights", "images": 3, "top1": 0.5}
    figures = {"top1_agreement": 1.0, "max_difference": 2.0, "unit": "lsb", "holds": True}
    exact = {"name": "exact", "against": "fake-quantised", "limit": 1}
    first = {"name": "torch-float", "against": "", "images": 3, "limit": 0}
    rungs = [first | figures, stage | figures | {"limit": None}, exact | figures]
    path.write_text(json.dumps({"rungs": rungs, "split": "test"}))
    record = read_parity(path)
    names = [(s["name"], s["against"]) for s in record["stages"]]
    assert names == [
        ("torch-float", ""),
        ("fake-quantized", "quantized-weights"),
        ("exact", "fake-quantized"),
    ]
    assert "top1_agreement" not in record["stages"][0] and "rungs" not in record
    assert broken(record) == [
        "exact against fake-quantized: max_difference 2 lsb, allowed is at most 1"
    ]
    rungs[1]["top1_agreement"] = 0.89
    path.write_text(json.dumps({"rungs": rungs, "split": "test"}))
    assert "top1_agreement 0.89, allowed is at least 0.9" in broken(read_parity(path))[0]
    for text in ("[]", "{}", "{", '{"stages": 3}'):
        path.write_text(text)
        with pytest.raises(UserError, match=r"parity\.json"):
            read_parity(path)


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
    shown = capsys.readouterr().out
    assert "generated-c" in shown
    assert f"one standard error of {limit} images of train; the largest class is" in shown
    record = json.loads((converted_run / "parity.json").read_text())
    assert record["images"] == limit and record["split"] == "train"
    compared = record["operators"]["FULLY_CONNECTED"]["elements"] / len(CLASSES)
    assert compared == min(limit, OPERATOR_IMAGES)
    assert record["model_sha256"] == load_card(converted_run / "card.json").sha256
    assert all(0 <= r["top1"] <= 1 for r in record["stages"])


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


def test_a_published_model_can_be_checked_and_stays_as_it_is(
    converted_run: Path,
    folder: Callable[[tuple[str, ...]], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    entry = tmp_path / "zoo" / "leaf"
    entry.mkdir(parents=True)
    for name in ("model_int8.tflite", "card.json"):
        shutil.copy(converted_run / name, entry / name)
    before = {path.name: path.read_bytes() for path in entry.iterdir()}
    for module in (paths, parity):
        monkeypatch.setattr(module, "ZOO", entry.parent)
    arguments = ["leaf", "--data", str(folder(CLASSES)), "--limit", "3"]
    assert main(arguments) == 0
    assert "tflite-micro" in capsys.readouterr().out
    assert main([*arguments, "--split", "test"]) == 2
    assert (
        "leaf is published, its scores on test are closed: use --split val"
        in capsys.readouterr().err
    )
    assert {path.name: path.read_bytes() for path in entry.iterdir()} == before


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
