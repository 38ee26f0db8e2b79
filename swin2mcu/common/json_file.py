"""Read JSON from untrusted files, without hanging or filling the memory."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

MOST_BYTES = 32 << 20  # the largest files of this project are below 1 MB


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises FileNotFoundError when there is none, OSError when it cannot be read, and ValueError for
    everything else: not a plain file, too large, not UTF-8, not JSON, nested too deeply.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait forever
        raise ValueError("it is not a plain file")
    if found.st_size > MOST_BYTES:
        raise ValueError(f"it has {found.st_size:,} bytes, at most {MOST_BYTES:,} are read")
    return parse_json(path.read_text(encoding="utf-8-sig"))


def parse_json(text: str) -> Any:
    """The value of a JSON text. Raises ValueError, also for text that is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
