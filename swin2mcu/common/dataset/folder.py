"""A listed data set: files, labels, splits, and the pixels of one split."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from swin2mcu.common.card import CLASS_NAME_MAX, CLASSES_MAX, are_class_names
from swin2mcu.common.cli import UserError
from swin2mcu.common.pixels import load_pixels

CORRUPT_SHARE_MAX = 0.05  # above this the folder is wrong, not just a few files

SHOWN = 60  # characters of a class name in an error

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageFolder:
    """The images of a data set. Arrays have one entry per image, in the order of `files`."""

    root: Path
    classes: tuple[str, ...]  # sorted names = the order of the network's outputs
    files: tuple[str, ...]  # relative to root, with forward slashes, sorted
    labels: npt.NDArray[np.int64]
    splits: npt.NDArray[np.str_]  # "train", "val" or "test"
    sources: tuple[str, ...]  # the photo's origin, if split.csv gives it, else ""
    groups: tuple[str, ...]  # photos of one group belong to one split; "" = no group
    passed_over: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # reason → files
    cut_by: str = ""  # how the splits were made, as a text
    crop: str = ""  # of photos that are not square, as in SplitRule
    drawn_by: str = ""  # what the draw took together, as in SplitRule
    note: str = ""  # how the folders were understood, where they can be understood in two ways
    unlabeled: tuple[str, ...] = ()  # photos without a label, relative to root; not in `files`
    unlabeled_groups: Mapping[str, str] = field(default_factory=dict)  # those in a group → group
    equal: tuple[tuple[str, ...], ...] = ()  # files of the same bytes, of one class
    name: str = ""  # what records call the data set

    def indices(self, split: str) -> npt.NDArray[np.int64]:
        """Positions of one split's images.

        Raises UserError when it has no image, or when train has no image of a class.
        """
        found = np.flatnonzero(self.splits == split)
        if not len(found):
            raise UserError(f"{self.root} has no {split} images: check its split.csv")
        if split == "train" and (missing := set(range(len(self.classes))) - {*self.labels[found]}):
            names = ", ".join(self.classes[i] for i in sorted(missing))
            raise UserError(
                f"{self.root} has no train image of {names}: give its folder the same name in "
                "every split, or split the photos in another way"
            )
        return found.astype(np.int64)

    def labeled(self, split: str) -> list[tuple[str, int]]:
        """The files of one split with their labels. Raises UserError as `indices` does."""
        return [(self.files[i], int(self.labels[i])) for i in self.indices(split)]

    def train_data_digest(self) -> str:
        """A digest of the classes, and of the names and labels of the photos of train and val.

        Without a split.csv the name of a photo decides its split; only a new photo that goes to
        test does not change the digest.
        """
        rows = zip(self.splits, self.files, self.labels, strict=True)
        lines = [f"{split} {label} {file}" for split, file, label in rows if split != "test"]
        text = "\n".join([*self.classes, *lines])
        return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()

    def without(self, positions: set[int]) -> ImageFolder:
        """The same folder without some images.

        Raises UserError where one split has more of them than 5 % of the folder, and when a class
        loses all its images. A split is counted by itself, since few commands read all of them:
        none may refuse a folder that a model was trained on.
        """
        if not positions:
            return self
        for split in sorted({str(self.splits[i]) for i in positions}):
            lost = [i for i in sorted(positions) if self.splits[i] == split]
            check_corrupt(self.root, len(lost), len(self.files), self.files[lost[0]])
        kept = self.at([i for i in range(len(self.files)) if i not in positions])
        for number, name in enumerate(self.classes):
            if not (kept.labels == number).any():
                raise UserError(f"{self.root}/{name} holds no readable image: repair or remove it")
        return kept

    def at(self, positions: Sequence[int]) -> ImageFolder:
        """The same folder with only the images at these positions, in this order."""
        keep = np.array(positions, dtype=np.int64)
        return dataclasses.replace(
            self,
            files=tuple(self.files[i] for i in keep),
            labels=self.labels[keep],
            splits=self.splits[keep],
            sources=tuple(self.sources[i] for i in keep),
            groups=tuple(self.groups[i] for i in keep),
        )


def check_corrupt(where: Path | str, corrupt: int, images: int, first: str) -> None:
    """Raise UserError where more than 5 % of the images cannot be read."""
    if corrupt > CORRUPT_SHARE_MAX * images:
        raise UserError(
            f"{corrupt} of {images} images in {where} cannot be read (first: {first}): more than "
            f"{CORRUPT_SHARE_MAX:.0%}, so repair the folder first"
        )


def check_class_names(where: Path | str, classes: Sequence[str]) -> None:
    """Raise UserError where a model's card would refuse the classes, after hours of training."""
    if len(classes) > CLASSES_MAX:
        raise UserError(f"{where} has {len(classes):,} classes, more than {CLASSES_MAX:,}")
    for name in classes:
        if are_class_names([name, "b" if name == "a" else "a"]):
            continue
        if len(name) > CLASS_NAME_MAX:
            why = f"it has {len(name)} characters, more than {CLASS_NAME_MAX}"
        else:
            why = "a control character is in it"
        shown = repr(name if len(name) <= SHOWN else f"{name[:SHOWN]}…")
        raise UserError(f"{where}: {shown} cannot be the name of a class: {why}; rename it")


def random_split(folder: ImageFolder, seed: int = 0) -> ImageFolder:
    """The folder with a new random split of each class; every split keeps its size per class.

    Most papers report such splits, in which photos of one leaf are both in train and in test.
    """
    rng = np.random.default_rng(seed)
    splits = folder.splits.copy()
    for label in range(len(folder.classes)):
        positions = np.flatnonzero(folder.labels == label)
        splits[positions] = rng.permutation(splits[positions])
    return dataclasses.replace(folder, splits=splits, cut_by="at random, photo by photo")


def keep_few(folder: ImageFolder, counts: Mapping[str, int], seed: int = 0) -> ImageFolder:
    """At most `counts[split]` photos of each class, drawn with the seed; other splits stay whole.

    A larger count keeps all photos that a smaller count keeps: the drawn order is the same.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(folder.files))
    kept: list[int] = []
    taken: Counter[tuple[int, str]] = Counter()
    for position in order:
        unit = (int(folder.labels[position]), str(folder.splits[position]))
        taken[unit] += 1
        if taken[unit] <= counts.get(unit[1], len(folder.files)):
            kept.append(int(position))
    return folder.at(sorted(kept))


def load_split_pixels(
    folder: ImageFolder, split: str, size: int, limit: int | None = None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], tuple[str, ...], tuple[str, ...]]:
    """Evaluation pixels of one split: (N, size, size, 3) uint8, labels, files, corrupt files.

    Pixels are read by swin2mcu.common.pixels, with a `limit` of so many images, spread over the
    split. Corrupt images are logged and left out. Raises UserError above 5 % of the folder.
    """
    pixels, positions, corrupt = [], [], []
    listed = folder.indices(split)
    for position in listed[spread(len(listed), limit)]:
        try:
            pixels.append(
                load_pixels(folder.root / folder.files[position], size, size, folder.crop)
            )
            positions.append(int(position))
        except UserError as error:
            log.warning("left out: %s", error)
            corrupt.append(int(position))
    folder.without(set(corrupt))
    if not pixels:
        raise UserError(f"{folder.root}: no {split} image can be read")
    return (
        np.stack(pixels),
        folder.labels[positions],
        tuple(folder.files[i] for i in positions),
        tuple(folder.files[i] for i in corrupt),
    )


def spread(count: int, limit: int | None) -> list[int]:
    """Positions of `limit` of `count` images, evenly spaced, since images are sorted by class.

    Every tool that scores a part of a split uses this, so that all tools score the same images.
    """
    if limit is None or limit >= count:
        return list(range(count))
    return [i * count // limit for i in range(limit)]
