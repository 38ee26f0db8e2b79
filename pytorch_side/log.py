"""A run's notes for reports: log.csv, a row for each epoch, and machine.json, where it ran."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from swin2mcu.common.cli import UserError, write_atomic
from swin2mcu.common.json_file import read_json

MACHINE = "machine.json"

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


def record_machine(run: Path, now: dict[str, Any]) -> None:
    """Write the machine that begins a run, or add one that goes on with it: its weights differ."""
    first = read_machine(run) or now
    later = first.get("later", [])
    if now not in ({key: value for key, value in first.items() if key != "later"}, *later):
        first = {**first, "later": [*later, now]}
    write_atomic(run / MACHINE, json.dumps(first, indent=2) + "\n")


def read_machine(run: Path) -> dict[str, Any]:
    """{hardware, processes, threads, torch} of a run, and as "later" the machines that resumed it.

    {} where it is not noted. Raises UserError for a damaged file.
    """
    path = run / MACHINE
    if not path.is_file():
        return {}
    try:
        found = read_json(path)
        machines = [found, *found.get("later", [])]
        if not all(isinstance(one, dict) for one in machines):
            raise ValueError("a machine is no table of values")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}): remove it") from error
    return dict(found)
