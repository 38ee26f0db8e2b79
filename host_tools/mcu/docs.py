"""The tables of docs/ENGINE.md that follow from firmware/counts.json, each between two markers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from host_tools.mcu.count_model import MACS_PER_CYCLE, Count, baseline_for
from host_tools.mcu.measured import measured_table
from host_tools.mcu.tables import Goal, standing
from swin2mcu.common.documents import replace_part

# Multiply-accumulates of one instruction: SMLAD takes two, VMLADAVA sixteen.
MACS_PER_INSTRUCTION = {"m4": 2, "m7": 2, "m55": 16}


def rewrite(text: str, counts: Sequence[Count], goals: Sequence[Goal], baseline: Any) -> str:
    """`text` with the lines between <!-- NAME --> and <!-- end --> replaced."""
    tables = {
        "goals": _goals(counts, goals, baseline),
        "limits": _limits(counts),
        "steps": _steps(counts),
        "memory": _memory(counts, baseline),
        "measured": measured_table(counts),
    }
    for name, lines in tables.items():
        text = replace_part(text, name, lines)
    return text


def _row(*cells: object) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _goals(counts: Sequence[Count], goals: Sequence[Goal], baseline: Any) -> list[str]:
    by_key = {(count.model, count.core): count for count in counts}
    lines = [
        _row("model", "core", "", "TFLite Micro *", "required", "aim", "here", "weights", ""),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for goal in goals:
        count = by_key[goal.model, goal.core]
        other = baseline_for(count, baseline)
        fields = {"instructions": "instructions", "ram_bytes": "arena_bytes"}
        theirs = other[fields[goal.field]] if other and goal.field in fields else None
        lines.append(
            _row(
                goal.model,
                goal.core.upper(),
                goal.field.replace("_", " "),
                f"{theirs:,}" if theirs else "-",
                f"{goal.required:,}",
                f"{goal.aim:,}",
                f"{getattr(count, goal.field):,}",
                count.weights,
                standing(goal, count),
            )
        )
    return lines


def _limits(counts: Sequence[Count]) -> list[str]:
    lines = [
        _row("model", "core", "MACs", "limit", "here", "per MAC", "modeled cycles", "per MAC"),
        "|---|---|---|---|---|---|---|---|",
    ]
    for count in counts:
        limit = count.macs / MACS_PER_INSTRUCTION[count.core]
        lines.append(
            _row(
                count.model,
                count.core.upper(),
                f"{count.macs / 1e6:.2f} M",
                f"{limit / 1e6:.2f} M",
                f"{count.instructions / 1e6:.2f} M",
                f"{count.instructions / count.macs:.2f}",
                f"{count.modeled_cycles / 1e6:.2f} M",
                f"{count.modeled_cycles / count.macs:.2f}",
            )
        )
    return lines


def _steps(counts: Sequence[Count]) -> list[str]:
    """Shares of the kinds of steps, and how many times their limit they take; a step that streams
    several kernels is named after all of them."""
    lines = [_row("model", "core", "share of the modeled cycles"), "|---|---|---|"]
    for count in counts:
        kinds: Counter[str] = Counter()
        limits: Counter[str] = Counter()
        for step in count.per_operator:
            kind = re.sub(r"^step\d+_", "", step.step).replace("_", " + ")
            kinds[kind] += step.modeled_cycles
            limits[kind] += step.macs // MACS_PER_CYCLE[count.core]
        shares = ", ".join(
            f"{kind} {cycles / count.modeled_cycles:.0%}"
            + (f" ({cycles / limits[kind]:.1f} x)" if limits[kind] else "")
            for kind, cycles in kinds.most_common(5)
        )
        lines.append(_row(count.model, count.core.upper(), shares))
    return lines


def _memory(counts: Sequence[Count], baseline: Any) -> list[str]:
    lines = [
        _row("", "arena", "stack", "code", "tables", "weights", "TFLite Micro's arena *"),
        "|---|---|---|---|---|---|---|",
    ]
    for count in counts:
        other = baseline_for(count, baseline)
        figures = (
            count.arena_bytes,
            count.stack_bytes,
            count.code_bytes,
            count.table_bytes,
            count.weights_bytes,
        )
        theirs = f"{other['arena_bytes']:,}" if other else "-"
        name = f"{count.model}, {count.core.upper()}"
        lines.append(_row(name, *(f"{figure:,}" for figure in figures), theirs))
    return lines
