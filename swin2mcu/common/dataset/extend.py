"""Change a listed data set without moving a file: new photos join it, classes get other names.

The result is written as a table of another name. So the old table stays, with the split that a
model was trained with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from swin2mcu.common.card import SplitRule
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import scan_folder
from swin2mcu.common.dataset.draw import draw_one
from swin2mcu.common.dataset.folder import ImageFolder
from swin2mcu.common.dataset.groups import original
from swin2mcu.common.dataset.layouts import place_images, printable
from swin2mcu.common.dataset.same_photo import check_same_photo
from swin2mcu.common.dataset.table import NAME, Row, rows_of
from swin2mcu.common.dataset.walk import list_images


def rename_classes(folder: ImageFolder, names: Mapping[str, str]) -> ImageFolder:
    """Give classes other names. Two classes that get one name become one class.

    Raises UserError for a class that is not there, and if fewer than two are left.
    """
    if unknown := sorted(set(names) - set(folder.classes)):
        raise UserError(f"no class is called {unknown[0]!r}; there are {', '.join(folder.classes)}")
    after = [names.get(name, name) for name in folder.classes]
    classes = tuple(sorted(set(after)))
    if len(classes) < 2:
        raise UserError(f"only the class {classes[0]} would be left: at least two are needed")
    moved = np.array([classes.index(name) for name in after], dtype=np.int64)
    return replace(folder, classes=classes, labels=moved[folder.labels])


def with_new_photos(data: Path, rule: SplitRule, level: str = "") -> ImageFolder:
    """A table's data set, and the photos of its folder that the table does not name.

    A new photo has the class of its folder, under the name that the table gives to the photos of
    this folder. It goes where its group lies; the split of a new group, or of a photo without one,
    is drawn by its name. Where the table has groups, the folders above the class are one. Raises
    UserError if there is no table or no new photo, and for the same photo under two classes.
    """
    table = data if data.suffix.lower() == ".csv" else data / NAME
    if not table.is_file():
        raise UserError(f"{table} is missing: without a table, new photos are taken by themselves")
    folder = scan_folder(data, rule)
    rows = [row for row in rows_of(folder) if row.label]
    files, _ = list_images(folder.root)
    places = place_images(folder.root, files, level).places
    new = sorted(set(places) - {*folder.files, *folder.unlabeled})
    if not new:
        raise UserError(f"{table} names all photos of the folder already")
    labels = {printable(places[row.file].label): row.label for row in rows if row.file in places}
    splits = {row.group: row.split for row in rows if row.group}
    for file in new:
        place = places[file]
        label = printable(place.label)
        group = original(file) or (place.above if splits else "")
        split = place.split or splits.get(group) or draw_one(group or file, rule, folder.splits)
        rows.append(Row(file, labels.get(label, label), split, group))
    rows.sort(key=lambda row: row.file)
    names = [row.label for row in rows]
    check_same_photo(folder.root, [row.file for row in rows], names)
    classes = tuple(sorted(set(names)))
    return replace(
        folder,
        classes=classes,
        files=tuple(row.file for row in rows),
        labels=np.array([classes.index(name) for name in names], dtype=np.int64),
        splits=np.array([row.split for row in rows], dtype="<U5"),
        sources=tuple(row.source for row in rows),
        groups=tuple(row.group for row in rows),
        passed_over={k: v for k, v in folder.passed_over.items() if not set(v) <= {*new}},
        cut_by=f"splits as {table.name} says, {len(new):,} photos are new",
    )
