"""One student for each group that it did not see: what is trained, scored and said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pytorch_side.data.photos import photo_hashes
from pytorch_side.nets.models import make_student
from pytorch_side.nets.weights import save_weights
from swin2mcu import unseen
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import scan_folder
from swin2mcu.common.dataset.trained import trained_rows, write_trained
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
    report = report_of({"a": score_of(30, 10), "b": score_of(5, 5)}, {})
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


def test_with_json_stdout_is_json_alone(
    farms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def steps(*_: object) -> int:
        print("student.safetensors: 75.00% on val")
        return 0

    monkeypatch.setattr(unseen, "run_steps", steps)
    monkeypatch.setattr("pytorch_side.evaluate.score.score", lambda *_: score_of(12, 4))
    words = [str(farms), "--out", str(tmp_path / "out"), "--init", "random"]
    assert unseen.main([*words, "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["images"] == 48 and "75.00% on val" in said.err
    assert unseen.main(words) == 0
    assert capsys.readouterr().out.startswith("student.safetensors: ")


def add_photos(folder: Path, count: int, red: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (9, 9), (red, number, 7)).save(folder / f"{number}.png")


def write_farms_table(farms: Path) -> None:
    rows = ["file,class,group"]
    for path in sorted(farms.glob("*/*/*.png")):
        farm, label, _ = path.relative_to(farms).parts
        rows.append(f"{path.relative_to(farms)},{label},{farm}")
    (farms / "split.csv").write_text("\n".join(rows))


def test_a_group_that_alone_has_a_class_is_named_and_passed_over(
    farms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for red, label in enumerate(("healthy", "rust", "wilt")):
        add_photos(farms / "south" / label, 8, red)
    write_farms_table(farms)
    runs: list[str] = []
    monkeypatch.setattr(unseen, "run_steps", lambda *_: 0)
    monkeypatch.setattr(
        "pytorch_side.evaluate.score.score",
        lambda run, *_: runs.append(run.name) or score_of(12, 4),
    )
    out = tmp_path / "out"
    assert unseen.main([str(farms), "--out", str(out), "--init", "random"]) == 0
    assert runs == ["1-east_farm", "2-north", "4-west"]
    said = capsys.readouterr()
    assert "south cannot be left out of training: train would have no photo of wilt" in said.err
    assert "these groups, each unseen: 75.00%" in said.out
    assert "not scored: south: train would have no photo of wilt" in said.out
    assert json.loads((out / "unseen.json").read_text())["not_left_out"].keys() == {"south"}


def test_where_no_group_can_be_left_out_nothing_is_trained(
    farms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for red, farm in enumerate(FARMS):
        add_photos(farms / farm / f"of {farm}", 8, red)
    write_farms_table(farms)
    trained: list[object] = []
    monkeypatch.setattr(unseen, "run_steps", lambda *given: trained.append(given) or 0)
    assert unseen.main([str(farms), "--out", str(tmp_path / "out"), "--init", "random"]) == 2
    assert not trained
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "no group can be left out of training; east farm: train would have no photo of" in said


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


def test_no_farm_is_unseen_by_weights_that_saw_it(
    farms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, folder = tmp_path / "run", scan_folder(farms)
    write_trained(run, trained_rows(folder, photo_hashes(folder, "train")), [])
    name = "tf_mobilenetv3_small_minimal_100"
    about = {"student": name, "size": 32, "classes": list(folder.classes)}
    weights = run / "student.safetensors"
    save_weights(make_student(name, 2), weights, about)
    options = ["--init", str(weights), "--out", str(tmp_path / "unseen"), "--epochs", "1"]
    assert unseen.main([str(farms), *options]) == 2
    error = capsys.readouterr().err
    assert f"{run} was trained on" in error and "of the test photos of photos" in error
