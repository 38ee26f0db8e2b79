"""Change a listed data set without moving a file: new photos join it, classes get other names.

The result is written as a table of another name. So the old table stays, with the split that a
model was trained with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from swin2mcu.common.card import SplitRule
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import scan_folder
from swin2mcu.common.dataset.draw import draw_one, units_of
from swin2mcu.common.dataset.folder import ImageFolder, check_class_names
from swin2mcu.common.dataset.groups import (
    AUTO,
    folders_around,
    group_images,
    group_unlabeled,
    nearest_group,
    original,
)
from swin2mcu.common.dataset.layouts import Layout, Place, place_images, printable
from swin2mcu.common.dataset.same_photo import equal_photos
from swin2mcu.common.dataset.table import (
    NAME,
    UNLABELED,
    Row,
    columns_of,
    contradicts,
    not_named,
    rows_of,
)
from swin2mcu.common.dataset.walk import LOOSE, list_images

UNCLEAR = "new photo beside photos of several classes"
COPY = "new copy of a photo outside of its group"


def rename_classes(folder: ImageFolder, names: Mapping[str, str]) -> ImageFolder:
    """Give classes other names. Two classes that get one name become one class.

    Raises UserError for a class that is not there, if fewer than two are left, and for a name that
    is no class's or that every reader of the table would refuse.
    """
    if unknown := sorted(set(names) - set(folder.classes)):
        raise UserError(f"no class is called {unknown[0]!r}; there are {', '.join(folder.classes)}")
    after = [names.get(name, name) for name in folder.classes]
    classes = tuple(sorted(set(after)))
    if len(classes) < 2:
        raise UserError(f"only the class {classes[0]} would be left: at least two are needed")
    check_class_names("--rename", classes)
    moved = np.array([classes.index(name) for name in after], dtype=np.int64)
    renamed = replace(folder, classes=classes, labels=moved[folder.labels])
    if names:
        check_writable(renamed)
    return renamed


def check_writable(folder: ImageFolder) -> None:
    """Raise UserError where every reader would refuse the folder's table."""
    for file, label in zip(folder.files, folder.labels.tolist(), strict=True):
        name = folder.classes[label]
        if other := contradicts(file, name, folder.classes):
            raise UserError(
                f"{file} would be of class {name} in the folder of class {other}, which no table "
                "may say: use a name that no folder has, or rename the folders"
            )


def with_new_photos(data: Path, rule: SplitRule, level: str = "") -> ImageFolder:
    """A table's data set, and the photos of its folder that the table does not name.

    A new photo has the class of its folder, under the name that the table gives to the photos of
    this folder. It is passed over where they have several classes. It goes where its group lies, or
    a file of the same bytes, or where its folder says; the split of a new group, or of a photo
    without one or of a group in several splits, is else drawn by its name. Where the table has
    groups, a new photo's is that of the photos in the same folders above the class, or these
    folders; unless `rule` groups in another way. A photo of a group is passed over where a photo
    outside of that group, known or of another new group, has the same bytes: in another split it
    would be seen twice, and its group would have to follow it. Raises UserError if there is no
    table or no new photo, if a group cannot be told, and for the same photo under two classes.
    """
    table = data if data.suffix.lower() == ".csv" else data / NAME
    if not table.is_file():
        raise UserError(f"{table} is missing: without a table, new photos are taken by themselves")
    folder = scan_folder(data, rule)
    rows = [row for row in rows_of(folder) if row.label]
    files, _ = list_images(folder.root)
    unnamed = sorted(set(files) - {*folder.files, *folder.unlabeled})
    if not unnamed:
        raise UserError(f"{table} names all photos of the folder already")
    layout = place_images(folder.root, files, level)
    labels, unclear = _labels_of(unnamed, rows, layout.places)
    unlabeled = sorted({*folder.unlabeled, *layout.unlabeled} - {*folder.files})
    lost = {LOOSE: sorted(set(unnamed) - {*labels, *unclear, *unlabeled}), UNCLEAR: unclear}
    reasons = {why: tuple(names) for why, names in lost.items() if names}
    if len(unlabeled) == len(folder.unlabeled) and not labels:
        seen = "; ".join(
            f"{len(names)} x {why}, {names[0]} first" for why, names in reasons.items()
        )
        raise UserError(f"{table}: no new photo's class is known ({seen}): write rows for them")
    new = _grouped(table, labels, rows, layout.places, rule)
    apart = _unlabeled_groups(table, set(unlabeled) - {*folder.unlabeled}, rows, layout, rule)
    lies: dict[str, set[str]] = {}
    for row in rows:
        lies.setdefault(row.group, set()).add(row.split)
    splits = {group: min(found) for group, found in lies.items() if group and len(found) == 1}
    known = {*folder.splits.tolist()} - ({"test"} if rule.test_group else set())
    rows, equal = _joined(folder.root, rows, new)
    if again := sorted({row.file for row in new} - {row.file for row in rows}):
        reasons[COPY] = tuple(again)
    files = [row.file for row in rows]
    names = [row.label for row in rows]
    # A group that the table splits says nothing of its new photos: each is drawn by itself.
    groups = [row.group if len(lies.get(row.group, ())) < 2 else "" for row in rows]
    units = units_of(files, groups, False, equal)
    lies_in = {u: row.split for u, row in zip(units, rows, strict=True) if row.file not in labels}
    for i, (unit, row) in enumerate(zip(units, rows, strict=True)):
        if row.file in labels:
            split = splits.get(row.group) or lies_in.get(unit) or row.split
            rows[i] = replace(row, split=split or draw_one(unit, rule, known))
    classes = tuple(sorted(set(names)))
    passed = {why: names for why, names in folder.passed_over.items() if why != not_named(table)}
    return replace(
        folder,
        classes=classes,
        files=tuple(files),
        labels=np.array([classes.index(name) for name in names], dtype=np.int64),
        splits=np.array([row.split for row in rows], dtype="<U5"),
        sources=tuple(row.source for row in rows),
        groups=tuple(row.group for row in rows),
        passed_over=passed | reasons,
        cut_by=f"splits as {table.name} says, {len(new) - len(again):,} photos are new",
        unlabeled=tuple(unlabeled),
        unlabeled_groups={**folder.unlabeled_groups, **apart},
        equal=tuple(tuple(files[i] for i in copies) for copies in equal),
    )


def _joined(
    root: Path, rows: Sequence[Row], new: Sequence[Row]
) -> tuple[list[Row], list[list[int]]]:
    """Both sorted by file, less new copies of another group's photos; and sets of equal files.

    Of copies in several new groups the first stays.
    """
    known = {row.file for row in rows}
    rows = sorted([*rows, *new], key=lambda row: row.file)
    equal = equal_photos(root, [row.file for row in rows], [row.label for row in rows])
    again: set[int] = set()
    for copies in equal:
        groups = {rows[i].group for i in copies if rows[i].file in known}
        for i in copies:
            if rows[i].file not in known and (own := rows[i].group):
                groups = groups or {own}
                if groups != {own}:
                    again.add(i)
    kept = [i for i in range(len(rows)) if i not in again]
    place = {old: new for new, old in enumerate(kept)}
    left = [[place[i] for i in copies if i in place] for copies in equal]
    return [rows[i] for i in kept], [copies for copies in left if len(copies) > 1]


def _labels_of(
    new: Sequence[str], rows: Sequence[Row], places: Mapping[str, Place]
) -> tuple[dict[str, str], list[str]]:
    """New photo → its class; and the photos in whose folder the table has several classes.

    All folders of one name say what it is called; where they differ, the photos beside it.
    """
    beside: dict[str, set[str]] = defaultdict(set)
    called: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        beside[_above(row.file)].add(row.label)
        if row.file in places:
            called[printable(places[row.file].label)].add(row.label)
    labels: dict[str, str] = {}
    unclear = []
    for file in new:
        if file not in places:
            continue
        own = printable(places[file].label)
        found = called.get(own, {own})
        if len(found) > 1:
            found = beside.get(_above(file), found)
        if len(found) > 1:
            unclear.append(file)
        else:
            labels[file] = min(found)
    return labels, unclear


def _grouped(
    table: Path,
    labels: Mapping[str, str],
    rows: Sequence[Row],
    places: Mapping[str, Place],
    rule: SplitRule,
) -> list[Row]:
    """The new photos as rows, grouped by the rule that grouped the table's `rows`."""
    by = AUTO if rule.group_by in columns_of(table) else rule.group_by
    inside = _groups_inside(rows, places)
    grouped = any(row.group for row in rows)
    new = []
    for file, label in labels.items():
        above = places[file].above
        groups = inside.get(above) or {above}
        if by == AUTO and len(groups) > 1 and not original(file):
            raise UserError(
                f"{table} has several groups for photos beside {file}: say by --group-by how to "
                "find its group, or write its row; it may else be in train and its group in test"
            )
        group = min(groups) if grouped and len(groups) == 1 else ""
        new.append(Row(file, label, places[file].split, group))
    # Together with the old ones: a rule that finds no group in the new photos alone is no error.
    every = [*rows, *new]
    found = group_images(every, [folders_around(row) for row in every], by)[len(rows) :]
    return [replace(row, group=group) for row, group in zip(new, found, strict=True)]


def _unlabeled_groups(
    table: Path, files: Collection[str], rows: Sequence[Row], layout: Layout, rule: SplitRule
) -> dict[str, str]:
    """File → group, of new photos without a label that have one; grouped as in `_grouped`."""
    by = AUTO if rule.group_by in columns_of(table) else rule.group_by
    inside = _groups_inside(rows, layout.places)
    grouped = any(row.group for row in rows)
    new = []
    for file in sorted(files):
        folders = nearest_group(layout.unlabeled[file], inside)
        groups = inside.get(folders) or {folders}
        group = min(groups) if grouped and len(groups) == 1 else ""
        new.append(Row(file, "", UNLABELED, group))
    classes = {row.label for row in rows}
    return group_unlabeled(new, [folders_around(row, classes) for row in new], by)


def _groups_inside(rows: Sequence[Row], places: Mapping[str, Place]) -> dict[str, set[str]]:
    """The folders above the class → the groups of their photos in the table."""
    inside: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.file in places and (not row.group or row.group != original(row.file)):
            inside[places[row.file].above].add(row.group)
    return inside


def _above(file: str) -> str:
    return file.rpartition("/")[0]
