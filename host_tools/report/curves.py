"""Loss and accuracy over the epochs of a run, from its logs: training in float, then in int8."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from host_tools.report.plots import Curve, curves
from pytorch_side.log import read_log

# Folder below the run, what its log is of, and its CSS class.
LOGS = ((".", "training in float", "pc"), ("qat", "fine-tuning in int8", "board"))
# Column, title of the axis, factor.
FIGURES = (("loss", "loss", 1.0), ("val_top1", "top-1 % on val", 100.0))


def training_figures(run: Path) -> list[dict[str, Any]]:
    """The plots of a run, each with its legend; none for a folder without a log.

    Raises UserError for a log that is none.
    """
    logs, epochs = [], 0
    for folder, name, place in LOGS:
        rows = read_log(run / folder)
        logs.append((rows, epochs, name, place))
        epochs += len(rows)
    figures = []
    for column, title, factor in FIGURES:
        found = [
            Curve(name, place, _points(rows, column, factor, before))
            for rows, before, name, place in logs
        ]
        shown = [curve for curve in found if curve.points]
        if shown:
            plot = curves(shown, "epoch", title, percent=factor == 100.0)
            figures.append({"plot": plot, "places": [(c.place, c.name) for c in shown]})
    return figures


def _points(
    rows: Sequence[dict[str, str]], column: str, factor: float, before: int
) -> list[tuple[float, float]]:
    """(epoch, value) of each row that has a finite value; int8's epochs follow those in float."""
    points = []
    for number, row in enumerate(rows, start=before + 1):
        try:
            value = factor * float(row.get(column) or "nan")
        except ValueError:
            continue
        if math.isfinite(value) and abs(value) < 1e9:
            points.append((float(number), value))
    return points
