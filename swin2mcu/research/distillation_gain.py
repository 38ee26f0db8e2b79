"""What a teacher's knowledge is worth: every taught student beside its twin on labels alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from pytorch_side.config import Config
from swin2mcu.common.cli import atomic_path
from swin2mcu.research.comparison import OF_A_TEACHER, pooled_sd
from swin2mcu.research.table import Row, Run, Table
from swin2mcu.research.text import read_json
from swin2mcu.research.zoo import PAPER

KNOWLEDGE = ("alpha", "beta", "views", *OF_A_TEACHER)


@dataclass(frozen=True)
class Gain:
    """Points on val of a row over labels alone with the same start, images and epochs."""

    name: str
    points: float
    sd: float | None  # pooled, within rows; None for one seed
    seeds: int
    epochs: int


def gains(tables: Sequence[Table]) -> list[Gain]:
    """Of every finished row with knowledge that has a twin in its table."""
    found: dict[Path, Gain] = {}  # by the first run: some rows stand in two tables
    for table in tables:
        rows = [(row, _finished(row)) for row in table.rows if row.kind == "student"]
        for row, runs in rows:
            twins = [t for _, t in rows if runs and t and _is_twin(t[0].config, runs[0].config)]
            if not twins:
                continue
            values, labels = ([run.val for run in group] for group in (runs, twins[0]))
            several = len(values) > 1 and len(labels) > 1
            first = next(iter(row.folders.values()))
            if first in found and found[first].seeds >= len(values):
                continue
            found[first] = Gain(
                f"{row.name} ({runs[0].config.student_size} px)",
                100 * (mean(values) - mean(labels)),
                100 * pooled_sd(values, labels) if several else None,
                len(values),
                runs[0].config.epochs,
            )
    return list(found.values())


def worth_section(found: Sequence[Gain], plot: str) -> list[str]:
    """The verdict in words, and the picture of it."""
    if not found:
        return []
    sure = [g for g in found if g.sd is not None]
    better = [g for g in sure if g.points > 2 * g.sd]  # type: ignore[operator]
    lines = [
        "## What a Swin's knowledge is worth to a student",
        "",
        f"![gain on val over labels alone]({plot})",
        "",
        f"{len(found)} ways to teach a student were tried, each beside a twin that learns from "
        "labels alone with the same start, images and epochs. On val "
        f"{sum(g.points > 0 for g in found)} of them gained and {sum(g.points < 0 for g in found)} "
        f"lost. {len(sure)} have several seeds; of those {len(better)} gained more than twice the "
        "pooled standard deviation: "
        + ("; ".join(_said(g) for g in sure) or "none")
        + ". "
        + ("" if better else "So nothing is shown in favour of the hybrid here. ")
        + read_json(PAPER)["claim"],
        "",
    ]
    return lines


def _said(gain: Gain) -> str:
    return f"{gain.name}, {gain.epochs} epochs: {gain.points:+.2f} ± {gain.sd:.2f} points"


def _finished(row: Row) -> list[Run]:
    return [run for run in row.runs if run.finished]


def _is_twin(labels: Config, taught: Config) -> bool:
    """Whether both differ in nothing but that one is taught."""
    if labels.alpha > 0 or labels.beta > 0 or not (taught.alpha > 0 or taught.beta > 0):
        return False
    own, other = dataclasses.asdict(labels), dataclasses.asdict(taught)
    ignored = (*KNOWLEDGE, "seed", *(() if labels.guide or taught.guide else ("guide_",)))
    return all(own[name] == other[name] for name in own if not name.startswith(ignored))


def draw_gains(found: Sequence[Gain], path: Path) -> None:
    """A dot a row, right of the line where it gained; bars are the pooled sd where there is one."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.2 + 0.26 * len(found)), layout="constrained")
    axes = figure.add_subplot(xlabel="points on val over labels alone")
    ordered = sorted(found, key=lambda gain: gain.points)
    for place, gain in enumerate(ordered):
        bar = {"fmt": "o", "color": "C0" if gain.sd is not None else "C7", "capsize": 3}
        axes.errorbar(gain.points, place, xerr=gain.sd, **bar)  # type: ignore[arg-type]
    names = [f"{g.name}, {g.epochs} epochs, {g.seeds} seed{'s' * (g.seeds > 1)}" for g in ordered]
    axes.set_yticks(range(len(ordered)), names, fontsize="small")
    axes.axvline(0, color="k", lw=0.8)
    axes.grid(alpha=0.3, axis="x")
    salted = matplotlib.rc_context({"svg.hashsalt": "swin2mcu"})  # else every id is a new one
    with salted, atomic_path(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
