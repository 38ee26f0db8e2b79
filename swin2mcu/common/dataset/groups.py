"""Groups of photos that must stay in one split: of one farm, day, plant, or original photo."""

from __future__ import annotations

import re
from collections.abc import Sequence

from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset.layouts import ROBOFLOW_COPY, SPLIT_NAMES, printable
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
    if group_by == AUTO:
        groups = [row.group for row in rows]
    elif group_by == ALONE:
        groups = [""] * len(rows)
    elif group_by == BY_FOLDER:
        groups = list(around)
    else:
        pattern = _compiled(group_by)
        groups = [_in_name(pattern, row.file) for row in rows]
    if group_by not in (AUTO, ALONE) and not any(groups):
        raise UserError(f"--group-by {group_by} finds a group for none of {len(rows)} photos")
    return tuple(group or original(row.file) for group, row in zip(groups, rows, strict=True))


def folders_around(row: Row) -> str:
    """A photo's folders except those of its split and of its class, which is from a table."""
    folders = row.file.split("/")[:-1]
    return "/".join(
        f for f in folders if printable(f) != row.label and f.lower() not in SPLIT_NAMES
    )


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
