"""The gain of distillation: every distilled student beside its matched control on labels alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from pytorch_side.config import Config, differing, load_config
from swin2mcu.common.paths import PAPER
from swin2mcu.common.svg import save_svg
from swin2mcu.research.comparison import OF_A_TEACHER, pooled_sd
from swin2mcu.research.table import ExperimentSpec, Row, Run
from swin2mcu.research.text import read_json

IGNORED = ("seed", "augment.cached", *OF_A_TEACHER)


@dataclass(frozen=True)
class Gain:
    """A row's val accuracy minus that of its matched control, in points.

    The control is trained on labels alone, with the same start, images and epochs.
    """

    name: str
    points: float
    sd: float | None  # pooled, within rows; None for one seed
    seeds: int
    epochs: int


def start_of(table: ExperimentSpec) -> str:
    """What weights its students start from: "random", "pretrained", or "" for teachers."""
    if table.kind != "student":
        return ""
    base = next(row for row in table.rows if row.name == table.baseline)
    student = load_config(base.config, list(base.overrides)).student
    return "pretrained" if student.init or student.pretrained else "random"


def gains(tables: Sequence[ExperimentSpec]) -> list[Gain]:
    """The gain of each finished distilled row that has a matched control in its table."""
    found: dict[Path, Gain] = {}  # by the first run, because some rows are in two tables
    for table in tables:
        rows = [(row, _finished(row)) for row in table.rows if row.kind == "student"]
        for row, runs in rows:
            controls = [
                other
                for _, other in rows
                if runs and other and _is_control(other[0].config, runs[0].config)
            ]
            if not controls:
                continue
            values, labels = ([run.val for run in group] for group in (runs, controls[0]))
            several = len(values) > 1 and len(labels) > 1
            first = next(iter(row.folders.values()))
            if first in found and found[first].seeds >= len(values):
                continue
            found[first] = Gain(
                f"{row.name} ({runs[0].config.student.name}, {runs[0].config.student.size} px)",
                100 * (mean(values) - mean(labels)),
                100 * pooled_sd(values, labels) if several else None,
                len(values),
                runs[0].epochs,
            )
    return list(found.values())


def gain_lines(found: Sequence[Gain], plot: str) -> list[str]:
    """The gains as text, with their plot."""
    if not found:
        return []
    sure = [g for g in found if g.sd is not None]
    better = [g for g in sure if g.points > 2 * g.sd]  # type: ignore[operator]
    text = (
        "On val, over a matched control, labels alone with the same start, images and epochs:"
        if len(sure) == len(found) == 1
        else f"{len(found)} way{'s' * (len(found) > 1)} to distill, each beside a matched control: "
        "labels alone with the same start, images and epochs. On val "
        f"{sum(g.points > 0 for g in found)} gained and {sum(g.points < 0 for g in found)} lost. "
        f"With several seeds: {len(sure)}, of which {len(better)} gained more than twice the "
        f"pooled standard deviation{':' if sure else '.'}"
    )
    verdict = "" if better else "So nothing is shown in favor of the hybrid here. "
    return [
        f"![gain on val over labels alone]({plot})",
        "",
        text,
        "",
        *[f"- {_said(gain)}" for gain in sure],
        *([""] if sure else []),
        verdict + read_json(PAPER)["claim"],
    ]


def _said(gain: Gain) -> str:
    return (
        f"{gain.name}, {gain.epochs} epochs, {gain.seeds} seeds: {gain.points:+.2f} ± "
        f"{gain.sd:.2f} points (pooled standard deviation)"
    )


def _finished(row: Row) -> list[Run]:
    return [run for run in row.runs if run.finished]


def _is_control(labels: Config, distilled: Config) -> bool:
    """Whether distillation is the only difference between the two configs."""
    if labels.distillation.used or not distilled.distillation.used:
        return False
    hints = labels.hint.init or distilled.hint.init
    ignored = IGNORED if hints else (*IGNORED, "hint.")
    return not [name for name in differing(labels, distilled) if not name.startswith(ignored)]


def draw_gains(found: Sequence[Gain], path: Path) -> None:
    """Plot a dot for each row, with the pooled sd as a bar if there is one."""
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
    save_svg(figure, path)
