"""One student for each group that it did not see: what is trained, scored and said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from swin2mcu import unseen
from swin2mcu.common.cli import UserError
from swin2mcu.unseen import folder_name, groups_of, report_of

FARMS = ("east farm", "north", "west")


@pytest.fixture
def farms(tmp_path: Path) -> Path:
    noise = np.random.default_rng(3)
    for farm in FARMS:
        for label in ("healthy", "rust"):
            (tmp_path / "photos" / farm / label).mkdir(parents=True)
            for number in range(8):
                pixels = noise.integers(0, 256, (12, 12, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "photos" / farm / label / f"{number}.png")
    return tmp_path / "photos"


def score_of(right: int, wrong: int) -> dict[str, Any]:
    images = right + wrong
    return {
        "images": images,
        "top1": right / images,
        "confusion": [[right, wrong], [0, 0]],
        "largest_class": 1.0,
        "balanced_top1": right / images,
    }


def test_all_groups_together_count_each_photo_once() -> None:
    report = report_of({"a": score_of(30, 10), "b": score_of(5, 5)})
    assert report["images"] == 50 and report["top1"] == pytest.approx(0.7)
    assert report["confusion"] == [[35, 15], [0, 0]]


def test_each_farm_is_kept_unseen_once_and_scored_on(
    farms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained: list[list[str]] = []
    scored: list[tuple[str, str]] = []

    def steps(given: Sequence[tuple[str, list[str]]], _: object) -> int:
        ((name, arguments),) = given
        assert name == "pytorch_side.distill"
        trained.append(arguments)
        return 0

    def score(run: Path, _: Path, split: str) -> dict[str, Any]:
        scored.append((run.name, split))
        return score_of(12, 4)

    monkeypatch.setattr(unseen, "run_steps", steps)
    monkeypatch.setattr("pytorch_side.evaluate.score.score", score)
    out = tmp_path / "out"
    assert unseen.main([str(farms), "--out", str(out), "--init", "random", "--epochs", "1"]) == 0
    held = [a for one in trained for a in one if a.startswith("data.test_group=")]
    assert held == [f"data.test_group={farm}" for farm in FARMS]
    assert scored == [("1-east_farm", "test"), ("2-north", "test"), ("3-west", "test")]
    said = capsys.readouterr().out
    for farm in FARMS:
        assert f"{farm}" in said
    assert "75.00% ± 10.83%" in said
    assert "all groups, each unseen: 75.00% ± 6.25% of 48 images" in said
    assert json.loads((out / "unseen.json").read_text())["images"] == 48


def test_a_training_that_fails_ends_it(farms: Path, tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(unseen, "run_steps", lambda *_: 2)
    assert unseen.main([str(farms), "--out", str(tmp_path / "out"), "--init", "random"]) == 2
    assert not (tmp_path / "out" / "unseen.json").exists()


def test_photos_without_groups_are_refused(farms: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert unseen.main([str(farms / "north")]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: ") and "has no groups: lay the photos out as farm/class" in said


def test_very_many_groups_are_refused(farms: Path) -> None:
    assert groups_of(farms, "") == sorted(FARMS)
    for number in range(40):
        for label in ("healthy", "rust"):
            (farms / f"plot {number}" / label).mkdir(parents=True)
            pixels = np.full((8, 8, 3), number + 100 * (label == "rust"), np.uint8)
            Image.fromarray(pixels).save(farms / f"plot {number}" / label / "a.png")
    with pytest.raises(UserError, match="43 groups are 43 trainings"):
        groups_of(farms, "")


def test_a_group_of_any_name_has_a_folder() -> None:
    assert folder_name("../a b/ü", 3) == "3-.._a_b_"
