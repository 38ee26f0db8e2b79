"""Ensembles and cross-fitted teachers leave one cache that a student learns from."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pytorch_side.config import Config, with_values
from pytorch_side.data.cache import DecodedImages, decode_images
from pytorch_side.data.loader import to_images
from pytorch_side.data.training_image import training_image
from pytorch_side.data.unlabeled import with_unlabeled
from pytorch_side.distillation import cross_fit, ensemble, fill_cache, train_teacher
from pytorch_side.distillation.fill_cache import make_teacher_cache
from pytorch_side.distillation.teacher_store import TeacherCache, about_path, open_teacher_cache
from pytorch_side.distillation.train_student import distill
from pytorch_side.nets.models import load_student, make_teacher
from pytorch_side.nets.weights import save_weights
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import ImageFolder, scan_folder
from swin2mcu.common.dataset.trained import (
    NAME,
    hash_of,
    photos_seen,
    unseen_by,
    write_trained,
)


def answered(
    folder: ImageFolder, config: Config, place: Path, changes: dict[str, object] | None = None
) -> TeacherCache:
    """The cache of a teacher of random weights in `place`/cache."""
    place.mkdir(exist_ok=True)
    path = place / "teacher.safetensors"
    save_weights(make_teacher(config.teacher, 3), path, {"classes": list(folder.classes)})
    config = with_values(config, {"teacher.init": str(path), **(changes or {})})
    return make_teacher_cache(decode_images(folder), config, place / "cache")


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


def saw(folder: ImageFolder, split: str, run: Path) -> str:
    """Let `run` have been trained on the first photo of a split, and name it."""
    file = folder.files[folder.indices(split)[0]]
    path = folder.root / file
    write_trained(run, [(hash_of(path), path.stat().st_size, "another name")], [])
    return file


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


def test_teachers_of_folds_start_from_weights_that_saw_none_of_the_photos(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    folder, student = scan_folder(make_folder()), tiny_config({"distillation.alpha": 0.5})
    known = saw(folder, "train", tmp_path / "stem")
    start = tmp_path / "stem" / "student.safetensors"
    start.touch()
    for name in ("teacher.stem_init", "teacher.init", "hint.init"):
        with pytest.raises(UserError, match=f"trained on 1 of the photos .first: {known}."):
            cross_fit.cross_fit(
                tiny_config({name: str(start)}), student, folder, 2, tmp_path / "folds"
            )


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


def test_groups_of_several_classes_leave_each_fold_photos_of_each_class(tmp_path: Path) -> None:
    """Four farms, and a disease on two of them: whatever the draw, each fold has one of the two."""
    farms = ["1", "2", "3", "4"] * 5 + ["1", "3"] * 5
    labels = np.array([0] * 20 + [1] * 10)
    files = tuple(f"{number:02}.jpg" for number in range(30))
    train, none = np.array(["train"] * 30), ("",) * 30
    folder = ImageFolder(tmp_path, ("leaf", "rust"), files, labels, train, none, tuple(farms))
    for seed in range(20):
        folds = cross_fit.deal_folds(folder, 2, seed)
        for label, photos in ((0, 10), (1, 5)):
            assert Counter(folds[labels == label].tolist()) == {0: photos, 1: photos}
        assert len({(farm, fold) for farm, fold in zip(farms, folds, strict=True)}) == 4
    # The farms of two classes are dealt apart; those of the third are then together.
    tied = (("1", "2"), ("2", "3"), ("3", "1"))
    labels, groups = np.repeat([0, 1, 2], 2), tuple(farm for pair in tied for farm in pair)
    tight = ImageFolder(tmp_path, ("a", "b", "c"), files[:6], labels, train[:6], none[:6], groups)
    with pytest.raises(UserError, match="class c has photos in 1 of 2 folds only"):
        cross_fit.deal_folds(tight, 2, 0)


def test_each_photo_is_answered_by_the_teacher_that_did_not_see_it(
    make_folder: Callable[..., Path],
    tiny_config: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = scan_folder(make_folder(images=14))
    teacher = tiny_config({"optimizer.epochs": 1, "augment.cached": 0})
    student = tiny_config({"distillation.alpha": 0.5, "distillation.beta": 0.1})
    seen: list[set[str]] = []
    train = train_teacher.train_teacher

    def watched(config: Config, whole: ImageFolder, run: Path, images: object) -> object:
        own = images.folder  # type: ignore[attr-defined]
        seen.append({own.files[i] for i in own.indices("train")})
        return train(config, whole, run, images)  # type: ignore[arg-type]

    monkeypatch.setattr(train_teacher, "train_teacher", watched)
    run = tmp_path / "folds"
    made = cross_fit.cross_fit(teacher, student, folder, 2, run)
    files = [folder.files[i] for i in folder.indices("train")]
    assert list(made.row) == files
    assert not seen[0] & seen[1] and seen[0] | seen[1] == set(files)
    for fold in range(2):
        own = open_teacher_cache(run / f"fold-{fold + 1}" / "teacher_cache", {})
        assert set(own.row) == set(files) - seen[fold]
        for file, row in own.row.items():
            assert np.array_equal(made.logits[made.row[file]], own.logits[row])
    again = cross_fit.cross_fit(teacher, student, folder, 2, run)  # resumed at its end
    assert np.array_equal(again.logits, made.logits)
    # Older versions wrote no table for the caches of folds: the teachers' own tables count.
    shutil.rmtree(run / "teacher_cache")
    for fold in range(2):
        (run / f"fold-{fold + 1}" / "teacher_cache" / NAME).unlink()
    cross_fit.cross_fit(teacher, student, folder, 2, run)
    assert len(photos_seen(folder, "train", [str(about_path(run / "teacher_cache"))])) == len(files)
    config = with_values(student, {"distillation.cache": str(run / "teacher_cache")})
    distill(config, folder, tmp_path / "student")
    with pytest.raises(UserError, match="made with other split"):
        other = scan_folder(make_folder(images=15, name="other"))
        distill(config, other, tmp_path / "student2")


def test_folds_deal_every_class_and_keep_groups(make_folder: Callable[..., Path]) -> None:
    folder = scan_folder(make_folder(images=14))
    folds = cross_fit.deal_folds(folder, 3, seed=0)
    train = folder.indices("train")
    assert set(folds[train]) == {0, 1, 2} and (np.delete(folds, train) == -1).all()
    for label in range(3):
        counts = np.bincount(folds[train][folder.labels[train] == label], minlength=3)
        assert counts.max() - counts.min() <= 1
    with pytest.raises(UserError, match=r"class_0 has .* too few for 20 folds"):
        cross_fit.deal_folds(folder, 20, seed=0)


def test_copies_of_a_photo_are_of_one_fold(make_folder: Callable[..., Path]) -> None:
    """Else a teacher would answer for a photo that it saw under another name."""
    folder = scan_folder(make_folder(images=14))
    train = folder.indices("train")
    own = [folder.files[i] for i in train if folder.labels[i] == 0]
    copies = replace(folder, equal=((own[0], own[-1]), (own[1], own[-2])))
    place = {file: i for i, file in enumerate(folder.files)}
    for seed in range(10):
        folds = cross_fit.deal_folds(copies, 3, seed)
        for pair in copies.equal:
            assert len({int(folds[place[file]]) for file in pair}) == 1


def test_copies_that_were_left_out_are_not_dealt(make_folder: Callable[..., Path]) -> None:
    """As those that cannot be read, or are more than a class may have."""
    folder = scan_folder(make_folder(images=14))
    gone = replace(folder, equal=(("class_0/x.png", "class_0/y.png"), ("z.png", folder.files[0])))
    assert np.array_equal(cross_fit.deal_folds(gone, 3, 0), cross_fit.deal_folds(folder, 3, 0))


def test_copies_without_a_label_are_of_the_fold_of_their_photo(
    make_folder: Callable[..., Path],
) -> None:
    root = make_folder(images=14)
    folder = scan_folder(root)
    files = [folder.files[i] for i in folder.indices("train")[:4]]
    place = root / "unlabeled"
    place.mkdir()
    for number, file in enumerate(files):
        shutil.copy(root / file, place / f"{number}.png")
    whole = with_unlabeled(scan_folder(root))
    joined = whole.files[len(folder.files) :]
    assert joined, "some are unlike all of val and test"
    for seed in range(10):
        fold_of = dict(zip(whole.files, cross_fit.deal_folds(whole, 3, seed), strict=True))
        for copy in joined:
            assert fold_of[copy] == fold_of[files[int(Path(copy).stem)]]


def test_no_teacher_is_trained_on_a_copy_of_a_photo_that_it_answers(
    make_folder: Callable[..., Path],
    tiny_config: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two groups may hold copies of one photo, and be of two folds."""
    folder = scan_folder(make_folder(images=14))
    train = [folder.files[i] for i in folder.indices("train") if folder.labels[i] == 0]
    groups = dict(zip(train, "ab" * len(train), strict=False))
    copies = tuple(train[:2])
    farms = replace(
        folder, groups=tuple(groups.get(file, "") for file in folder.files), equal=(copies,)
    )
    seen: list[set[str]] = []

    def watched(_: Config, whole: ImageFolder, run: Path, images: DecodedImages) -> None:
        own = images.folder
        seen.append({own.files[i] for i in own.indices("train")})
        if len(seen) == 2:
            stop_here()
        run.mkdir(parents=True)

    monkeypatch.setattr(train_teacher, "train_teacher", watched)
    monkeypatch.setattr(fill_cache, "make_teacher_cache", lambda *_: None)
    monkeypatch.setattr(cross_fit, "_right", lambda *_: "")
    student = tiny_config({"distillation.alpha": 0.5})
    with pytest.raises(InterruptedError):
        cross_fit.cross_fit(tiny_config(), student, farms, 2, tmp_path / "folds")
    files = {folder.files[i] for i in folder.indices("train")}
    assert not seen[0] & seen[1] and files - seen[0] - seen[1] == set(copies)


def test_a_start_that_lists_no_photos_is_said_before_any_training(
    make_folder: Callable[..., Path],
    tiny_config: Callable[..., Config],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stem's weights are not read where the whole teacher has some."""
    folder, student = scan_folder(make_folder()), tiny_config({"distillation.alpha": 0.5})
    for name in ("init", "stem"):
        (tmp_path / name).mkdir()
        for file in ("config.json", "teacher.safetensors"):
            (tmp_path / name / file).touch()
    starts = {name: str(tmp_path / name / "teacher.safetensors") for name in ("init", "stem")}
    config = tiny_config({"teacher.init": starts["init"], "teacher.stem_init": starts["stem"]})
    monkeypatch.setattr(cross_fit, "training_images", stop_here)
    with pytest.raises(InterruptedError):
        cross_fit.cross_fit(config, student, folder, 2, tmp_path / "folds")
    assert f"{tmp_path / 'init'} does not list the photos" in caplog.text
    assert str(tmp_path / "stem") not in caplog.text


def stop_here(*_: object) -> None:
    raise InterruptedError


def test_a_cache_is_not_written_into_a_run(
    make_folder: Callable[..., Path],
    tiny_config: Callable[..., Config],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, config = scan_folder(make_folder()), tiny_config({"distillation.alpha": 0.5})
    caches = [answered(folder, config, tmp_path / name).folder for name in ("one", "two")]
    run = tmp_path / "three" / "cache"
    run.mkdir(parents=True)
    (run / "config.json").touch()
    assert ensemble.main([*map(str, caches), "--out", str(run)]) == 2
    assert "is the folder of a run" in capsys.readouterr().err
    with pytest.raises(UserError, match="is the folder of a run"):
        answered(folder, config, tmp_path / "three")
    with pytest.raises(UserError, match="is the folder of a cache"):
        distill(with_values(config, {"distillation.alpha": 0.0}), folder, caches[0])


def test_a_finished_cache_in_the_folder_of_a_run_is_read(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    """Older versions wrote it there; to read it changes no table."""
    folder, config = scan_folder(make_folder()), tiny_config({"distillation.alpha": 0.5})
    made = [answered(folder, config, tmp_path / name).folder for name in ("one", "two")]
    ensemble.make_ensemble(made, tmp_path / "both")
    for cache in (*made, tmp_path / "both"):
        (cache / "config.json").touch()
    named = {"teacher.init": str(tmp_path / "one" / "teacher.safetensors")}
    make_teacher_cache(decode_images(folder), with_values(config, named), made[0])
    ensemble.make_ensemble(made, tmp_path / "both")


def test_a_student_and_its_cache_have_folders_of_their_own(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    """Else the run would overwrite the cache's table, and could not be resumed."""
    folder, run = scan_folder(make_folder()), tmp_path / "run"
    config = tiny_config({"distillation.alpha": 0.5})
    answered(folder, config, tmp_path / "one")
    teacher = str(tmp_path / "one" / "teacher.safetensors")
    named = {"teacher.init": teacher, "distillation.cache": f"{tmp_path}/one/../run"}
    with pytest.raises(UserError, match=r"distillation.cache is .*run, the run's own folder"):
        distill(with_values(config, named), folder, run)
    assert not run.exists()


def test_folds_are_not_joined_into_a_run(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    folder, student = scan_folder(make_folder()), tiny_config({"distillation.alpha": 0.5})
    run = tmp_path / "teacher_cache"
    run.mkdir()
    (run / "config.json").touch()
    with pytest.raises(UserError, match="is the folder of a run"):
        cross_fit.cross_fit(tiny_config(), student, folder, 2, tmp_path)
    assert not (tmp_path / "fold-1").exists()


def test_a_cache_that_says_nothing_of_its_teacher_is_refused(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    folder = scan_folder(make_folder())
    config = tiny_config({"distillation.alpha": 0.5})
    with pytest.raises(UserError, match=r"or a finished cache as distillation\.cache"):
        distill(config, folder, tmp_path / "run")
    cache = answered(folder, config, tmp_path / "one").folder
    named = with_values(config, {"distillation.cache": str(cache)})
    distill(named, folder, tmp_path / "run")
    about = cache / "teacher_cache.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "done": 1}))
    with pytest.raises(UserError, match=r"is unfinished and teacher\.init is empty"):
        distill(named, folder, tmp_path / "run2")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"augment.mixup": 0.5}, "mixup mixes photos of different folds"),
        ({"augment.backgrounds": 0.5}, "set the student's augment.backgrounds = 0"),
        ({"data.split_seed": 1, "data.crop": "center"}, "in data.split_seed, data.crop: both"),
        ({"distillation.attention_pairs": []}, "name pairs of stages"),
    ],
)
def test_a_student_that_sees_other_images_than_the_folds_is_refused(
    make_folder: Callable[..., Path],
    tiny_config: Callable[..., Config],
    tmp_path: Path,
    changes: dict[str, object],
    line: str,
) -> None:
    teacher, folder = tiny_config(), scan_folder(make_folder())
    student = tiny_config({"distillation.beta": 0.1, **changes})
    with pytest.raises(UserError, match=re.escape(line)):
        cross_fit.cross_fit(teacher, student, folder, 2, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_teachers_of_folds_may_see_other_backgrounds_and_weigh_classes(
    leaves: Path, tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    changes = {"augment.backgrounds": 1.0, "data.class_weights": "balanced", "optimizer.epochs": 1}
    teacher, student = tiny_config(changes), tiny_config({"distillation.alpha": 0.5})
    folder = scan_folder(leaves)
    made = cross_fit.cross_fit(teacher, student, folder, 2, tmp_path / "run")
    named = with_values(student, {"distillation.cache": str(made.folder)})
    assert float(distill(named, folder, tmp_path / "student")["logit"]) > 0
