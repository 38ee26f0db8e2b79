"""The page of few_labels.py's figures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from swin2mcu.common.accuracy import standard_error
from swin2mcu.research.distillation_map import ALONE, each_seed, few_label_gains, points
from swin2mcu.research.table import where
from swin2mcu.research.text import NONE, line, table

ONE_SEED = "one seed, so this says little"


def page(figures: Sequence[dict[str, Any]], val_images: int) -> str:
    """Markdown: a table for each number of labels, with a row for each way to train."""
    alone = [one["val_top1"] for one in figures if one["row"] == ALONE]
    error = 100 * standard_error(statistics.mean(alone), val_images)
    return "\n".join(
        [
            "# Few labeled photos, beside many without a label",
            "",
            "The teacher, Swin stages over EfficientNet-Lite0's ImageNet stem, is trained on the",
            "labeled photos alone. All students start from ImageNet weights and take the same",
            "number of steps. In the second round they learn from averaged logits: of the Swin, of",
            "the student on labels alone and of the first round's student, and of a photo's",
            "augmentations.",
            *(
                text
                for labels in sorted({one["labels"] for one in figures})
                for text in _section([one for one in figures if one["labels"] == labels])
            ),
            "",
            f"One val of {val_images:,} photos has a standard error of {error:.1f} points.",
            "",
        ]
    )


def _section(figures: Sequence[dict[str, Any]]) -> list[str]:
    """The lines of one number of labels."""
    found = {gain.run: gain for gain in few_label_gains(figures)}
    lines = []
    for row in dict.fromkeys(one["row"] for one in figures):
        own = [one for one in figures if one["row"] == row]
        values = [100 * one["val_top1"] for one in own]
        passes = ", ".join(str(n) for n in sorted({one["passes"] for one in own}))
        views = sorted({one["augmentations"] for one in own})
        shown = ", ".join(str(n or "new in every pass") for n in views)
        spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        top1 = f"{statistics.mean(values):.2f}{spread} %"
        gain = f"{points(found[row])} points" if row in found else NONE
        each = each_seed(found[row]) if row in found and found[row].pairs else NONE
        lines.append(line(row, len(own), passes, shown, top1, gain, each))
    seeds = max(sum(one["row"] == row for one in figures) for row in {ALONE, *found})
    return [
        "",
        f"## {figures[0]['labels']} labeled photos per class",
        *table(
            "trained on | seeds | passes over the photos | augmentations of a photo | "
            "val top-1 | gain | of each seed",
            lines,
        ),
        "",
        "± is the standard deviation of a row's seeds, of a gain the pooled one. It also holds "
        "how the seeds' labeled photos differ, which the gain of one seed does not."
        if seeds > 1
        else f"It is {ONE_SEED}.",
        f"On {'; '.join(sorted({where(one) for one in figures}))}.",
    ]
