"""A folder of class folders, with an optional split.csv → files, labels and splits.

    leaves/healthy/a.jpg          split.csv:  file,class,source,split
    leaves/early_blight/b.jpg                 healthy/a.jpg,healthy,camera 1,train

Without a split.csv each class is cut by a seeded draw for each file. Needs no torch.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from swin2mcu.common.card import Card, SplitRule
from swin2mcu.common.cli import UserError
from swin2mcu.common.pixels import IMAGE_SUFFIXES, load_pixels

SPLITS = ("train", "val", "test")
GIVEN = SplitRule()
CORRUPT_SHARE_MAX = 0.05  # more than this and it is the folder that is wrong, not a few files


@dataclass(frozen=True)
class ImageFolder:
    """What is where. Arrays run over the images in the order of `files`."""

    root: Path
    classes: tuple[str, ...]  # sorted folder names = the order of the network's outputs
    files: tuple[str, ...]  # relative to root, with forward slashes
    labels: npt.NDArray[np.int64]
    splits: npt.NDArray[np.str_]  # "train", "val" or "test"
    sources: tuple[str, ...]  # the photo's origin where split.csv tells, else ""

    def indices(self, split: str) -> npt.NDArray[np.int64]:
        """Positions of one split's images. Raises UserError when it has none."""
        found = np.flatnonzero(self.splits == split)
        if not len(found):
            raise UserError(f"{self.root} has no {split} images: check its split.csv")
        return found.astype(np.int64)

    def learnt_from(self) -> str:
        """A digest of the classes and of the names and labels of what training reads: train, val.

        Without a split.csv a photo's name decides its split, so a new photo changes it, mostly.
        """
        rows = zip(self.splits, self.files, self.labels, strict=True)
        lines = [f"{split} {label} {file}" for split, file, label in rows if split != "test"]
        return hashlib.sha256("\n".join([*self.classes, *lines]).encode()).hexdigest()

    def without(self, positions: set[int]) -> ImageFolder:
        """The same folder with some images left out; an error above 5 % of it.

        Raises UserError also when nothing is left of a class.
        """
        if not positions:
            return self
        if len(positions) > CORRUPT_SHARE_MAX * len(self.files):
            raise UserError(
                f"{len(positions)} of {len(self.files)} images in {self.root} cannot be read "
                f"(first: {self.files[min(positions)]}): more than {CORRUPT_SHARE_MAX:.0%}, "
                "so mend the folder first"
            )
        keep = np.array([i for i in range(len(self.files)) if i not in positions], dtype=np.int64)
        labels = self.labels[keep]
        for number, name in enumerate(self.classes):
            if not (labels == number).any():
                raise UserError(f"{self.root}/{name} holds no readable image: mend or remove it")
        return ImageFolder(
            self.root,
            self.classes,
            tuple(self.files[i] for i in keep),
            labels,
            self.splits[keep],
            tuple(self.sources[i] for i in keep),
        )


def scan_folder(root: Path, rule: SplitRule = GIVEN) -> ImageFolder:
    """List a data set, cut as `rule` says, without decoding its images.

    Raises UserError for a missing folder, one without images, fewer than two classes, or a
    split.csv that cannot be read or names a missing file, an unknown split or another class than
    the file's folder.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder: name a folder that holds one folder per class")
    files = sorted(
        path.relative_to(root).as_posix()
        for path in root.glob("*/*")
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.parent.name.startswith(".")
    )
    if not files:
        raise UserError(
            f"{root} holds no image: expected {root}/<class>/<image>"
            f" with {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    path = root / "split.csv"
    # A link to nowhere and a folder of that name are refused: a draw in their stead would leak.
    given = path.exists() or path.is_symlink()
    table = _read_split(path, set(files)) if given else None
    if table is not None:
        files = sorted(table)
    classes = tuple(sorted({file.split("/")[0] for file in files}))
    if len(classes) < 2:
        raise UserError(f"{root} has one class only ({classes[0]}): at least two are needed")
    number = {name: i for i, name in enumerate(classes)}
    labels = np.array([number[file.split("/")[0]] for file in files], dtype=np.int64)
    if table is not None:
        splits = np.array([table[file][0] for file in files])
        sources = tuple(table[file][1] for file in files)
    else:
        splits = _draw_split(files, labels, rule)
        sources = ("",) * len(files)
    folder = ImageFolder(root, classes, tuple(files), labels, splits, sources)
    return random_split(folder, rule.seed) if rule.kind == "random" else folder


def folder_of_model(root: Path, card: Card) -> ImageFolder:
    """List a data set, cut as the model's training cut it: nothing it was trained on is its test.

    Raises UserError where the folder's classes are not the model's.
    """
    folder = scan_folder(root, card.split)
    if folder.classes != card.classes:
        raise UserError(
            f"{root} has the classes {', '.join(folder.classes)}, {card.name} knows "
            f"{', '.join(card.classes)}: name the images that the model was trained for"
        )
    return folder


def random_split(folder: ImageFolder, seed: int = 0) -> ImageFolder:
    """The folder with each class's photos dealt out anew; every split keeps its size per class.

    It is what most papers report: neighbouring photos of one leaf land on both sides.
    """
    rng = np.random.default_rng(seed)
    splits = folder.splits.copy()
    for label in range(len(folder.classes)):
        positions = np.flatnonzero(folder.labels == label)
        splits[positions] = rng.permutation(splits[positions])
    return dataclasses.replace(folder, splits=splits)


def load_split_pixels(
    folder: ImageFolder, split: str, size: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], tuple[str, ...], tuple[str, ...]]:
    """Evaluation pixels of one split: (N, size, size, 3) uint8, labels, files, corrupt files.

    The pixels are swin2mcu.common.pixels' and no other. Corrupt images are left out, and are an
    error above 5 % of the folder.
    """
    pixels, positions, corrupt = [], [], []
    for position in folder.indices(split):
        try:
            pixels.append(load_pixels(folder.root / folder.files[position], size, size))
            positions.append(int(position))
        except UserError:
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


def _read_split(path: Path, present: set[str]) -> dict[str, tuple[str, str]]:
    """split.csv → {file: (split, source)}. Files it does not name are not used."""
    table: dict[str, tuple[str, str]] = {}
    for line, row in _rows(path):
        file, split = row["file"], row["split"]
        if file not in present:
            raise UserError(f"{path}, line {line}: {file} is missing from {path.parent}")
        if split not in SPLITS:
            raise UserError(f"{path}, line {line}: split {split!r} is none of {SPLITS}")
        if file in table:
            raise UserError(f"{path}, line {line}: {file} is named twice")
        if file.split("/")[0] != row["class"]:
            raise UserError(
                f"{path}, line {line}: {file} is not in the folder of class {row['class']}"
            )
        table[file] = (split, row.get("source") or "")
    if not table:
        raise UserError(f"{path} names no image: fill it or remove it")
    return table


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Line numbers and rows of split.csv. Raises UserError unless it is such a table."""
    try:
        # Excel's "CSV UTF-8" begins with a byte order mark.
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns = set(reader.fieldnames or ())
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 ({error}): save it as CSV UTF-8") from error
    except csv.Error as error:
        raise UserError(f"{path} is no table ({error}): mend or remove it") from error
    if missing := {"file", "class", "split"} - columns:
        raise UserError(f"{path} lacks the column {', '.join(sorted(missing))}")
    return rows


def _draw_split(
    files: Sequence[str], labels: npt.NDArray[np.int64], rule: SplitRule
) -> npt.NDArray[np.str_]:
    """Cut every class by a draw for each file's name, so that small classes reach each split.

    A name's draw does not depend on what else is there: photos that are added later never move one
    from train to test, and a model trained before is still scored on what it never saw.
    """
    if rule.val_share + rule.test_share >= 1:
        raise UserError(
            f"val_share {rule.val_share} and test_share {rule.test_share} leave nothing to train on"
        )
    splits = np.full(len(files), "train", dtype="<U5")
    draws = np.array([_draw(rule.seed, file) for file in files])
    for label in np.unique(labels):
        positions = np.flatnonzero(labels == label)
        if len(positions) < len(SPLITS):
            raise UserError(
                f"a class has {len(positions)} images, too few for train, val and test: "
                "add images or a split.csv"
            )
        positions = positions[np.argsort(draws[positions])]
        held_out = np.cumsum([rule.val_share, rule.test_share])
        val, test = np.searchsorted(draws[positions], held_out)
        val = min(max(val, 1), len(positions) - 2)  # no split of a class may be empty
        test = min(max(test, val + 1), len(positions) - 1)
        splits[positions[:val]] = "val"
        splits[positions[val:test]] = "test"
    return splits


def _draw(seed: int, file: str) -> float:
    """A number in [0, 1) that looks random and is the same for a file at any time."""
    digest = hashlib.blake2b(f"{seed} {file}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


def spread(count: int, limit: int | None) -> list[int]:
    """Positions of `limit` of `count` images, evenly spaced: images lie in the order of classes.

    Every tool that scores a part of a split takes these, or their figures would be of other images.
    """
    if limit is None or limit >= count:
        return list(range(count))
    return [i * count // limit for i in range(limit)]
