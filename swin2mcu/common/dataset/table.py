"""split.csv: the one table that says what every photo is, and its one writer.

    file,class[,split][,group][,source]
    healthy/a.jpg,healthy,train,farm A,camera 1

`file` is relative to the table's folder. Files that it does not name are not used. A photo without
a label has no class and the split "unlabeled".
"""

from __future__ import annotations

import csv
import io
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
    """One photo; "" where the table has no such column."""

    file: str
    label: str
    split: str = ""
    group: str = ""
    source: str = ""  # its origin: a camera, a laboratory


def read_table(path: Path, present: Collection[str]) -> list[Row]:
    """The rows of a table in the order of their files, each of a file that is `present`.

    Raises UserError, with the line, for a file that is missing or named twice, an unknown split, or
    a class other than the folder's; and for a file that is no such table.
    """
    known = set(present)
    raw = _read(path)
    # The bytes of a file's name need not be UTF-8, and are found again as they are.
    text = raw.decode("utf-8-sig", "surrogateescape")
    columns, rows = _parse(path, text)
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
        folders = {printable(folder) for folder in file.split("/")[:-1]}
        if label and label not in folders and (other := sorted(folders & classes)):
            raise UserError(
                f"{where}: {file} lies in the folder of class {other[0]} and is said to be {label}"
            )
        table[file] = Row(file, label, split, row.get("group") or "", row.get("source") or "")
    if missing := {"file", "class"} - columns:
        _check_text(path, raw)
        raise UserError(f"{path} lacks the column {', '.join(sorted(missing))}")
    if not table:
        raise UserError(f"{path} names no image: fill it or remove it")
    return [table[file] for file in sorted(table)]


def write_table(path: Path, rows: Iterable[Row]) -> None:
    """Write split.csv in one step. The group's column is there where a row has a group."""
    rows = list(rows)
    grouped = any(row.group for row in rows)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("file", "class", "source", "split", *(["group"] if grouped else [])))
    for row in rows:
        group = [row.group] if grouped else []
        writer.writerow((row.file, row.label, row.source, row.split, *group))
    write_atomic(path, stream.getvalue().encode(errors="surrogateescape"))


def rows_of(folder: ImageFolder) -> list[Row]:
    """A listed folder as a table that says the same."""
    columns = (folder.files, folder.labels, folder.splits.tolist(), folder.groups, folder.sources)
    rows = [
        Row(file, folder.classes[label], split, group, source)
        for file, label, split, group, source in zip(*columns, strict=True)
    ]
    return [*rows, *(Row(file, "", UNLABELED) for file in folder.unlabeled)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _check_text(path: Path, raw: bytes) -> None:
    try:
        raw.decode("utf-8-sig")  # Excel's "CSV UTF-8" begins with a byte order mark
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 ({error}): save it as CSV UTF-8") from error


def _parse(path: Path, text: str) -> tuple[set[str], list[tuple[int, dict[str, str]]]]:
    """Columns, and line numbers with rows."""
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        columns = set(reader.fieldnames or ())
        return columns, [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise UserError(f"{path} is no table ({error}): mend or remove it") from error
