"""A table of experiments as its file has it, and the runs that belong to it.

title = "…"                       # of the section in the document
note = "…"                        # optional: why these rows, a paragraph under the title
kind = "student"                  # optional: or "teacher", what the rows train
seeds = [0, 1, 2]                 # each row is run with each
baseline = "cross-entropy alone"  # the row that the others are compared with
[[rows]]
name = "cross-entropy alone"
config = "small-96-baseline.toml" # beside this file
set = ["epochs=10"]               # optional: differences too small for a file of their own
run = "small-96-baseline"         # folder in runs/; seeds above 0 get "-seed1", …
[[teachers]]                      # optional: whose logged scores stand beside
name = "small Swin"
run = "teacher-small"
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytorch_side.config import Config, read_saved_config
from pytorch_side.experiments.outcomes import look_at_test
from pytorch_side.log import read_log
from tinyml.cli import UserError

KINDS = ("student", "teacher")


@dataclass(frozen=True)
class Run:
    """One finished or unfinished run, as its files tell."""

    folder: Path
    config: Config
    log: list[dict[str, str]]  # one row an epoch
    machine: dict[str, Any]  # hardware, threads, processes, torch
    test: float | None  # top-1 of the last logged look at test with these very weights

    @property
    def finished(self) -> bool:
        return len(self.log) >= self.config.epochs

    @property
    def val(self) -> float:
        return float(self.log[-1]["val_top1"])


@dataclass(frozen=True)
class Row:
    name: str
    config: Path
    overrides: tuple[str, ...]  # "key=value"
    folders: dict[int, Path]  # seed → run
    kind: str  # of KINDS

    @property
    def runs(self) -> list[Run]:
        """Those that have begun."""
        return [run for folder in self.folders.values() if (run := read_run(folder, self.kind))]


@dataclass(frozen=True)
class Table:
    title: str
    note: str
    kind: str  # of KINDS
    baseline: str
    rows: tuple[Row, ...]
    teachers: tuple[tuple[str, Path], ...]  # name, run


def read_table(path: Path, runs: Path) -> Table:
    """Read a table file. Raises UserError for a missing file, key or baseline row, a wrong kind."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        kind = values.get("kind", "student")
        rows = tuple(
            Row(
                row["name"],
                path.parent / row["config"],
                tuple(row.get("set", ())),
                {s: runs / (row["run"] + (f"-seed{s}" if s else "")) for s in values["seeds"]},
                kind,
            )
            for row in values["rows"]
        )
        teachers = tuple((t["name"], runs / t["run"]) for t in values.get("teachers", []))
        note, baseline = values.get("note", ""), values["baseline"]
        table = Table(values["title"], note, kind, baseline, rows, teachers)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"cannot read table {path}: {error}") from error
    except (KeyError, TypeError) as error:
        raise UserError(f"table {path} lacks {error}: see configs/table-small-96.toml") from error
    if kind not in KINDS:
        raise UserError(f"table {path}: kind {kind!r}; known are {', '.join(KINDS)}")
    if table.baseline not in {row.name for row in rows}:
        raise UserError(f"table {path}: baseline {table.baseline!r} is the name of no row")
    return table


def read_run(folder: Path, kind: str) -> Run | None:
    """What a run's folder holds; None before its first epoch."""
    log = read_log(folder)
    if not log:
        return None
    path = folder / "machine.json"
    try:
        machine = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): remove it") from error
    config = read_saved_config(folder / "config.json")
    look = look_at_test(folder, f"{kind}.safetensors")
    return Run(folder, config, log, machine, look["top1"] if look else None)
