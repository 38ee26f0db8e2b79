"""A published model's copy, in which the user measures, when the published one changes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from host_tools.measured_copy import LAST_CARD, copy_published
from host_tools.results import RESULTS_NAME, load_results, merge_target
from swin2mcu.common.card import Calibration, Card, load_card, save_card

SHA = "5" * 64


def target(date: str, board: str) -> dict[str, Any]:
    return {"kind": "board", "date": f"2026-01-{date}T00:00:00+00:00", "hardware": board}


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    folder = tmp_path / "zoo" / "small"
    folder.mkdir(parents=True)
    (folder / "model_int8.tflite").write_bytes(b"model")
    (folder / "test_access.jsonl").write_text('{"split": "test", "of": "the zoo"}\n')
    for name in ("pc", "phone"):
        merge_target(folder, SHA, "small", name, target("02", "published"))
    return folder


def test_what_the_user_measured_stays_when_a_row_is_published(entry: Path, tmp_path: Path) -> None:
    copy = copy_published(entry, tmp_path / "measured")
    merge_target(copy, SHA, "small", "board", target("03", "the user's"))
    merge_target(copy, SHA, "small", "phone", target("04", "the user's"))
    (copy / "journal-board.jsonl").write_text("half of it")
    with (copy / "test_access.jsonl").open("a") as file:
        file.write('{"split": "test", "of": "the user"}\n')
    merge_target(entry, SHA, "small", "pc", target("05", "published again"))
    assert copy_published(entry, tmp_path / "measured") == copy
    found = load_results(copy / RESULTS_NAME).targets
    assert {name: one["hardware"] for name, one in found.items()} == {
        "pc": "published again",
        "phone": "the user's",
        "board": "the user's",
    }
    assert (copy / "journal-board.jsonl").read_text() == "half of it"
    lines = map(json.loads, (copy / "test_access.jsonl").read_text().splitlines())
    assert [one["of"] for one in lines] == ["the zoo", "the user"]


def test_the_user_s_calibration_stays(entry: Path, tmp_path: Path) -> None:
    card = Card("small", "tiny", ("a", "b"), (8, 8, 3), macs=1)
    save_card(card, entry / "card.json")
    copy = copy_published(entry, tmp_path / "measured")
    fitted = Calibration(2.0, 3.0, 0.9, 50)
    save_card(replace(card, calibration=fitted), copy / "card.json")
    save_card(replace(card, macs=2), entry / "card.json")
    assert copy_published(entry, tmp_path / "measured") == copy
    found = load_card(copy / "card.json")
    assert (found.macs, found.calibration) == (2, fitted)


def test_a_calibration_that_is_published_later_reaches_the_copy(
    entry: Path, tmp_path: Path
) -> None:
    card = Card("small", "tiny", ("a", "b"), (8, 8, 3), macs=1)
    first, second, third, own = (Calibration(2.0, float(t), 0.9, 50) for t in range(4))
    save_card(replace(card, calibration=first), entry / "card.json")
    copy = copy_published(entry, tmp_path / "measured")
    for published, fitted, wanted in (
        (second, None, second),
        (third, None, third),
        (first, own, own),
        (second, None, own),
    ):
        if fitted:
            save_card(replace(card, calibration=fitted), copy / "card.json")
        save_card(replace(card, calibration=published), entry / "card.json")
        copy_published(entry, tmp_path / "measured")
        assert load_card(copy / "card.json").calibration == wanted


def test_a_copy_of_an_older_version_gets_a_calibration_that_is_published_later(
    entry: Path, tmp_path: Path
) -> None:
    """It has no card of the last publication beside it, but is known to be equal to the entry."""
    card = Card("small", "tiny", ("a", "b"), (8, 8, 3), macs=1)
    first, second = (Calibration(2.0, float(t), 0.9, 50) for t in range(2))
    save_card(replace(card, calibration=first), entry / "card.json")
    copy = copy_published(entry, tmp_path / "measured")
    (copy / LAST_CARD).unlink()
    copy_published(entry, tmp_path / "measured")  # nothing has changed
    save_card(replace(card, calibration=second), entry / "card.json")
    copy_published(entry, tmp_path / "measured")
    assert load_card(copy / "card.json").calibration == second


def test_a_new_model_puts_the_old_copy_aside(
    entry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = tmp_path / "measured"
    for content in (b"second", b"model", b"second", b"model"):
        copy = copy_published(entry, measured)
        (copy / "journal-board.jsonl").write_bytes((entry / "model_int8.tflite").read_bytes())
        (entry / "model_int8.tflite").write_bytes(content)
        capsys.readouterr()
        assert copy_published(entry, measured) == copy
        assert "results of the old one are in" in capsys.readouterr().err
        assert not (copy / "journal-board.jsonl").exists()
    kept = [path.read_bytes() for path in sorted(measured.glob("small.*/journal-board.jsonl"))]
    assert sorted(kept) == [b"model", b"model", b"second", b"second"], "none is overwritten"
