"""When to distill, and when not: the gains of all experiments as one table and one picture."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swin2mcu.common.paths import PAPER
from swin2mcu.common.svg import save_svg
from swin2mcu.research.comparison import pooled_sd
from swin2mcu.research.distillation_gain import Gain
from swin2mcu.research.text import NONE, line, read_json, table

FEW_LABELS = "few_labels.json"  # in docs/data, made by few_labels.py
ALONE, TEACHER = "labels alone", "teacher"  # its rows that are no gain
FEW = "few"
FAMILY = re.compile(r"\((tf_)?mobilenetv3_")  # of all students
USUAL = "tf_mobilenetv3_small_100, 96 px"  # the picture names other students only
# How often three seeds of a way without effect gain more than twice the pooled sd: with 4 degrees
# of freedom P(t > 2 / sqrt(2 / 3)) is 0.0353.
BY_CHANCE = 0.0353
# Gain.start → what its students have.
BLOCKS = {
    "random": "Random weights, all labels",
    FEW: "ImageNet weights, few labels",
    "pretrained": "ImageNet weights, all labels",
}


def few_label_gains(runs: Sequence[dict[str, Any]]) -> list[Gain]:
    """The gains of the "runs" of few_labels.json, for each number of labels."""
    return [
        gain
        for labels in sorted({run["labels"] for run in runs})
        for gain in _gains_of([run for run in runs if run["labels"] == labels])
    ]


def _gains_of(runs: Sequence[dict[str, Any]]) -> list[Gain]:
    values: dict[str, dict[int, float]] = {}  # row → seed → top-1 in percent
    for run in runs:
        values.setdefault(run["row"], {})[run["seed"]] = 100 * run["val_top1"]
    alone = values.pop(ALONE, {})
    values.pop(TEACHER, None)
    found = []
    for row, taught in values.items():
        seeds = sorted(taught.keys() & alone.keys())  # another seed has other labeled photos
        own, labels = ([top1[seed] for seed in seeds] for top1 in (taught, alone))
        if not seeds:
            continue
        several = len(seeds) > 1
        passes = next(run["passes"] for run in runs if run["row"] == row)
        found.append(
            Gain(
                row,
                FEW,
                f"{row} ({runs[0]['labels']} labels per class)",
                statistics.mean(own) - statistics.mean(labels),
                pooled_sd(own, labels) if several else None,
                len(own),
                passes,
                tuple(a - b for a, b in zip(own, labels, strict=True)) if several else (),
            )
        )
    return found


def map_lines(found: Sequence[Gain], plot: str) -> list[str]:
    """A verdict for each block, the plot, and a table of the gains that have several seeds."""
    if not found:
        return []
    rows, verdicts = [], []
    for start, title in BLOCKS.items():
        block = [gain for gain in found if gain.start == start]
        verdicts += [f"- **{title}: {_verdict(block)}"] if block else []
        rows += [
            line(title, gain.name, gain.seeds, gain.epochs, points(gain), _answer(gain))
            for gain in sorted(block, key=lambda gain: -gain.points)
            if gain.sd is not None or start == FEW
        ]
    single = [gain for gain in found if gain.sd is None]
    hidden = sum(gain.start != FEW for gain in single)
    return [
        *verdicts,
        "",
        f"![gain on val over labels alone]({plot})",
        *table(
            "students start from | taught by | seeds | passes over the photos | "
            "gain in points ± pooled sd | more than twice that",
            rows,
        ),
        "",
        "A gain is val top-1 minus that of a matched control: labels alone with the same start "
        "and steps. Where a teacher changes nothing, one comparison of three seeds in "
        f"{1 / BY_CHANCE:.0f} shows "
        f"more than twice the pooled sd. {len(single)} of the {len(found)} ways have one seed, "
        "which says little; "
        f"{hidden} of them are only in the picture. {read_json(PAPER)['claim']}",
    ]


def points(gain: Gain) -> str:
    """A gain ± the pooled standard deviation, if there are several seeds."""
    return f"{gain.points:+.2f}" + (f" ± {gain.sd:.2f}" if gain.sd is not None else "")


def each_seed(gain: Gain) -> str:
    """The gains of the seeds, of two rows that share their labeled photos."""
    return ", ".join(f"{points:+.2f}" for points in gain.pairs)


def _in_pairs(gain: Gain) -> str:
    return (
        "which also holds how the seeds' labeled photos differ; on the same photos the gains of "
        f"*{gain.run}* are {each_seed(gain)}, more than twice their standard deviation of "
        f"{statistics.stdev(gain.pairs):.2f}"
    )


def _answer(gain: Gain) -> str:
    return NONE if gain.sd is None else "yes" if gain.sure else "no"


def _verdict(block: Sequence[Gain]) -> str:
    """What a reader should do, and why."""
    several = [gain for gain in block if gain.sd is not None]
    better = [gain for gain in several if gain.sure]
    tried = f"{len(block)} way{'s' * (len(block) > 1)} tried, {len(several)} with several seeds"
    if not several:
        return f"not known.** {tried}."
    if not better:
        none = f"{tried}: none gained more than twice the pooled standard deviation"
        paired = [gain for gain in several if gain.sure_in_pairs]
        best = max(paired, key=lambda gain: gain.points, default=None)
        return f"distill.** {none}, {_in_pairs(best)}." if best else f"labels alone.** {none}."
    best = max(better, key=lambda gain: gain.points)
    enough = sum(gain.seeds > 2 for gain in several)  # as `sure` asks
    advice = (
        "distill" if len(better) == len(several) else "some ways pay, so compare with labels alone"
    )
    return (
        f"{advice}.** {tried}: {len(better)} gained more than twice the pooled standard deviation "
        f"(where no way has an effect, one or more of {enough} do so with a chance of "
        f"{1 - (1 - BY_CHANCE) ** enough:.0%}), the best, *{best.name}*, {points(best)} "
        "points."
    )


def draw_map(found: Sequence[Gain], path: Path) -> None:
    """Plot a dot for each way, block by block, with the pooled sd as a bar if there is one."""
    from matplotlib.figure import Figure

    names: list[str] = []
    dots: list[tuple[int, Gain]] = []
    titles: list[int] = []
    for start, title in reversed(BLOCKS.items()):
        block = sorted((g for g in found if g.start == start), key=lambda gain: gain.points)
        for gain in block:
            dots.append((len(names), gain))
            name = FAMILY.sub("(", gain.name.removesuffix(f" ({USUAL})"))
            name = name.replace("and photos without a label", "with unlabeled photos")
            names.append(name.replace("labels per class", "per class"))
        if block:
            titles.append(len(names))
            names.append(title)
    figure = Figure(figsize=(9, 0.8 + 0.22 * len(names)), layout="constrained")
    axes = figure.add_subplot(xlabel="points on val over labels alone; gray: one seed")
    for color, several in (("C0", True), ("C7", False)):
        own = [(place, gain) for place, gain in dots if (gain.sd is not None) == several]
        axes.errorbar(
            [gain.points for _, gain in own],
            [place for place, _ in own],
            xerr=[gain.sd or 0.0 for _, gain in own] if several else None,
            fmt="o",
            color=color,
            capsize=3,
        )
    axes.set_yticks(range(len(names)), names, fontsize="small")
    for place in titles:
        axes.get_yticklabels()[place].set_color("C0")
    axes.tick_params(axis="y", length=0)
    axes.axvline(0, color="k", lw=0.8)
    axes.grid(alpha=0.3, axis="x")
    save_svg(figure, path)
