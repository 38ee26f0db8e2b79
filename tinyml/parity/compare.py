"""Run all stages on the same pixels, and measure how much each differs from its reference stage.

    max_difference      largest difference of a logit, in `unit`
    relative_max        the same as a share of the logits' scale, of the image's own scale, or of a
                        tenth of its largest logit, whichever is largest: floats round in proportion
                        to their size, also where all logits are nearly equal
    relative_rms        root mean square of an image's differences as a share of the logits' scale:
                        the median over the images
    top1_agreement      share of images with the same top class
    decided_agreement   the same among the images that the other stage decides clearly; one of them
                        may differ, however few there are
    top1_lost           how much lower top-1 surely is than the other stage's: the share of images
                        lost, less three standard errors (McNemar's, of the images that changed)

The logits' scale is the root mean square of (logit - mean of the image's logits): the median over
the images. It is used since longer training gives larger logits and larger rounding errors, and
neither is a fault. If two classes are nearly equal, correct rounding may swap them. So a bound on
agreement counts only images whose best logit is ahead by DECIDED times the scale.

Int8 clips a photo that is unlike all on which the ranges were measured: a correct chain may answer
it quite differently. So medians, and one image, are forgiven: a fault changes most images.

The logits of a network that has learned nothing differ by hardly more than rounding. There rounding
has the limits of training: it may not lose accuracy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import Progress

from swin2mcu.common.accuracy import standard_error
from tinyml.parity.record import misses
from tinyml.parity.stages import FINE_TUNED, LAST, ROUNDED, TRAINED, Stage

BATCH = 16  # images between two updates of the progress bar
DECIDED = 1.0

Logits = npt.NDArray[Any]


def compare_stages(
    stages: list[Stage],
    pixels: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    output_scale: float,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """One record for each stage, in their order, and one of all rounding together."""
    logits: dict[str, Logits] = {}
    records = []
    for stage in stages:
        task = progress.add_task(stage.name, total=len(pixels)) if progress else None
        parts = []
        for start in range(0, len(pixels), BATCH):
            parts.append(stage.run(pixels[start : start + BATCH]))
            if progress and task is not None:
                progress.advance(task, len(parts[-1]))
        logits[stage.name] = np.concatenate(parts)
        other = logits[stage.against] if stage.against else None
        records.append(record_of(stage, logits[stage.name], other, labels, output_scale))
    # All of the rounding, and none of the training before it.
    first = next((stage for stage in stages if stage.name == FINE_TUNED), stages[0])
    last = next(stage for stage in stages if stage.name == LAST)
    whole = Stage("end-to-end", first.name, "lsb", last.run, ROUNDED)
    own, other = logits[last.name], logits[first.name]
    return [*records, record_of(whole, own, other, labels, output_scale)]


def record_of(
    stage: Stage,
    own: Logits,
    other: Logits | None,
    labels: npt.NDArray[np.int64],
    output_scale: float,
) -> dict[str, Any]:
    """The record of one stage in parity.json. A stage without a reference has no limits."""
    right = own.argmax(1) == labels
    record = {
        "name": stage.name,
        "against": stage.against,
        "images": len(own),
        "top1": float(right.mean()),
    }
    if other is None:
        return record
    before = other.argmax(1) == labels
    figures = measure(own, other) | {"top1_lost": surely_lost(right, before)}
    if stage.unit == "lsb":
        # The whole number of steps, without the float error of the real values.
        figures["max_difference"] = round(figures["max_difference"] / output_scale, 3)
    limits = stage.limits
    if limits == ROUNDED and not has_learned(before, labels):
        limits = TRAINED
    record |= figures | {"unit": stage.unit, "limits": limits}
    return record | {"holds": not misses(record)}


def measure(own: Logits, other: Logits) -> dict[str, Any]:
    """The figures of the module's table, for real logits (N, classes); differences in logits."""
    difference = np.abs(own - other).astype(np.float64)
    scale = logits_scale(other)
    of_each = np.maximum(image_scales(other), scale)
    of_each = np.maximum(of_each, 0.1 * np.abs(other).max(axis=1))
    same = own.argmax(1) == other.argmax(1)
    ordered = np.sort(other, axis=1)
    decided = ordered[:, -1] - ordered[:, -2] >= DECIDED * scale
    count, agreeing = int(decided.sum()), int(same[decided].sum())
    return {
        "top1_agreement": float(same.mean()),
        "decided_images": count,
        # Without decided images there is nothing to count; then only the other figures matter.
        "decided_agreement": min(1.0, (agreeing + 1) / count) if count else 1.0,
        "max_difference": float(difference.max()),
        "relative_max": float((difference.max(axis=1) / of_each).max()),
        "relative_rms": float(np.median(np.sqrt((difference**2).mean(axis=1)))) / scale,
    }


def has_learned(right: npt.NDArray[np.bool_], labels: npt.NDArray[np.int64]) -> bool:
    """Whether top-1 is surely, by three standard errors, above the share of the largest class."""
    top1, largest = float(right.mean()), np.bincount(labels).max() / len(labels)
    return bool(top1 - 3 * standard_error(top1, len(right)) > largest)


def surely_lost(right: npt.NDArray[np.bool_], before: npt.NDArray[np.bool_]) -> float:
    """The module's top1_lost, of which images (N,) are answered right, now and before."""
    lost, gained = int((before & ~right).sum()), int((right & ~before).sum())
    return float((lost - gained - 3 * np.sqrt(lost + gained)) / len(right))


def logits_scale(logits: Logits) -> float:
    """The scale of the module's text; above zero even if all logits are equal."""
    middle = float(np.median(image_scales(logits)))
    return max(middle, 1e-3 * float(np.median(np.abs(logits).max(axis=1))), 1e-9)


def image_scales(logits: Logits) -> npt.NDArray[np.float64]:
    """The root mean square of each image's logits around their mean."""
    scales: npt.NDArray[np.float64] = logits.astype(np.float64).std(axis=1)
    return scales
