"""Read a photo's split, class and group from the folders around it.

    healthy/a.jpg                    a class                      (also healthy/day 1/a.jpg)
    train/healthy/a.jpg              a split and a class          (valid, val, test, training, ...)
    healthy/train/a.jpg              the same
    farm A/healthy/a.jpg             a group and a class
    training/healthy.a.jpg           a split, and the class in the file's name (Edge Impulse)

A folder that is named like a split is never a class, and `unlabeled` is reserved for photos without
a class.
"""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset.walk import LOOSE, PassedOver

SPLITS = ("train", "val", "test")
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "train_set", "training_set"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "val_set", "validation_set"), "val"),
    **dict.fromkeys(("test", "testing", "test_set"), "test"),
}
UNLABELED_NAMES = ("unlabeled", "unlabelled")
GROUPS_MIN = 3  # with fewer, the same folders in each may also be parts of every class
STRAY_SHARE_MAX = 0.1  # of the photos; so many may lie beside the folders of the others by mistake
LEVELS = ("", "outer", "inner")  # which folders are the classes; "" = found from the folders
CLASS_IN_NAME = re.compile(r"(?P<label>[^.]+)\.[^.]+(\..*)?\.[^.]+")
ROBOFLOW_COPY = re.compile(r"(?P<photo>.+)\.rf\.[0-9A-Za-z]{16,}\.[^.]+")

Folders = tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """The information in a file's path; "" for what it does not contain."""

    split: str
    label: str
    above: str  # folders between the split and the class, or "unlabeled"
    below: str  # folders between these and the photo

    @property
    def around(self) -> str:
        return "/".join(filter(None, (self.above, self.below)))


@dataclass(frozen=True)
class Layout:
    """What the folders around the photos say."""

    places: dict[str, Place]  # of the files with a class
    unlabeled: dict[str, Place]  # split and label are ""
    passed_over: PassedOver
    note: str = ""  # how folders were understood, where they can be understood in two ways


def place_images(root: Path, files: Sequence[str], level: str = "") -> Layout:
    """The class, the split and the group of each file, from its folders.

    `level` says which folders are the classes, for layouts where this is ambiguous. Raises
    UserError where only some photos are in folders of splits, or if the classes stay ambiguous.
    """
    folders = {file: tuple(file.split("/")[:-1]) for file in files}
    apart = {file: folders.pop(file) for file in files if _is_unlabeled(folders[file])}
    splits = _take_splits(root, folders)
    by_name = _labels_in_names(folders)
    common = _drop_common(folders, keep=0 if by_name else 1)
    unlabeled = {file: _around_unlabeled(names, common) for file, names in apart.items()}
    loose = [file for file in folders if not folders[file]]
    note = ""
    if len(loose) == len(folders):
        places = {
            file: Place(splits.get(file, ""), label, "", "") for file, label in by_name.items()
        }
    else:
        for file in loose:
            del folders[file]
        at, note = _class_level(root, folders, level)
        places = {
            file: Place(splits.get(file, ""), f[at], "/".join(f[:at]), "/".join(f[at + 1 :]))
            for file, f in folders.items()
            if len(f) > at
        }
        loose += [file for file in folders if file not in places]
    lost = tuple(sorted(file for file in loose if file not in places))
    return Layout(places, unlabeled, {LOOSE: lost} if lost else {}, note)


def printable(name: str) -> str:
    """A folder's name as a class name. Class names are written to JSON and C, as valid UTF-8."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _is_unlabeled(folders: Folders) -> bool:
    return any(name.lower() in UNLABELED_NAMES for name in folders)


def _around_unlabeled(folders: Folders, common: Folders) -> Place:
    """The folders around "unlabeled"; `common` are left out, as for photos with a label."""
    at = next(i for i, name in enumerate(folders) if name.lower() in UNLABELED_NAMES)
    above, below = (
        [name for name in part if name.lower() not in SPLIT_NAMES]
        for part in (folders[:at], folders[at + 1 :])
    )
    for name in common:
        if above[:1] == [name]:
            del above[0]
    return Place("", "", "/".join(above), "/".join(below))


def _take_splits(root: Path, folders: dict[str, Folders]) -> dict[str, str]:
    """File → split, and remove the split's folder from the paths. {} if no folder is a split's."""
    splits = {}
    for file, names in folders.items():
        found = {SPLIT_NAMES[n.lower()] for n in names if n.lower() in SPLIT_NAMES}
        if len(found) > 1:
            raise UserError(f"{root}: {file} lies in two splits, {' and '.join(sorted(found))}")
        if found:
            splits[file] = found.pop()
    without = [file for file, names in folders.items() if names and file not in splits]
    if splits and without:
        raise UserError(
            f"{root}: {next(iter(splits))} is in the folder of a split, but {without[0]} is not; "
            "a folder named like a split is never a class: put every photo below train, val or "
            "test, or rename the folder"
        )
    for file in splits:
        folders[file] = tuple(n for n in folders[file] if n.lower() not in SPLIT_NAMES)
    return splits


def _labels_in_names(folders: dict[str, Folders]) -> dict[str, str]:
    """File → the label before the first dot of its name, if all files have one; else {}."""
    if len(set(folders.values())) > 1:
        return {}
    labels = {}
    for file in folders:
        name = file.rsplit("/", 1)[-1]
        found = CLASS_IN_NAME.fullmatch(name)
        if found is None or ROBOFLOW_COPY.fullmatch(name):
            return {}
        labels[file] = found["label"]
    # If there are more than half as many labels as photos, they are just names with dots.
    return labels if 2 <= len(set(labels.values())) <= len(labels) / 2 else {}


def _drop_common(folders: dict[str, Folders], keep: int) -> Folders:
    """Remove folders around all files, such as one that unzipping made. Returns them."""
    common: list[str] = []
    while (
        len({names[:1] for names in folders.values() if names}) == 1
        and _usual_depth([names for names in folders.values() if names]) > keep
    ):
        common.append(next(names[0] for names in folders.values() if names))
        for file, names in folders.items():
            folders[file] = names[1:]
    return tuple(common)


def _class_level(root: Path, folders: Mapping[str, Folders], level: str) -> tuple[int, str]:
    """Which of the folders around a photo is the class, 0 is the outermost; and a note on a likely
    guess."""
    paths = list(folders.values())
    depth = min(map(len, paths))
    if level == "outer":
        return 0, ""
    at, sure = _repeated_level(paths, depth)
    stray = ""
    usual = _usual_depth(paths)
    if not at and usual > depth:
        # A few photos beside the class folders of one farm would make the farms the classes.
        inner_at, _ = _repeated_level([path for path in paths if len(path) >= usual], usual)
        if inner_at >= depth:
            at, sure = inner_at, False
            first = next(file for file, path in folders.items() if len(path) <= at)
            stray = f" ({first} lies beside the latter)"
    if level:
        return (at if stray else depth - 1), ""
    if not at:
        return 0, ""
    outer, inner = ({path[i] for path in paths if len(path) > at} for i in (0, at))
    if sure:
        return at, (
            f"classes are the inner folders {_few(inner)}; the outer {_few(outer)} are "
            f"groups (if not: swin2mcu split {shlex.quote(str(root))} --classes outer --write)"
        )
    raise UserError(
        f"{root}: the classes may be {_few(outer)} or {_few(inner)}{stray}: say which folders "
        f"they are by `swin2mcu split {shlex.quote(str(root))} --classes outer --write`, or inner"
    )


def _repeated_level(paths: Sequence[Folders], depth: int) -> tuple[int, bool]:
    """The innermost folder above `depth` whose names lie in several others, as classes do inside
    groups, 0 if there is none; and whether this is sure enough to be taken."""
    names = [{path[i] for path in paths} for i in range(depth)]
    for i in range(depth - 1, 0, -1):
        if len(names[i]) < 2 or (_numbered(names[i]) and not _numbered(names[0])):
            continue
        parents: dict[str, set[Folders]] = defaultdict(set)
        for path in paths:
            parents[path[i]].add(path[:i])
        repeated = [name for name, where in parents.items() if len(where) > 1]
        many = len({path[:i] for path in paths}) >= GROUPS_MIN
        if repeated:
            return i, _numbered(names[0]) or (many and len(repeated) == len(names[i]))
    return 0, False


def _usual_depth(paths: Sequence[Folders]) -> int:
    """The number of folders that at most a few photos have fewer of."""
    return sorted(map(len, paths))[int(STRAY_SHARE_MAX * len(paths))]


def _numbered(names: set[str]) -> bool:
    """Whether names differ only in a number, a date or a last letter: day 1, day 2; plot A."""
    stems = {re.sub(r"\d+|[ _-][A-Za-z]$|(?<=[a-z])[A-Z]$", "", n).strip(" _-.") for n in names}
    return len(names) > 1 and len(stems) == 1


def _few(names: set[str]) -> str:
    some = sorted(map(printable, names))
    return ", ".join(some[:3]) + (", …" if len(some) > 3 else "")
