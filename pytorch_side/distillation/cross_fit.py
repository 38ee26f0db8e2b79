"""Train a teacher for each fold of the photos, and cache its outputs for those it did not see.

    python -m pytorch_side.distillation.cross_fit --config TEACHER.toml --student STUDENT.toml
                                                  --folds 2 --out runs/cross-fitted

On photos that it was trained on, a teacher is nearly always right and very confident, so its
outputs only repeat the labels. Cross-fitting avoids this (Chernozhukov et al. 2018, arXiv
1608.00060; for distillation Dao et al. 2021, arXiv 2104.09732). The student's config names
OUT/teacher_cache as `distillation.cache` and leaves `teacher.init` empty. The same command resumes
an interrupted run.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytorch_side.command import images_of
from pytorch_side.config import Config, differing, load_config, with_values
from pytorch_side.data.backgrounds import training_images
from pytorch_side.data.cache import DecodedImages
from pytorch_side.data.unlabeled import NO_LABEL, training_photos
from pytorch_side.distillation.teacher_store import (
    TeacherCache,
    about_path,
    open_teacher_cache,
    write_teacher_cache,
)
from swin2mcu.common.cli import Parser, UserError, run_command
from swin2mcu.common.dataset import ImageFolder
from swin2mcu.common.dataset.draw import units_of
from swin2mcu.common.dataset.trained import (
    OF_A_RUN,
    check_place,
    photos_seen,
    unlisted,
    write_trained,
)
from swin2mcu.common.paths import data_folder

FOLDS_MAX = 20


def deal_folds(folder: ImageFolder, count: int, seed: int) -> npt.NDArray[np.int64]:
    """The fold of each train photo, -1 for other photos: (files,).

    Groups stay together, and so do files of the same bytes, except where they are of two groups.

    The photos of each class are spread over the folds as evenly as its groups allow, those of the
    class with the fewest groups first. Raises UserError where a class has fewer photos (or groups)
    than folds, or where a fold has no photo of a class.
    """
    draw = np.random.default_rng(seed)
    folds = np.full(len(folder.files), -1, dtype=np.int64)
    positions = folder.indices("train")
    unit_of = units_of(folder.files, folder.groups, False, _copies(folder))
    fold_of: dict[str, int] = {}
    of_class: dict[int, Counter[str]] = {}  # photos of each unit
    for i in positions:
        of_class.setdefault(int(folder.labels[i]), Counter())[unit_of[i]] += 1
    for label, units in sorted(of_class.items(), key=lambda item: (len(item[1]), item[0])):
        if label != NO_LABEL and len(units) < count:
            raise UserError(
                f"class {folder.classes[label]} has {len(units)} photos or groups to train on, too "
                f"few for {count} folds: take fewer folds"
            )
        dealt = [0] * count  # photos of this class
        for unit in units.keys() & fold_of.keys():
            dealt[fold_of[unit]] += units[unit]
        for unit in map(str, draw.permutation(sorted(units.keys() - fold_of.keys()))):
            fold_of[unit] = dealt.index(min(dealt))
            dealt[fold_of[unit]] += units[unit]
        if label != NO_LABEL and not all(dealt):
            raise UserError(
                f"class {folder.classes[label]} has photos in {count - dealt.count(0)} of {count} "
                "folds only, since its groups stay together with those of other classes: take "
                "another seed, fewer folds, or other groups"
            )
    for i in positions:
        folds[i] = fold_of[unit_of[i]]
    return folds


def has_copy_in(
    folder: ImageFolder, folds: npt.NDArray[np.int64], fold: int
) -> npt.NDArray[np.bool_]:
    """Whether a file of the same bytes is in a fold, for each file: (files,).

    Of files outside the fold only copies in two groups have one, see deal_folds.
    """
    found = np.zeros(len(folds), dtype=np.bool_)
    for positions in _copies(folder):
        found[positions] = (folds[positions] == fold).any()
    return found


def _copies(folder: ImageFolder) -> Iterator[list[int]]:
    """The positions of files of the same bytes that are still in the folder, of each such photo."""
    place = {file: i for i, file in enumerate(folder.files)}
    for copies in folder.equal:
        if positions := [place[file] for file in copies if file in place]:
            yield positions


def only(images: DecodedImages, chosen: npt.NDArray[np.bool_]) -> DecodedImages:
    """The same images, but only the chosen ones stay in the train split."""
    splits = images.folder.splits.copy()
    splits[(splits == "train") & ~chosen] = "other"
    return dataclasses.replace(images, folder=dataclasses.replace(images.folder, splits=splits))


def check_configs(teacher: Config, student: Config) -> None:
    """Raise UserError where teachers would answer for other images than the student sees."""
    if student.augment.mixup > 0:
        raise UserError("mixup mixes photos of different folds: set augment.mixup = 0")
    if student.augment.backgrounds > 0:
        raise UserError(
            "a leaf's other background would be of a photo of its own fold, and of any photo when "
            "the student sees it: set the student's augment.backgrounds = 0"
        )
    # Class weights are of the loss alone.
    names = [
        name
        for name in differing(teacher, student)
        if name.startswith("data.") and name != "data.class_weights"
    ]
    if names:
        raise UserError(
            f"the configs of teacher and student differ in {', '.join(names)}: both need one split "
            "of the same photos"
        )


def check_starts(teacher: Config, folder: ImageFolder) -> None:
    """Raise UserError where the teachers would start from weights that saw the photos already.

    Says where that is not known.
    """
    for start in (teacher.teacher.init or teacher.teacher.stem_init, teacher.hint.init):
        if seen := photos_seen(folder, "train", [start]):
            raise UserError(
                f"{start} was trained on {len(seen)} of the photos (first: {seen[0]}): a teacher "
                "that starts from it has seen photos that it must answer, so name other weights"
            )
        for run in unlisted([start]):
            logging.warning(
                "%s does not list the photos that it or its teachers were trained on: if these "
                "photos are among them, the folds' teachers have seen what they answer",
                run,
            )


def cross_fit(
    teacher: Config, student: Config, folder: ImageFolder, folds: int, run: Path
) -> TeacherCache:
    """Train `folds` teachers and join their outputs for photos that they did not see.

    `teacher` describes their training, `student` the augmentations and maps to cache. Raises
    UserError, before any work, where check_configs, check_starts and check_distillation do, and
    where `run`/teacher_cache is another run's folder.
    """
    from pytorch_side.distillation.cache_identity import expectation
    from pytorch_side.distillation.fill_cache import make_teacher_cache
    from pytorch_side.distillation.train_student import check_distillation
    from pytorch_side.distillation.train_teacher import train_teacher

    place = run / "teacher_cache"
    if not about_path(place).is_file():
        check_place(place, OF_A_RUN)
    check_configs(teacher, student)
    check_distillation(student)
    photos = training_photos(folder, student)
    check_starts(teacher, photos)
    # With cutouts where the teachers see other backgrounds; the student sees none.
    images = training_images(photos, teacher)
    fold_of = deal_folds(images.folder, folds, teacher.seed)
    labeled = images.folder.labels != NO_LABEL
    caches, teachers = [], []
    for fold in range(folds):
        own = run / f"fold-{fold + 1}"
        known = (fold_of != fold) & labeled & ~has_copy_in(images.folder, fold_of, fold)
        train_teacher(teacher, folder, own, only(images, known))
        teachers.append(own / "teacher.safetensors")
        config = _asked(student, teacher, teachers[-1])
        unseen = only(images, fold_of == fold)
        caches.append(make_teacher_cache(unseen, config, own / "teacher_cache"))
        logging.info("fold %d: %s", fold + 1, _right(caches[-1], unseen))
    about = expectation(_asked(student, teacher, teachers[0]), images)
    about |= {"teacher": [cache.about["teacher"] for cache in caches]}
    if not about_path(place).is_file():
        files = [images.folder.files[i] for i in images.folder.indices("train")]
        about["channels"] = caches[0].about["channels"]
        # The teachers' own tables: older versions wrote none for their caches.
        write_trained(place, (), map(str, teachers))
        write_teacher_cache(place, about, _join(caches, files), files)
    return open_teacher_cache(place, {k: v for k, v in about.items() if k != "channels"})


def _asked(student: Config, teacher: Config, weights: Path) -> Config:
    """The student's config with a finished teacher instead of its own."""
    return with_values(
        student,
        {
            "teacher.name": teacher.teacher.name,
            "teacher.arguments": teacher.teacher.arguments,
            "teacher.stem": teacher.teacher.stem,
            "teacher.size": teacher.teacher.size,
            "teacher.input": teacher.teacher.input,
            "teacher.pretrained": False,
            "teacher.init": str(weights),
        },
    )


def _right(cache: TeacherCache, images: DecodedImages) -> str:
    """A teacher's accuracy on labeled photos that it was not trained on, as text."""
    folder = images.folder
    positions = [i for i in folder.indices("train") if folder.labels[i] != NO_LABEL]
    rows = [cache.row[folder.files[i]] for i in positions]
    answers = cache.logits[rows, 0].argmax(axis=1)
    share = float((answers == folder.labels[positions]).mean())
    return f"right on {share:.2%} of {len(rows)} photos it was not trained on"


def _join(caches: Sequence[TeacherCache], files: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """The outputs for `files`; each file is in exactly one of the caches."""
    where = {file: (cache, row) for cache in caches for file, row in cache.row.items()}
    arrays: dict[str, npt.NDArray[Any]] = {
        name: np.stack([getattr(where[file][0], name)[where[file][1]] for file in files])
        for name in ("seeds", "logits")
    }
    for stage in caches[0].maps:
        found = [where[file][0].maps[stage][where[file][1]] for file in files]
        arrays[f"maps-{stage}"] = np.stack(found)
    return arrays


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", type=Path, required=True, help="the config of the teachers")
    parser.add_argument("--student", type=Path, required=True, help="the student's config")
    parser.add_argument("--folds", type=int, default=2, help="teachers to train (2)")
    parser.add_argument("--data", type=Path, help="a folder or a CSV (default: $SWIN2MCU_DATA)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/cross-fitted"), help="default: runs/cross-fitted"
    )
    arguments = parser.parse_args(argv)

    def command() -> None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        if not 2 <= arguments.folds <= FOLDS_MAX:
            raise UserError(f"--folds must be 2 to {FOLDS_MAX}")
        teacher, student = load_config(arguments.config), load_config(arguments.student)
        folder = images_of(teacher, data_folder(arguments.data))
        made = cross_fit(teacher, student, folder, arguments.folds, arguments.out)
        count = len(made.row)
        print(f"{made.folder}: {count} images, each from a teacher that was not trained on it")

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
