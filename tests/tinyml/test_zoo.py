"""What the zoo says of its models belongs to the files beside it, and is enough to stand on."""

from __future__ import annotations

from pathlib import Path

import pytest

from swin2mcu.common.card import load_card, sha256_of
from tinyml.parity.record import broken, read_parity

ZOO = Path(__file__).resolve().parents[2] / "tinyml" / "zoo"
ENTRIES = sorted(path for path in ZOO.iterdir() if path.is_dir())
IMAGES_MIN = 500


def test_the_zoo_is_not_empty() -> None:
    assert ENTRIES  # else the tests below would pass by not running


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_parity_was_measured_with_this_very_model(entry: Path) -> None:
    record = read_parity(entry / "parity.json")
    measured = sha256_of(entry / "model_int8.tflite")
    assert load_card(entry / "card.json").sha256 == measured
    assert record["model_sha256"] == measured
    assert record["split"] == "test" and record["images"] >= IMAGES_MIN
    assert len(record["stages"]) >= 3 and broken(record) == []
    for stage in record["stages"]:
        assert stage.get("limits") or not stage["against"]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_exact_integers_are_tflite_micros(entry: Path) -> None:
    record = read_parity(entry / "parity.json")
    stages = {s["name"]: s for s in record["stages"]}
    for name, against in (("tflite-micro", "exact"), ("generated-c", "tflite-micro")):
        stage = stages[name]
        assert (stage["against"], stage["unit"], stage["max_difference"]) == (against, "lsb", 0)
        assert stage["images"] == record["images"]
        assert stage["top1"] == stages["exact"]["top1"]
