"""A journal: one JSON line per image, on disk before the next image begins.

The first line says what is being measured. A journal of the same measurement is gone on with,
another one is replaced. A line cut short by a crash is dropped, so its image is measured again.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swin2mcu.common.cli import UserError, write_atomic


@dataclass
class Journal:
    path: Path
    head: dict[str, Any]
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)  # image → its line

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
        """Mark the measurement as complete: the next one starts anew."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write('{"finished": true}\n')


def open_journal(path: Path, head: dict[str, Any]) -> Journal:
    """Go on with the journal at `path` if it is an unfinished one of the same measurement."""
    lines = read_lines(path)
    entries: dict[str, dict[str, Any]] = {}
    if lines and lines[0] == head and not lines[-1].get("finished"):
        for line in lines[1:]:
            entries.setdefault(line["image"], line)
    journal = Journal(path, head, entries)
    # Written anew, so that what follows does not continue a line that was cut short.
    text = "".join(json.dumps(line) + "\n" for line in [head, *entries.values()])
    write_atomic(path, text)
    return journal


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines up to the first that is no JSON object; none if there is no file."""
    lines: list[dict[str, Any]] = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            break
        if not isinstance(value, dict) or (lines and not ({"image", "finished"} & set(value))):
            break
        lines.append(value)
    return lines
