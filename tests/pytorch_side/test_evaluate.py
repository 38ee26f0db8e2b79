"""The evaluation finds what was planted: overconfidence, other splits, logged scores."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from pytorch_side.config import Config, read_saved_config, save_config, with_values
from pytorch_side.evaluate import attention, score
from pytorch_side.evaluate.__main__ import main
from pytorch_side.evaluate.attention import TILE, TITLE, choose, overlay
from pytorch_side.nets.models import make_teacher, student_from
from pytorch_side.nets.weights import save_weights
from swin2mcu.common.card import SplitRule
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import (
    import_folder,
    load_split_pixels,
    random_split,
    scan_folder,
)
from swin2mcu.common.test_access import AVERAGED, read_accesses

NAMES = ("healthy", "late_blight")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """An untrained student and its tiny teacher, as a training run would leave them."""
    folder = tmp_path / "run"
    folder.mkdir()
    sizes = {"patch_size": 4, "window_size": 4, "embed_dim": 12, "depths": [1, 1]}
    config = with_values(
        Config(),
        {
            "student.size": 64,
            "teacher.name": "swin",
            "teacher.size": 32,
            "teacher.arguments": {**sizes, "num_heads": [1, 2]},
            "distillation.attention_pairs": ((3, 0), (5, 1)),
        },
    )
    torch.manual_seed(0)
    save_weights(
        student_from(config.student, 2),
        folder / "student.safetensors",
        {"student": config.student.name, "size": 64, "classes": list(NAMES)},
    )
    teacher = tmp_path / "teacher.safetensors"
    save_weights(make_teacher(config.teacher, 2), teacher, {"classes": list(NAMES)})
    save_config(with_values(config, {"teacher.init": str(teacher)}), folder / "config.json")
    return folder


def test_calibration_by_hand() -> None:
    # Two sure answers (0.9), one of them wrong; two unsure ones (0.6), both right.
    chances = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    labels = np.array([0, 1, 0, 0])
    found = score.calibration(np.log(chances).astype(np.float32), labels)
    assert found["error"] == pytest.approx(0.5 * abs(0.5 - 0.9) + 0.5 * abs(1.0 - 0.6))
    assert [b["images"] for b in found["bins"]] == [2, 2]


def test_temperature_undoes_overconfidence() -> None:
    rng = np.random.default_rng(0)
    logits = 2.0 * rng.standard_normal((4000, 5)).astype(np.float32)
    labels = np.array([rng.choice(5, p=chances) for chances in score.softmax(logits)])
    temperature = score.best_temperature(3.0 * logits, labels)
    assert temperature == pytest.approx(3.0, rel=0.1)
    sure = score.calibration(3.0 * logits, labels)["error"]
    assert score.calibration(3.0 * logits, labels, temperature)["error"] < sure / 5


def test_the_temperature_is_fitted_on_val(
    run: Path, leaves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the split that it is judged on, it would hide the error it is to show."""
    val, labels, _, _ = load_split_pixels(scan_folder(leaves), "val", 64)

    def answers(network: score.Network, pixels: np.ndarray, on_images: object) -> np.ndarray:
        right = 4.0 * np.eye(2, dtype=np.float32)[labels]  # test has the same labels
        return right if np.array_equal(pixels, val) else -right

    monkeypatch.setattr(score, "logits_of", answers)
    report = score.score(run, leaves, "test")
    assert report["top1"] == 0.0  # what asks for the highest temperature, 5
    sure_of_four = np.log(5 / 1)  # five of six, for four photos that are all right
    tempered = report["calibration_tempered"]["temperature"]
    assert tempered == pytest.approx(4.0 / sure_of_four, rel=0.02)


def test_a_score_asks_about_each_photo_once_and_shows_how_far_it_is(
    run: Path, leaves: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def counted(*arguments: Any) -> score.Logits:
        asked.append(arguments[1].shape)
        return logits_of(*arguments)

    logits_of = score.logits_of
    monkeypatch.setattr(score, "logits_of", counted)
    images = score.score(run, leaves, "val")["images"]
    assert asked == [(images, 64, 64, 3)], "val is also what the temperature is fitted on"
    assert re.search(rf"{run.name} on val .*100%", capfd.readouterr().err)
    score.score(run, leaves, "val", averaged=True)
    assert len(asked) == 1 + 8
    assert re.search(rf"{run.name} on val .*100%", capfd.readouterr().err), "eight passes are 100 %"


def test_averaged_answers_are_the_mean_of_eight_turned_images() -> None:
    """A network that answers with its upper left pixel: the mean is that of all four corners."""

    class Corner(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images[:, :2, 0, 0]

    network = score.Network(Corner(), 4, lambda images: images, Path())
    pixels = np.random.default_rng(1).integers(0, 256, (3, 4, 4, 3)).astype(np.uint8)
    corners = (pixels[:, ::3, ::3, :2].astype(float) - 128) / 128
    averaged = score.averaged_logits(network, pixels)
    assert np.allclose(averaged, corners.mean(axis=(1, 2)))
    assert not np.allclose(averaged, score.logits_of(network, pixels))


def test_an_averaged_look_says_so(run: Path, leaves: Path) -> None:
    arguments = ["score", str(run), "--data", str(leaves)]
    assert main([*arguments, "--averaged"]) == 0
    assert main(arguments) == 0
    assert [look.get("target") for look in read_accesses(run)[-2:]] == [AVERAGED, None]


def test_measures_by_hand() -> None:
    logits = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    found = score.measures(logits, np.array([0, 1, 1, 2]), ("a", "b", "c"))
    assert found["confusion"] == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert found["per_class_recall"] == {"a": 1.0, "b": 0.5, "c": 1.0}
    assert found["top1"] == 0.75
    absent = score.measures(logits, np.array([0, 1, 1, 1]), ("a", "b", "c"))
    assert "c" not in absent["per_class_recall"]
    assert found["standard_error"] == pytest.approx((0.75 * 0.25 / 4) ** 0.5)


def test_every_look_is_written_down(
    run: Path, leaves: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("test", "val", "test"):
        arguments = ["score", str(run), "--data", str(leaves), "--split", split, "--json"]
        assert main(arguments) == 0
        report = json.loads(capsys.readouterr().out)
    assert report["accesses"] == 2
    assert sum(map(sum, report["confusion"])) == report["images"] == 4
    looks = [json.loads(line) for line in (run / "test_access.jsonl").read_text().splitlines()]
    assert [look["split"] for look in looks] == ["test", "val", "test"]
    assert looks[0]["top1"] == looks[2]["top1"] == report["top1"]
    assert len(looks[0]["weights_sha256"]) == 64


def test_a_run_is_scored_on_the_split_it_was_trained_with(run: Path, leaves: Path) -> None:
    (leaves / "split.csv").unlink()
    config = read_saved_config(run / "config.json")
    other = with_values(config, {"data.split_seed": 3, "data.test_share": 0.3})
    save_config(other, run / "config.json")
    seen = list(score.folder_of_run(run, leaves).splits)
    assert seen == list(scan_folder(leaves, SplitRule(seed=3, test_share=0.3)).splits)
    assert seen != list(scan_folder(leaves, SplitRule(test_share=0.3)).splits)


def test_a_run_of_the_random_split_is_scored_on_it(run: Path, leaves: Path) -> None:
    given = scan_folder(leaves)
    config = read_saved_config(run / "config.json")
    save_config(with_values(config, {"data.split": "random"}), run / "config.json")
    dealt = score.folder_of_run(run, leaves)
    assert list(dealt.splits) == list(random_split(given, 0).splits) != list(given.splits)
    (run / "config.json").write_text('{"data": {"split": "blocked"}}')
    with pytest.raises(UserError, match=r"data\.split is 'blocked'"):
        score.folder_of_run(run, leaves)


def test_a_score_reads_well_also_without_images_of_a_class(
    run: Path, leaves: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (leaves / "split.csv").open("w", newline="") as stream:
        rows = [
            (f"{n}/{i}.png", n, "", "train" if i < 6 else "val") for n in NAMES for i in range(8)
        ]
        rows.append(("healthy/9.png", "healthy", "", "test"))
        csv.writer(stream).writerows([("file", "class", "source", "split"), *rows])
    assert main(["score", str(run), "--data", str(leaves), "--split", "test"]) == 0
    said = capsys.readouterr().out
    assert "of 1 images (the largest class is 100.0% of them)" in said
    assert "warning: test is small" in said
    assert "scores of test in the access log: 1" in said
    assert any(line.split()[:2] == ["late_blight", "-"] for line in said.splitlines())


def test_a_look_that_cannot_be_written_is_not_shown(
    run: Path, leaves: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "test_access.jsonl").mkdir()
    assert main(["score", str(run), "--data", str(leaves), "--split", "test"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "cannot log this score" in said.err


def test_attention_is_drawn_for_both_networks(run: Path, leaves: Path, tmp_path: Path) -> None:
    picture = tmp_path / "maps.png"
    arguments = ["attention", str(run), "--data", str(leaves), "--count", "3"]
    assert main([*arguments, "--out", str(picture)]) == 0
    with Image.open(picture) as sheet:
        assert sheet.size == (5 * TILE, TITLE + 3 * TILE)


def test_leaves_of_a_picture_are_of_each_class_and_seen_as_in_training(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    for split, number in (("train", 2), ("val", 3)):
        for label in NAMES:
            place = tmp_path / split / label
            place.mkdir(parents=True)
            for one in range(number):
                photo = noise.integers(0, 150, (32, 64, 3), np.uint8)
                photo[:, 16:48] = 200  # the middle, which `--crop center` keeps
                Image.fromarray(photo).save(place / f"{one}.png")
    (tmp_path / "val" / NAMES[0] / "0.png").write_bytes(b"damaged")
    folder = import_folder(tmp_path, SplitRule(crop="center"))
    leaves = choose(folder, "val", 3, (16, 8))
    # Of each class in turn, but for the damaged one.
    assert [leaf.label for leaf in leaves] == [NAMES[1], NAMES[0], NAMES[1]]
    for leaf in leaves:
        assert [pixels.shape for pixels in leaf.pixels] == [(16, 16, 3), (8, 8, 3)]
        assert all((pixels == 200).all() for pixels in leaf.pixels)
    for path in tmp_path.glob("val/*/*.png"):
        path.write_bytes(b"damaged")
    with pytest.raises(UserError, match="no val photo can be read"):
        choose(folder, "val", 3, (8,))


def test_each_map_is_under_its_own_title(
    run: Path, leaves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The teacher's maps are bright in the upper half, the student's in the lower."""
    titles: dict[str, int] = {}

    def write(self: ImageDraw.ImageDraw, place: tuple[int, int], text: str, **how: object) -> None:
        titles.setdefault(text, place[0] // TILE)
        assert self.textlength(text) < TILE - place[0] % TILE

    def maps(rows: slice, stages: list[int]) -> dict[int, np.ndarray]:
        drawn = {stage: np.zeros((4, 8, 8), np.float32) for stage in stages}
        for stage, found in drawn.items():
            found[:, rows, stage] = 1.0  # a column of its own for each stage
        return drawn

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", write)
    upper, lower = slice(0, 4), slice(4, 8)
    monkeypatch.setattr(attention, "_teacher_maps", lambda net, _, stages, __: maps(upper, stages))
    monkeypatch.setattr(attention, "_student_maps", lambda net, _, stages: maps(lower, stages))
    sheet = attention.attention_picture(run, leaves, count=4)
    for title, rows, stage in (
        ("teacher, stage 0", upper, 0),
        ("student 3, before alignment", lower, 3),
        ("teacher, stage 1", upper, 1),
        ("student 5, before alignment", lower, 5),
    ):
        left = titles[title] * TILE
        tile = np.asarray(sheet.crop((left, TITLE, left + TILE, TITLE + TILE)), dtype=float)
        light = tile.sum(axis=2).reshape(8, TILE // 8, 8, TILE // 8).mean(axis=(1, 3))
        row, column = np.unravel_index(light.argmax(), light.shape)
        assert row in range(8)[rows] and column == stage


def test_overlay_is_brightest_where_attention_is() -> None:
    attention = np.zeros((4, 4), dtype=np.float32)
    attention[0, 3] = 5.0
    drawn = np.asarray(overlay(np.full((32, 32, 3), 128, np.uint8), attention), dtype=float)
    corner = TILE // 8
    assert drawn[corner, -corner].sum() > drawn[-corner, corner].sum() + 200
    flat = np.asarray(overlay(np.full((32, 32, 3), 128, np.uint8), np.ones((2, 2), np.float32)))
    assert len(np.unique(flat.reshape(-1, 3), axis=0)) == 1


def test_bad_input_is_one_line(
    run: Path, leaves: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def error(*arguments: str) -> str:
        assert main(list(arguments)) == 2
        said = capsys.readouterr().err.strip().splitlines()[-1]  # after the table of images
        assert said.startswith("error: ")
        assert "\n" not in said
        return said

    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no image" in error("audit", str(empty))
    assert "name the folder of a" in error("score", str(empty), "--data", str(leaves))
    (empty / "config.json").write_text((run / "config.json").read_text())
    assert "name the folder of a finished" in error("score", str(empty), "--data", str(leaves))
    picture = ["--out", str(tmp_path / "maps.png")]
    (leaves / "split.csv").unlink()
    (leaves / "healthy").rename(leaves / "mildew")
    assert "the images are late_blight, mildew" in error("score", str(run), "--data", str(leaves))
    (leaves / "mildew").rename(leaves / "healthy")
    assert "at least one leaf" in error(
        "attention", str(run), "--data", str(leaves), "--count", "0", *picture
    )
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(
        json.dumps({**config, "teacher": config["teacher"] | {"init": ""}})
    )
    assert "had no teacher" in error("attention", str(run), "--data", str(leaves), *picture)
    taught = {**config["distillation"], "alpha": 0.5, "cache": "runs/both"}
    (run / "config.json").write_text(
        json.dumps({**config, "teacher": config["teacher"] | {"init": ""}, "distillation": taught})
    )
    said = error("attention", str(run), "--data", str(leaves), *picture)
    assert "this run learned from the outputs in runs/both" in said
    pairs = {**config["distillation"], "attention_pairs": [[9, 0]]}
    (run / "config.json").write_text(json.dumps({**config, "distillation": pairs}))
    assert "has stages 0 to" in error("attention", str(run), "--data", str(leaves), *picture)
    assert "is the data set itself" in error("resplit", str(leaves), "--out", str(leaves))
    assert "in the way" in error("resplit", str(leaves), "--out", str(_occupied(tmp_path)))


def _occupied(place: Path) -> Path:
    (place / "occupied/healthy").mkdir(parents=True)
    return place / "occupied"
