"""An experiment's file and its runs.

title = "…"                       # of the section in the document
note = "…"                        # optional: a paragraph under the title
kind = "student"                  # optional: or "teacher", what the rows train
seeds = [0, 1, 2]                 # every row is trained with every seed
baseline = "cross-entropy alone"  # the row that the others are compared with
[[rows]]
name = "cross-entropy alone"
config = "../small-96.toml"       # a path beside this file
set = ["optimizer.epochs=10"]     # optional: small differences that need no file
run = "small-96-baseline"         # folder in runs/; seeds above 0 get "-seed1", …
[[teachers]]                      # optional: teachers whose logged scores are shown
name = "small Swin"
run = "teacher-small"
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytorch_side.config import UNREADABLE, Config, differing, flat, read_saved_config
from pytorch_side.log import read_log, read_machine
from swin2mcu.common.cli import UserError
from swin2mcu.research.int8 import last_test_score
from swin2mcu.research.text import NONE, threads

KINDS = ("student", "teacher")
NOUNS = {int: "a whole number", str: "a text", list: "a list", dict: "a [[table]]"}
# Fields about the teacher, which have no effect without distillation.
OF_A_TEACHER = ("teacher.", "distillation.")
RUN_HEAD = "val top-1 | best epoch | hours | waiting for data | on"


@dataclass(frozen=True)
class Run:
    """One finished or unfinished run, read from its files."""

    folder: Path
    config: Config
    log: list[dict[str, str]]  # one row an epoch
    machine: dict[str, Any]  # hardware, threads, processes, torch
    test: float | None  # top-1 of the last logged score on test with these weights

    @property
    def finished(self) -> bool:
        return len(self.log) >= self.epochs

    @property
    def epochs(self) -> int:
        return self.config.optimizer.epochs

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
        """The runs that have finished an epoch. Raises UserError where their configs differ."""
        found = [run for folder in self.folders.values() if (run := read_run(folder, self.kind))]
        for run in found[1:]:
            if other := _differing_seeds(run.config, found[0].config):
                raise UserError(
                    f"{run.folder} and {found[0].folder} are seeds of one row, but differ in "
                    f"{', '.join(other)}: remove the one that is not the row's"
                )
        return found


@dataclass(frozen=True)
class ExperimentSpec:
    title: str
    note: str
    kind: str  # of KINDS
    baseline: str
    rows: tuple[Row, ...]
    teachers: tuple[tuple[str, Path], ...]  # name, run


def _differing_seeds(config: Config, first: Config) -> list[str]:
    """The fields in which two seeds of a row differ. Each may start from a run of its own seed."""
    own, others = flat(config), flat(first)
    used = config.distillation.used or first.distillation.used
    return [
        name
        for name in differing(config, first)
        if name != "seed"
        and not name.endswith(".bf16")  # a processor without bfloat16 computes in float32
        and (used or not name.startswith(OF_A_TEACHER))
        and _of_any_seed(own[name]) != _of_any_seed(others[name])
    ]


def _of_any_seed(value: Any) -> Any:
    """A path without the ending of a seed's run."""
    return re.sub(r"-seed\d+", "", value) if isinstance(value, str) else value


def read_table(path: Path, runs: Path) -> ExperimentSpec:
    """Read a table file.

    Raises UserError for a missing file, key or baseline row, a wrong kind, and a value of a wrong
    type.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        kind, seeds = _get(values, "kind", str, "student"), _get_list(values, "seeds", int)
        rows = tuple(
            Row(
                _get(row, "name", str),
                path.parent / _get(row, "config", str),
                tuple(_get_list(row, "set", str, [])),
                {s: runs / (_get(row, "run", str) + (f"-seed{s}" if s else "")) for s in seeds},
                kind,
            )
            for row in _get_list(values, "rows", dict)
        )
        teachers = tuple(
            (_get(t, "name", str), runs / _get(t, "run", str))
            for t in _get_list(values, "teachers", dict, [])
        )
        title, baseline = _get(values, "title", str), _get(values, "baseline", str)
        table = ExperimentSpec(title, _get(values, "note", str, ""), kind, baseline, rows, teachers)
    except (OSError, *UNREADABLE) as error:
        raise UserError(f"cannot read table {path}: {error}") from error
    except KeyError as error:
        raise UserError(
            f"table {path} lacks {error}: see configs/research/small-96.toml"
        ) from error
    except TypeError as error:
        raise UserError(f"table {path}: {error}; see configs/research/small-96.toml") from error
    if kind not in KINDS:
        raise UserError(f"table {path}: kind {kind!r}; known are {', '.join(KINDS)}")
    if table.baseline not in {row.name for row in rows}:
        raise UserError(f"table {path}: baseline {table.baseline!r} is not the name of a row")
    return table


def find_tables(folder: Path) -> list[Path]:
    """The files of experiments in a folder, without the configs of their rows beside them."""
    paths = sorted(folder.glob("*.toml"))
    return [path for path in paths if "[[rows]]" in path.read_text(encoding="utf-8")]


def _get(values: dict[str, Any], key: str, kind: type, default: Any = None) -> Any:
    """A value of the file. Raises KeyError if it is missing, TypeError if it is not a `kind`."""
    value = values[key] if default is None else values.get(key, default)
    if type(value) is not kind:  # isinstance would take a bool for an int
        raise TypeError(f"{key} must be {NOUNS[kind]}, not {value!r}")
    return value


def _get_list(
    values: dict[str, Any], key: str, kind: type, default: list[Any] | None = None
) -> list[Any]:
    found: list[Any] = _get(values, key, list, default)
    for value in found:
        if type(value) is not kind:
            raise TypeError(f"{key} must be a list of {NOUNS[kind]} each, not {value!r}")
    return found


def read_run(folder: Path, kind: str) -> Run | None:
    """Read a run's folder; None before its first epoch."""
    log = read_log(folder)
    if not log:
        return None
    config = read_saved_config(folder / "config.json")
    score = last_test_score(folder, f"{kind}.safetensors")
    return Run(folder, config, log, read_machine(folder), score["top1"] if score else None)


def run_cells(run: Run) -> list[str]:
    """Accuracy on val, the best epoch, hours, the share of time waiting for data, hardware."""
    best = max(run.log, key=lambda e: float(e["val_top1"]))
    seconds = [float(e["seconds"]) for e in run.log]
    waiting = sum(float(e["waiting_share"]) * s for e, s in zip(run.log, seconds, strict=True))
    total = sum(seconds)  # 0.0 where every epoch was so short
    return [
        f"{run.val:.2%}",
        f"{best['epoch']} ({float(best['val_top1']):.2%})",
        f"{total / 3600:.2f}",
        f"{waiting / total:.1%}" if total else NONE,
        where(run.machine),
    ]


def where(machine: dict[str, Any]) -> str:
    """The hardware, threads and torch that a run's machine.json or a record of it names.

    Those that resumed it follow.
    """
    if not machine.get("hardware"):
        return "unknown"
    count = machine.get("processes", 1)
    text = f"{machine['hardware']}, {threads(machine['threads'])}, torch {machine['torch']}"
    text = f"{count} processes: {text}" if count > 1 else text
    return "; then ".join([text, *map(where, machine.get("later", []))])
