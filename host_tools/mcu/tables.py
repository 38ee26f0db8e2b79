"""What bench_mcu.py prints: counts beside TFLite Micro's, the goals, the steps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from host_tools.mcu.count_model import MACS_PER_CYCLE, Count, CountedStep, baseline_for
from swin2mcu.common.cli import plain_console


@dataclass(frozen=True)
class Goal:
    """What a model on a core has to cost at most, and what it should."""

    model: str
    core: str
    field: str  # of Count: instructions, modeled_cycles, ram_bytes or beyond_weights_bytes
    required: int
    aim: int


def load_goals(path: Path) -> list[Goal]:
    return [Goal(**entry) for entry in json.loads(path.read_text())]


def standing(goal: Goal, count: Count) -> str:
    value = int(getattr(count, goal.field))
    return "aim met" if value <= goal.aim else "met" if value <= goal.required else "MISSED"


def print_goals(counts: Sequence[Count], goals: Sequence[Goal]) -> None:
    """One line for each goal whose model and core was counted."""
    by_key = {(count.model, count.core): count for count in counts}
    table = _table("Goals", "model", "core", "figure", "counted", "required", "aim", "standing")
    for goal in goals:
        count = by_key.get((goal.model, goal.core))
        if count is None:
            continue
        table.add_row(
            goal.model,
            goal.core,
            goal.field.replace("_", " "),
            f"{getattr(count, goal.field):,}",
            f"{goal.required:,}",
            f"{goal.aim:,}",
            standing(goal, count),
        )
    if table.row_count:
        _console().print(table)


def print_counts(counts: Sequence[Count], baseline: dict[str, Any]) -> None:
    table = _table(
        "One inference, generated C against TFLite Micro with CMSIS-NN *",
        "model",
        "weights",
        "core",
        "instructions",
        "per MAC",
        "modeled cycles",
        "per MAC",
        "TFLM *",
        "ratio",
        "RAM (arena + stack)",
        "TFLM * arena",
        "code + tables",
        "weight bytes",
    )
    for count in counts:
        other = baseline_for(count, baseline)
        table.add_row(
            count.model,
            count.weights,
            count.core,
            f"{count.instructions:,}",
            f"{count.instructions / count.macs:.2f}",
            f"{count.modeled_cycles:,}",
            f"{count.modeled_cycles / count.macs:.2f}",
            f"{other['instructions'] / 1e6:.1f} M" if other else "-",
            f"{other['instructions'] / count.instructions:.1f}x" if other else "-",
            f"{count.ram_bytes:,} ({count.arena_bytes:,} + {count.stack_bytes:,})",
            f"{other['arena_bytes']:,}" if other else "-",
            f"{count.beyond_weights_bytes:,}",
            f"{count.weights_bytes:,}",
        )
    versions = ", ".join(f"{name} {version}" for name, version in baseline["versions"].items())
    console = _console()
    console.print(table)
    console.print(f"* not reproduced here: {versions}. Instructions are counts, not times.")
    console.print("Modeled cycles know of no caches, wait states or wrongly predicted branches.")


def print_steps(counts: Sequence[Count]) -> None:
    for count in counts:
        title = f"{count.model} on {count.core}"
        table = _table(
            title,
            "step",
            "operators",
            "instructions",
            "modeled cycles",
            "share",
            "limit",
            "of the limit",
        )
        for step in count.per_operator:
            share = step.modeled_cycles / count.modeled_cycles
            table.add_row(
                step.step,
                step.operators,
                f"{step.instructions:,}",
                f"{step.modeled_cycles:,}",
                f"{share:.1%}",
                *_limit(count.core, step),
            )
        _console().print(table)


def _limit(core: str, step: CountedStep) -> tuple[str, str]:
    """The cycles that a step's multiply-accumulates alone take, and the step's cycles as a
    multiple of them."""
    if not step.macs:
        return "-", "-"
    limit = step.macs / MACS_PER_CYCLE[core]
    return f"{limit:,.0f}", f"{step.modeled_cycles / limit:.2f} x"


_WORDS = ("model", "weights", "core", "figure", "step", "operators", "standing")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="left" if column in _WORDS else "right")
    return table


def _console() -> Console:
    console = plain_console()
    # A pipe or a log file has no width.
    return console if console.is_terminal else plain_console(width=160)
