"""Answers of several teachers are averaged, and a student learns from them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_teachers import answered, saw

from pytorch_side.config import Config, with_values
from pytorch_side.data.cache import decode_images
from pytorch_side.data.loader import to_images
from pytorch_side.data.training_image import training_image
from pytorch_side.distillation import ensemble, train_teacher
from pytorch_side.distillation.fill_cache import make_teacher_cache
from pytorch_side.distillation.teacher_store import open_teacher_cache
from pytorch_side.distillation.train_student import distill
from pytorch_side.nets.models import load_student
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import scan_folder
from swin2mcu.common.dataset.trained import unseen_by


def test_an_ensemble_is_the_mean_and_a_student_learns_from_it(
    make_folder: Callable[..., Path],
    tiny_config: Callable[..., Config],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = scan_folder(make_folder())
    config = tiny_config({"distillation.alpha": 0.5, "distillation.beta": 0.1})
    made = [answered(folder, config, tmp_path / name) for name in ("one", "two")]
    out = tmp_path / "both"
    caches = [str(cache.folder) for cache in made]
    assert ensemble.main([*caches, "--out", str(out)]) == 0
    both = open_teacher_cache(out, {})
    mean = np.mean([cache.logits.astype(np.float32) for cache in made], axis=0)
    assert np.abs(both.logits - mean).max() <= 1e-3 * np.abs(mean).max()
    assert not np.array_equal(both.logits, made[0].logits)
    stage = next(iter(both.maps))
    assert both.maps[stage].max(axis=(2, 3)).min() == 255
    row = distill(with_values(config, {"distillation.cache": str(out)}), folder, tmp_path / "run")
    assert float(row["logit"]) > 0
    one = tmp_path / "one-answer"
    assert ensemble.main([*caches, "--out", str(one), "--over-augmentations"]) == 0
    shared = open_teacher_cache(one, {})
    assert shared.about["over augmentations"] and "over augmentations" not in both.about
    assert np.ptp(both.logits, axis=1).max() > 0 == np.ptp(shared.logits, axis=1).max()
    one_mean = mean.mean(axis=1, keepdims=True)
    assert np.abs(shared.logits - one_mean).max() <= 1e-3 * np.abs(one_mean).max()
    assert np.array_equal(shared.maps[stage], both.maps[stage])
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert ensemble.main([*caches, "--out", str(out)]) == 0, "opened"
    for other in ([*caches, "--over-augmentations"], [*caches, "--first-maps"], caches[::-1]):
        assert ensemble.main([*other, "--out", str(out)]) == 2
        assert "other teachers, or averaged otherwise" in capsys.readouterr().err
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_no_score_is_of_photos_that_one_of_several_teachers_saw(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    folder = scan_folder(make_folder())
    config = tiny_config({"distillation.alpha": 0.5, "optimizer.epochs": 1})
    known = {split: saw(folder, split, tmp_path / split) for split in ("val", "test")}
    caches = [str(answered(folder, config, tmp_path / split).folder) for split in known]
    out = tmp_path / "both"
    assert ensemble.main([*caches, "--out", str(out)]) == 0
    row = distill(with_values(config, {"distillation.cache": str(out)}), folder, tmp_path / "run")
    assert sum(map(sum, row["val_confusion"])) == len(folder.indices("val")) - 1
    scored = unseen_by(folder, tmp_path / "run")
    assert set(folder.files) - set(scored.files) == set(known.values())


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"augment.seed": 5}, "with other augmentations"),
        ({"augment.cached": 3}, "with other augmentations"),
        ({"distillation.attention_grid": 2}, "add --first-maps"),
    ],
)
def test_answers_to_other_questions_are_not_averaged(
    make_folder: Callable[..., Path],
    tiny_config: Callable[..., Config],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, object],
    line: str,
) -> None:
    folder, config = scan_folder(make_folder()), tiny_config()
    one = answered(folder, config, tmp_path / "one").folder
    two = answered(folder, config, tmp_path / "two", changes).folder
    assert ensemble.main([str(one), str(two), "--out", str(tmp_path / "both")]) == 2
    assert line in capsys.readouterr().err
    assert not (tmp_path / "both").exists()
    assert ensemble.main([str(one), str(one), "--out", str(tmp_path / "both")]) == 2
    assert "two teachers or more" in capsys.readouterr().err
    same = os.path.relpath(one)
    assert ensemble.main([str(one), same, "--out", str(tmp_path / "both")]) == 2
    assert "two teachers or more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "value"), [("photos", "of other bytes"), ("crop", "center"), ("split", "another")]
)
def test_answers_about_other_photos_are_not_averaged(
    make_folder: Callable[..., Path],
    tiny_config: Callable[..., Config],
    tmp_path: Path,
    key: str,
    value: str,
) -> None:
    folder, config = scan_folder(make_folder()), tiny_config()
    one, two = (answered(folder, config, tmp_path / name) for name in ("one", "two"))
    other = replace(two, about={**two.about, key: value})
    for pair in ((one, other), (other, one)):
        with pytest.raises(UserError, match=f"was made with other {key} than"):
            ensemble.average(pair)
    # Older caches lack it.
    silent = replace(two, about={k: v for k, v in two.about.items() if k != "photos"})
    ensemble.average((one, silent))


def test_maps_without_a_mean_are_those_of_the_first_teacher(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    folder = scan_folder(make_folder())
    config = tiny_config({"distillation.alpha": 0.5, "distillation.beta": 0.1})
    one = answered(folder, config, tmp_path / "one")
    two = answered(folder, config, tmp_path / "two", {"distillation.attention_pairs": [[2, 1]]})
    assert one.maps.keys() != two.maps.keys()
    for names, first in (((one, two), one), ((two, one), two)):
        out = tmp_path / f"both-{first.folder.parent.name}"
        caches = [str(cache.folder) for cache in names]
        assert ensemble.main([*caches, "--out", str(out)]) == 2 and not out.exists()
        assert ensemble.main([*caches, "--out", str(out), "--first-maps"]) == 0
        both = open_teacher_cache(out, {})
        assert both.about["map"] == first.about["map"] and both.channels == first.channels
        assert all(np.array_equal(both.maps[stage], maps) for stage, maps in first.maps.items())
        assert not np.array_equal(both.logits, first.logits)
        pairs = config.distillation.attention_pairs if first is one else [[2, 1]]
        named = {"distillation.cache": str(out), "distillation.attention_pairs": pairs}
        row = distill(with_values(config, named), folder, tmp_path / f"run-{out.name}")
        assert float(row["attention"]) > 0


def test_a_student_teaches_the_next_one(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    folder = scan_folder(make_folder())
    first = tiny_config({"distillation.alpha": 0.0, "distillation.beta": 0.0})
    distill(first, folder, tmp_path / "first")
    weights = tmp_path / "first" / "student.safetensors"
    student, size, _ = load_student(weights)
    next_one = with_values(
        tiny_config({"distillation.alpha": 0.7, "distillation.beta": 0.0}),
        {
            "teacher.name": first.student.name,
            "teacher.size": size,
            "teacher.init": str(weights),
            "teacher.input": "student",
            "distillation.attention_pairs": [],
        },
    )
    images = decode_images(folder)
    made = make_teacher_cache(images, next_one, tmp_path / "cache")
    assert not made.maps
    file, seeds = folder.files[folder.indices("train")[0]], made.seeds[0]
    positions = folder.indices("train")
    pixels = [
        training_image(images, positions, positions[0], int(seed), next_one.augment, size).pixels
        for seed in seeds
    ]
    with torch.inference_mode():
        wanted = student(to_images(np.array(pixels))).numpy()
    assert np.abs(made.logits[made.row[file]] - wanted).max() < 0.01
    named = with_values(next_one, {"distillation.cache": str(tmp_path / "cache")})
    assert float(distill(named, folder, tmp_path / "second")["logit"]) > 0

    for changes, line in (
        ({"distillation.attention_pairs": [[2, 1]]}, "has no attention maps"),
        ({"teacher.input": "half"}, 'teacher.input = "student"'),
        ({"teacher.size": 2 * size}, f"trained with size {size}"),
    ):
        with pytest.raises(UserError, match=line):
            make_teacher_cache(images, with_values(next_one, changes), tmp_path / "other")
        assert not (tmp_path / "other" / "teacher_cache.json").exists()
    alone = {"distillation.alpha": 0.0}
    with pytest.raises(UserError, match="is a student: train it with distill"):
        train_teacher.train_teacher(with_values(next_one, alone), folder, tmp_path / "teacher")
