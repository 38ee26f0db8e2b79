"""One importer for every command: a folder of photos, or a CSV, → files, labels, splits, groups.

`layouts` reads the folders, `table` the CSV; `groups` finds groups of photos, `draw` makes the
splits, `summary` prints what was read. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from swin2mcu.common.card import GROUP, PHOTO, Card, SplitRule
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset.draw import draw_splits, draws_photos, units_of
from swin2mcu.common.dataset.folder import (
    ImageFolder,
    check_class_names,
    check_corrupt,
    keep_few,
    load_split_pixels,
    random_split,
    spread,
)
from swin2mcu.common.dataset.groups import (
    AUTO,
    folders_around,
    group_images,
    group_unlabeled,
    nearest_group,
)
from swin2mcu.common.dataset.layouts import GROUPS_MIN, SPLITS, place_images, printable
from swin2mcu.common.dataset.same_photo import equal_photos
from swin2mcu.common.dataset.summary import announce
from swin2mcu.common.dataset.table import NAME, UNLABELED, Row, not_named, read_table
from swin2mcu.common.dataset.trained import unseen_by
from swin2mcu.common.dataset.walk import PassedOver, list_images, nothing_found, passed_text

__all__ = [
    "SPLITS",
    "ImageFolder",
    "check_corrupt",
    "import_folder",
    "keep_few",
    "load_split_pixels",
    "name_of",
    "random_split",
    "scan_folder",
    "spread",
]

GIVEN = SplitRule()
TABLE_SPLITS = "splits as the table says"  # all of them: a missing test split is not drawn


def import_folder(
    data: Path, rule: SplitRule = GIVEN, card: Card | None = None, run: Path | None = None
) -> ImageFolder:
    """List a data set, print a summary on stderr, and check the classes. Every command calls this.

    With a model's `card` the set is split as in that model's training; with its folder `run`,
    photos that it was trained on are left out of val and test. Raises UserError as scan_folder and
    unseen_by do, and if the classes are not the model's.
    """
    folder = scan_folder(data, card.split if card else rule)
    if card and folder.classes != card.classes:
        raise UserError(
            f"{data} has the classes {', '.join(folder.classes)}, {card.name} knows "
            f"{', '.join(card.classes)}: name the images that the model was trained for"
        )
    if run:
        folder = unseen_by(folder, run)
    announce(folder)
    return folder


def scan_folder(data: Path, rule: SplitRule = GIVEN, level: str = "") -> ImageFolder:
    """List a folder (or a CSV beside its photos), split by `rule`, without decoding any image.

    A split.csv has priority over the folders. `level` says which folders are classes if this is
    ambiguous. Raises UserError for a missing folder, one without images, fewer than two classes,
    a layout or a CSV that is not understood, or the same photo under two classes.
    """
    table, root = (data, data.parent) if data.suffix.lower() == ".csv" else (data / NAME, data)
    if not root.is_dir():
        raise UserError(f"{root} is not a folder: name a folder that holds one folder per class")
    files, passed = list_images(root)
    by = rule.group_by
    if not files:
        raise nothing_found(root, passed)
    # A dangling link and a folder of that name raise an error: a random split instead would leak.
    if table.exists() or table.is_symlink() or table is data:
        every, columns = read_table(table, files, by)
        if by in columns:
            if not any(row.group for row in every):
                raise UserError(f"--group-by {by}: this column of {table} is empty")
            by = AUTO  # the rows hold the column's values
        if unused := sorted(set(files) - {row.file for row in every}):
            passed[not_named(table)] = tuple(unused)
        rows = [row for row in every if row.split != UNLABELED]
        apart = [row for row in every if row.split == UNLABELED]
        around = [folders_around(row) for row in rows]
        labels = {row.label for row in rows}
        around_apart = [folders_around(row, labels) for row in apart]
        how, note = TABLE_SPLITS if any(row.split for row in rows) else "", ""
    else:
        layout = place_images(root, files, level)
        note = layout.note
        passed |= layout.passed_over
        named = sorted(layout.places.items())
        rows = [Row(file, place.label, place.split, place.above) for file, place in named]
        around = [place.around for _, place in named]
        known = {row.group for row in rows}
        # Where no photo with a label has a group, a class is no group: rust/unlabeled/leaf.jpg
        apart = [
            Row(f, "", UNLABELED, nearest_group(p, known) if any(known) else "")
            for f, p in layout.unlabeled.items()
        ]
        around_apart = [place.around for place in layout.unlabeled.values()]
        how = "splits as the folders say" if any(row.split for row in rows) else ""
    if not rows:
        raise nothing_found(root, passed)
    folder = _cut(root, rows, group_images(rows, around, by), passed, rule, how)
    return replace(
        folder,
        unlabeled=tuple(row.file for row in apart),
        unlabeled_groups=group_unlabeled(apart, around_apart, by),
        note=note,
        name=name_of(data),
    )


def name_of(data: Path) -> str:
    """What records call a data set: its folder, and the table where it is not its split.csv."""
    if data.suffix.lower() != ".csv":
        return data.resolve().name  # also of "."
    folder = data.parent.resolve().name
    return folder if data.name == NAME else f"{folder}/{data.name}"


def _cut(
    root: Path,
    rows: Sequence[Row],
    groups: tuple[str, ...],
    passed: PassedOver,
    rule: SplitRule,
    how: str,
) -> ImageFolder:
    files = tuple(row.file for row in rows)
    names = [printable(row.label) for row in rows]
    classes = tuple(sorted(set(names)))
    if len(classes) < 2:
        raise UserError(
            f"{root} has one class only ({classes[0]}): at least two are needed"
            + passed_text(passed)
        )
    check_class_names(root, classes)
    equal = equal_photos(root, files, names)
    given = [row.split for row in rows]
    by_photo = draws_photos(groups, rule)
    whole = how == TABLE_SPLITS
    drawn_as = units_of(files, groups, by_photo, equal)
    splits = draw_splits(drawn_as, names, groups, given, rule, whole)
    if rule.test_group:
        how = f"test is the group {rule.test_group}"
        kept = {
            split for split, group in zip(given, groups, strict=True) if group != rule.test_group
        }
        if by_photo and "val" not in kept:
            how += ", val photo by photo from the few others"
    elif drawn := [s for s in SPLITS[1:] if s in splits and s not in given]:
        units = len(set(filter(None, groups)))
        what = f"group ({units})" + ("" if all(groups) else " and photo") if units else "photo"
        if by_photo:
            few = f"since fewer than {GROUPS_MIN} groups were found"
            what = f"photo, {'as for training' if rule.drawn_by else few}"
        how += f"{', ' if how else ''}{' and '.join(drawn)} drawn by {what} (seed {rule.seed})"
    labels = np.array([classes.index(name) for name in names], dtype=np.int64)
    sources = tuple(row.source for row in rows)
    drawn_by = PHOTO if by_photo else GROUP
    folder = ImageFolder(
        root, classes, files, labels, splits, sources, groups, passed, how, rule.crop, drawn_by
    )
    copies = tuple(tuple(files[i] for i in positions) for positions in equal)
    folder = replace(folder, equal=copies)
    return random_split(folder, rule.seed) if rule.kind == "random" else folder
