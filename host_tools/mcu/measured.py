"""Cycles of MLPerf Tiny's vision networks: measured by others, modeled for this project.

firmware/mlperf_measured.json holds what was published and where: milliseconds, or inferences in a
second, at a clock. The two kinds of figures stand in one table and are never compared: a model
knows no caches and no wait states.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from host_tools.mcu.count_model import Count
from swin2mcu.common.paths import FIRMWARE

MEASURED = FIRMWARE / "mlperf_measured.json"
# Multiply-accumulates, counted in the reference .tflite files of mlcommons/tiny.
MACS = {"mlperf-vww": 7_489_664, "mlperf-ic": 12_501_632}
HOSTING = "https://github.com/"


@dataclass(frozen=True)
class Measured:
    """One published result; all of them were measured on real chips."""

    model: str
    core: str
    engine: str
    board: str
    clock_mhz: float
    milliseconds: float
    source: str

    @property
    def cycles(self) -> float:
        return self.milliseconds * 1e3 * self.clock_mhz


def load_measured() -> list[Measured]:
    return [_measured(entry) for entry in json.loads(MEASURED.read_text())]


def _measured(entry: dict[str, Any]) -> Measured:
    milliseconds = entry["ms"] if "ms" in entry else 1000 / entry["per_s"]
    names = ("model", "core", "engine", "board", "clock_mhz", "source")
    return Measured(**{n: entry[n] for n in names}, milliseconds=milliseconds)


def measured_table(counts: Sequence[Count]) -> list[str]:
    """Lines of Markdown: by network and core, this project's modeled figure first."""
    lines = [
        "| network | core | engine | cycles per MAC | | source |",
        "|---|---|---|---|---|---|",
    ]
    others = load_measured()
    keys = {(o.model, o.core) for o in others} | {(c.model, c.core) for c in counts}
    for model, core in sorted(key for key in keys if key[0] in MACS):
        for count in counts:
            if (count.model, count.core) == (model, core):
                each = count.modeled_cycles / count.macs
                cells = "this project", f"{each:.2f}", "modeled", "`make bench-mcu`"
                lines.append(_row(model, core, *cells))
        for other in others:
            if (other.model, other.core) == (model, core):
                each = other.cycles / MACS[model]
                where = f"{other.board}, {other.clock_mhz:g} MHz"
                repository, _, path = other.source.partition(": ")
                source = f"[{repository}]({HOSTING}{repository}) `{path}`"
                cells = other.engine, f"{each:.2f}", f"measured: {where}", source
                lines.append(_row(model, core, *cells))
    return lines


def _row(model: str, core: str, *cells: str) -> str:
    return f"| {model} | {core.upper()} | {' | '.join(cells)} |"
