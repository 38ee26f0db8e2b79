"""What the zoo says of its models belongs to the files beside it, and is enough to stand on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swin2mcu.common.card import load_card, sha256_of
from tinyml.parity.__main__ import broken
from tinyml.parity.stages import INT8_RUNG

ZOO = Path(__file__).resolve().parents[2] / "tinyml" / "zoo"
ENTRIES = sorted(path for path in ZOO.iterdir() if path.is_dir())
IMAGES_MIN = 500


def test_the_zoo_is_not_empty() -> None:
    assert ENTRIES  # else the tests below would pass by not running


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_the_ladder_was_climbed_with_this_very_model(entry: Path) -> None:
    record = json.loads((entry / "parity.json").read_text())
    measured = sha256_of(entry / "model_int8.tflite")
    assert load_card(entry / "card.json").sha256 == measured
    assert record["model_sha256"] == measured
    assert record["split"] == "test" and record["images"] >= IMAGES_MIN
    assert broken(record) == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_exact_integers_are_tflite_micros(entry: Path) -> None:
    record = json.loads((entry / "parity.json").read_text())
    rungs = {r["name"]: r for r in record["rungs"]}
    for name, against in ((INT8_RUNG, "exact"), ("generated-c", INT8_RUNG)):
        rung = rungs[name]
        assert (rung["against"], rung["unit"], rung["max_difference"]) == (against, "lsb", 0)
        assert rung["images"] == record["images"]
        assert rung["top1"] == rungs["exact"]["top1"]
