"""The trainings of the published models, and of the runs that they start from.

A run's folder is often on one machine alone, so its row is recorded in docs/data/trainings.json.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pytorch_side.config import flat
from swin2mcu.research.table import KINDS, RUN_HEAD, Run, read_run, run_cells
from swin2mcu.research.text import damaged, line, read_json, table
from swin2mcu.research.zoo import RUN, entries

TRAININGS = "trainings.json"
STARTS_FROM = ("student.init", "hint.init", "teacher.init", "teacher.stem_init")


@dataclass(frozen=True)
class Training:
    """A row of the page."""

    run: str
    epochs: int
    cells: list[str]  # of RUN_HEAD
    starts_from: list[list[str]]  # [run, "student" or "teacher", its part in the config]


def trainings_of(zoo: Path, runs: Path, recorded: Path) -> list[Training]:
    """A training for each published model, and for every run that it starts from.

    A run that is not here, or not finished, is as recorded; one that never was is left out. Raises
    UserError where the record is damaged.
    """
    rows = read_json(recorded) or []
    try:
        known = {one["run"]: Training(**one) for one in rows}
    except (KeyError, TypeError) as error:
        raise damaged(recorded, error) from error
    found: dict[str, Training] = {}

    def follow(name: str, kind: str) -> None:
        if name in found:
            return
        run = read_run(runs / name, kind)
        training = _training(run) if run and run.finished else known.get(name)
        if training:
            found[name] = training
            for source, its_kind, _ in training.starts_from:
                follow(source, its_kind)

    for _, folder in entries(zoo):
        follow(folder.name, KINDS[0])
    return list(found.values())


def trainings_json(found: Sequence[Training]) -> str:
    return json.dumps([asdict(training) for training in found], indent=1) + "\n"


def trainings_section(found: Sequence[Training]) -> list[str]:
    """The page; [] without a training."""
    rows = [
        line(
            one.run,
            one.epochs,
            *one.cells,
            ", ".join(f"{source} ({part})" for source, _, part in one.starts_from),
        )
        for one in found
    ]
    head = f"run | epochs | {RUN_HEAD} | starts from"
    return ["# Trainings of the published models", *table(head, rows)] if rows else []


def _training(run: Run) -> Training:
    sources = []
    for field in STARTS_FROM:
        if found := RUN.search(str(flat(run.config)[field])):
            sources.append([found[1], found[2], field.removesuffix("init").rstrip("._")])
    return Training(run.folder.name, run.epochs, run_cells(run), sources)
