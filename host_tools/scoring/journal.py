"""A journal: one JSON line per image, on disk before the next image begins.

The first line (the head) says what is measured: the model, the board, the images' bytes. A journal
with the same head is resumed; any other, and a finished or damaged one, is overwritten. A line cut
short by a crash is dropped, so its image is measured again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swin2mcu.common.cli import UserError, write_atomic
from swin2mcu.common.lock import locked

NUMBERS = ("reference", "logits", "costs")  # what the line of an image that was scored lists


@dataclass
class Journal:
    path: Path
    head: dict[str, Any]
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)  # image → its line
    replaced: str = ""  # why an earlier journal was overwritten, if it was

    def add(self, entry: dict[str, Any]) -> None:
        """Append one image's result. An image counts once: the first result stays."""
        image = entry["image"]
        if image in self.entries:
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror}") from error
        self.entries[image] = entry

    def finish(self) -> None:
        """Mark the measurement as complete: the next one starts again from the first image."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write('{"finished": true}\n')


def lock_journal(path: Path) -> AbstractContextManager[None]:
    """The lock of a command that writes the journal. Raises UserError when another one holds it."""
    busy = f"another serial_eval.py writes {path}: wait for it, or end it"
    return locked(path, timeout_s=0, busy=busy)


def open_journal(path: Path, head: dict[str, Any]) -> Journal:
    """Resume the journal at `path` if it is an unfinished one with the same head."""
    lines, damaged = read_lines(path)
    entries: dict[str, dict[str, Any]] = {}
    replaced = ""
    if damaged:
        replaced = damaged
    elif lines and lines[0] != head:
        replaced = "it is of other images, another model, other firmware or other options"
    elif lines and "finished" not in lines[-1]:
        for line in lines[1:]:
            entries.setdefault(line["image"], line)
    journal = Journal(path, head, entries, replaced)
    # Written anew, so that what follows does not continue a line that was cut short.
    text = "".join(json.dumps(line) + "\n" for line in [head, *entries.values()])
    write_atomic(path, text)
    return journal


def read_lines(path: Path) -> tuple[list[dict[str, Any]], str]:
    """The head and the lines of a journal, and what is wrong with it ("" where nothing is).

    A part of a line at the end is left out; so is every line of a damaged journal.
    """
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return [], ""
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    whole, _, _ = text.rpartition("\n")
    lines: list[dict[str, Any]] = []
    rows = whole.split("\n") if whole else []
    for number, row in enumerate(rows, start=1):
        try:
            value = json.loads(row)
        except (ValueError, RecursionError):
            value = None
        last = number == len(rows)
        if not isinstance(value, dict) or (number > 1 and not _is_line(value, last)):
            return [], f"its line {number} is damaged"
        lines.append(value)
    return lines, ""


def _is_line(value: dict[str, Any], last: bool) -> bool:
    if "finished" in value:
        return last
    if not isinstance(value.get("image"), str) or type(value.get("label")) is not int:
        return False
    if isinstance(value.get("corrupt"), str):
        return True
    return isinstance(value.get("transfer_s"), float | int) and all(
        isinstance(value.get(key), list) and value[key] and all(type(n) is int for n in value[key])
        for key in (*NUMBERS, *(["photo"] if "photo" in value else []))
    )


def digest_of(images: Iterable[tuple[Path, str, int]]) -> str:
    """Hex SHA-256 over (file, its name, its label): names alone do not tell two data sets apart.

    The files' bytes stand for their pixels. A file that cannot be read counts as an empty one.
    """
    digest = hashlib.sha256()
    for path, name, label in images:
        try:
            content = path.read_bytes() if path.is_file() else b""
        except OSError:
            content = b""
        one = hashlib.sha256(content).hexdigest()
        digest.update(f"{label} {one} {name}\n".encode("utf-8", errors="surrogateescape"))
    return digest.hexdigest()
