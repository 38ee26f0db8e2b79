"""A run's log.csv: a row of numbers for each epoch, written by training and read by reports."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from swin2mcu.common.cli import UserError, write_atomic

# In every log; the columns between them are the parts of the loss.
ALWAYS = ("epoch", "val_top1", "seconds", "waiting_share")


def write_log(path: Path, rows: list[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, text.getvalue())


def read_log(run: Path) -> list[dict[str, str]]:
    """The rows of a run's log; none before its first epoch. Raises UserError for other files."""
    path = run / "log.csv"
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        for row in rows:
            for name in ALWAYS:
                float(row[name])
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(f"{path} is not the log of a training run ({error!r})") from error
    return rows
