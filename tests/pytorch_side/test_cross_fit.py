"""Teachers of folds answer the photos that they did not see."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_teachers import saw

from pytorch_side.config import Config, with_values
from pytorch_side.data.cache import DecodedImages
from pytorch_side.data.unlabeled import with_unlabeled
from pytorch_side.distillation import cross_fit, fill_cache, train_teacher
from pytorch_side.distillation.teacher_store import about_path, open_teacher_cache
from pytorch_side.distillation.train_student import distill
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import ImageFolder, scan_folder
from swin2mcu.common.dataset.trained import NAME, photos_seen


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
