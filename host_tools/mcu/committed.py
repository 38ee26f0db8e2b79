"""Counts that are committed in firmware/: how they are read, and how much a new one may be above.

A small change of a kernel moves a count by less than the bound; a lost optimization by more.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from swin2mcu.common.cli import UserError

ALLOWED_GROWTH = 1.02


def load_counts(path: Path) -> list[dict[str, Any]]:
    """The entries of a file that bench_mcu.py wrote. Raises UserError if it cannot be read."""
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"{path} cannot be read: write it with `make bench-mcu`") from error
    return entries


def has_grown(before: int, after: int) -> bool:
    """Whether a count is more than 2 % above the committed one."""
    return after > before * ALLOWED_GROWTH
