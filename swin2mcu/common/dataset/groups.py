"""Groups of photos that must stay in one split: of one farm, day, plant, or original photo."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset.layouts import (
    ROBOFLOW_COPY,
    SPLIT_NAMES,
    UNLABELED_NAMES,
    Place,
    printable,
)
from swin2mcu.common.dataset.table import Row

AUTO, BY_FOLDER, ALONE = "", "folder", "none"


def group_images(rows: Sequence[Row], around: Sequence[str], group_by: str) -> tuple[str, ...]:
    """The name of each row's group, "" for a photo without a group.

    `around` holds the folders of each photo except those of its split and its class. `group_by` is
    "folder" (use `around`), a regular expression that is searched in the file's name (its first
    parenthesis, or else the whole match, is the group's name), "none", or "" (use the row's group,
    which may be from any column of a table).
    Roboflow's copies of one photo are a group if nothing else groups them. Raises UserError for an
    invalid expression, and for a rule that finds no group.
    """
    groups = _groups_by(rows, around, group_by)
    if group_by not in (AUTO, ALONE) and not any(groups):
        raise UserError(f"--group-by {group_by} finds a group for none of {len(rows)} photos")
    return tuple(group or original(row.file) for group, row in zip(groups, rows, strict=True))


def group_unlabeled(rows: Sequence[Row], around: Sequence[str], group_by: str) -> dict[str, str]:
    """File → group, of the photos without a label that have one; found as in group_images."""
    groups = _groups_by(rows, around, group_by)
    named = {row.file: group or original(row.file) for row, group in zip(rows, groups, strict=True)}
    return {file: group for file, group in named.items() if group}


def nearest_group(place: Place, known: Collection[str]) -> str:
    """The group of a photo without a label: the innermost of its folders that is a `known` one.

    A known group is named by the folders above the class. south/unlabeled/a.jpg and
    unlabeled/south/a.jpg are both of "south". If none is known, these are the folders above.
    """
    folders = place.around.split("/")
    inward = ("/".join(folders[:n]) for n in range(len(folders), 0, -1))
    return next((name for name in inward if name in known), place.above)


def _groups_by(rows: Sequence[Row], around: Sequence[str], group_by: str) -> list[str]:
    if group_by == AUTO:
        groups = [row.group for row in rows]
    elif group_by == ALONE:
        groups = [""] * len(rows)
    elif group_by == BY_FOLDER:
        groups = list(around)
    else:
        pattern = _compiled(group_by)
        groups = [_in_name(pattern, row.file) for row in rows]
    return groups


def folders_around(row: Row, classes: Collection[str] = ()) -> str:
    """A photo's folders except those of its split and of its class, which is from a table.

    A photo without a label may lie in the folder of any of the `classes`, or in "unlabeled".
    """
    none = (*SPLIT_NAMES, *(() if row.label else UNLABELED_NAMES))
    called = {row.label} if row.label else {*classes}
    folders = row.file.split("/")[:-1]
    return "/".join(f for f in folders if printable(f) not in called and f.lower() not in none)


def original(file: str) -> str:
    """The photo that a Roboflow copy was made from, with its folders; "" for other files.

    Folders of splits are left out: Roboflow may put the copies of one photo into several.
    """
    *folders, name = file.split("/")
    found = ROBOFLOW_COPY.fullmatch(name)
    if not found:
        return ""
    return "/".join([*(f for f in folders if f.lower() not in SPLIT_NAMES), found["photo"]])


def _compiled(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, RecursionError) as error:
        raise UserError(
            f"--group-by {text!r} is neither folder nor none nor a regular expression: {error}"
        ) from error


def _in_name(pattern: re.Pattern[str], file: str) -> str:
    found = pattern.search(file.rsplit("/", 1)[-1])
    if found is None:
        return ""
    return (found[1] or "") if pattern.groups else found[0]
