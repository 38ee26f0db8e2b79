"""Bars of instructions per MAC on every core, generated C beside TFLite Micro."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from host_tools.mcu.count_model import Count, baseline_for
from swin2mcu.common.svg import save_svg


def plot(counts: Sequence[Count], baseline: dict[str, Any], path: Path) -> None:
    """Write an SVG to `path`, the same bytes for the same counts."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    labels, ours, theirs = [], [], []
    for count in counts:
        labels.append(f"{count.model}\n{count.core.upper()}")
        ours.append(count.instructions / count.macs)
        other = baseline_for(count, baseline)
        theirs.append(other["instructions"] / count.macs if other else None)
    figure, axes = pyplot.subplots(figsize=(max(6.0, 0.9 * len(counts)), 3.6))
    places = range(len(counts))
    known = [(place, value) for place, value in zip(places, theirs, strict=True) if value]
    axes.bar(
        [place - 0.2 for place, _ in known],
        [value for _, value in known],
        0.4,
        label="TFLite Micro + CMSIS-NN (not reproduced here)",
        color="#b8b8b8",
    )
    bars = axes.bar([place + 0.2 for place in places], ours, 0.4, label="generated C")
    axes.bar_label(bars, fmt="%.2f", fontsize=8)
    axes.set_xticks(list(places), labels, fontsize=8)
    axes.set_ylabel("instructions per MAC")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    save_svg(figure, path)
    pyplot.close(figure)
