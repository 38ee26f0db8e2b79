"""split.csv: the table with the class and the split of every photo; its reader and its writer.

    file,class[,split][,group][,source]
    healthy/a.jpg,healthy,train,farm A,camera 1

`file` is relative to the table's folder. Files that it does not name are not used. A photo without
a label has no class and the split "unlabeled".
"""

from __future__ import annotations

import csv
import io
import re
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from swin2mcu.common.cli import UserError, write_atomic
from swin2mcu.common.dataset.folder import ImageFolder
from swin2mcu.common.dataset.layouts import SPLITS, printable

NAME = "split.csv"
UNLABELED = "unlabeled"  # the split of a photo without a label


@dataclass(frozen=True)
class Row:
    """One photo; "" for a column that the table does not have."""

    file: str
    label: str
    split: str = ""
    group: str = ""
    source: str = ""  # its origin: a camera, a laboratory


def read_table(
    path: Path, present: Collection[str], group_by: str = ""
) -> tuple[list[Row], frozenset[str]]:
    """Rows of a table in the order of their files, each of a file that is `present`; its columns.

    A row's group is from the column `group_by` if there is one, else from "group". Raises
    UserError, which names the line, for a file that is missing or named twice, an unknown split,
    or a class other than the folder's; and UserError for a file that is not such a table.
    """
    known = set(present)
    raw = _read(path)
    # File names need not be UTF-8: other bytes become surrogates, which open the same file.
    text = raw.decode("utf-8-sig", "surrogateescape")
    names, rows = _parse(path, text)
    columns = set(names) - {""}
    grouping = group_by if group_by in columns else "group"
    for name in ("file", "class", "split", "source", grouping):
        if names.count(name) > 1:
            raise UserError(f"{path} has {names.count(name)} columns {name}: keep one of them")
    table: dict[str, Row] = {}
    classes = {printable(row["class"] or "") for _, row in rows if "class" in columns}
    for line, row in rows if {"file", "class"} <= columns else []:
        where = f"{path}, line {line}"
        file, label = row["file"] or "", printable(row["class"] or "")
        if file not in known:
            _check_text(path, raw)
            raise UserError(f"{where}: {file} is missing from {path.parent}")
        split = row.get("split") or ""
        if "split" in columns and split not in (*SPLITS, UNLABELED):
            raise UserError(f"{where}: split {split!r} is none of {SPLITS}")
        if file in table:
            raise UserError(f"{where}: {file} is named twice")
        if not label and split != UNLABELED:
            raise UserError(f"{where}: {file} has no class")
        if label and split == UNLABELED:
            raise UserError(
                f"{where}: {file} is unlabeled and has the class {label}: leave one out"
            )
        if other := contradicts(file, label, classes):
            raise UserError(
                f"{where}: {file} is in the folder of class {other}, but the table says {label}"
            )
        table[file] = Row(file, label, split, row.get(grouping) or "", row.get("source") or "")
    if missing := {"file", "class"} - columns:
        _check_text(path, raw)
        seen = f": its columns are {', '.join(map(repr, names[:9]))}" if names else ""
        raise UserError(f"{path} lacks the column {', '.join(sorted(missing))}{seen}")
    if not table:
        raise UserError(f"{path} names no image: fill it or remove it")
    return [table[file] for file in sorted(table)], frozenset(columns)


def columns_of(path: Path) -> frozenset[str]:
    """The names of a table's columns. Raises UserError where it is none."""
    columns, _ = _parse(path, _read(path).decode("utf-8-sig", "surrogateescape"))
    return frozenset(columns) - {""}


def not_named(path: Path) -> str:
    """Why a photo of the folder is passed over that the table does not name."""
    return f"photo that {path.name} does not name"


def contradicts(file: str, label: str, classes: Collection[str]) -> str:
    """The class whose folder the file is in, where that is not `label`; else ""."""
    folders = {printable(folder) for folder in file.split("/")[:-1]}
    other = sorted(folders & set(classes))
    return other[0] if other and label and label not in folders else ""


def write_table(path: Path, rows: Iterable[Row]) -> None:
    """Write split.csv atomically. It has a group column if any row has a group."""
    rows = list(rows)
    grouped = any(row.group for row in rows)
    stream = io.StringIO()
    # csv does not quote a carriage return in a name, and reads it as a new line.
    returns = any("\r" in text for row in rows for text in (row.file, row.label, row.group))
    writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL if returns else 0)
    writer.writerow(("file", "class", "source", "split", *(["group"] if grouped else [])))
    for row in rows:
        group = [row.group] if grouped else []
        writer.writerow((row.file, row.label, row.source, row.split, *group))
    write_atomic(path, stream.getvalue().encode(errors="surrogateescape"))


def rows_of(folder: ImageFolder) -> list[Row]:
    """A listed folder as rows of a table."""
    columns = (folder.files, folder.labels, folder.splits.tolist(), folder.groups, folder.sources)
    rows = [
        Row(file, folder.classes[label], split, group, source)
        for file, label, split, group, source in zip(*columns, strict=True)
    ]
    groups = folder.unlabeled_groups
    return [*rows, *(Row(f, "", UNLABELED, groups.get(f, "")) for f in folder.unlabeled)]


def _read(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait forever
            raise UserError(f"{path} is not a plain file")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _check_text(path: Path, raw: bytes) -> None:
    try:
        raw.decode("utf-8-sig")  # Excel's "CSV UTF-8" starts with a byte order mark
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 ({error}): save it as CSV UTF-8") from error


def _stripped(row: dict[str, str]) -> dict[str, str]:
    """A row without spaces around its cells: "farm 3 " is no other farm. A file may be named so."""
    return {
        name: cell.strip() if isinstance(cell, str) and name != "file" else cell
        for name, cell in row.items()
    }


def _parse(path: Path, text: str) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The names of the columns, and pairs of line number and row; rows of nothing are left out."""
    head = re.split(r"[\r\n]", text, maxsplit=1)[0]
    # Excel writes semicolons where the comma is the decimal mark. Another separator than the comma
    # is taken only where it alone finds the columns.
    cells = {mark: {c.strip() for c in head.replace('"', "").split(mark)} for mark in ",;\t"}
    found = (mark for mark, names in cells.items() if {"file", "class"} <= names)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=next(found, ","))
        names = reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        rows = [(reader.line_num, _stripped(row)) for row in reader if any(row.values())]
        return names, rows
    except csv.Error as error:
        raise UserError(f"{path} is not a table ({error}): repair or remove it") from error
