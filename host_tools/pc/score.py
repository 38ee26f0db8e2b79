"""Accuracy of every backend on the same images, and whether int8 ones agree byte for byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import Progress

from host_tools.pc.backend import Backend
from host_tools.pc.runner import Runner
from host_tools.results import summarize_accuracy
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import spread
from swin2mcu.common.pixels import load_pixels

REFERENCE = "pc-tflm-int8"
Logits = npt.NDArray[Any]


def score(
    loaded: Mapping[Backend, Runner],
    seconds: Mapping[Backend, float],
    images: Sequence[tuple[Path, int]],
    classes: Sequence[str],
    data: str,
    limit: int | None,
    budget_s: float,
    progress: Progress,
    crop: str = "",
) -> dict[str, dict[str, Any]]:
    """{target: {"accuracy", "parity"}} for all backends with weights worth scoring.

    `data` is the name of the images' folder, `seconds` what one run takes, `crop` the card's. A
    backend too slow for all images within `budget_s` gets the first ones of a seeded order, so that
    each part is a fair sample; its "images" says how many.
    """
    order = np.random.default_rng(0).permutation(spread(len(images), limit))
    wanted = {
        backend: min(len(order), max(1, int(budget_s / seconds[backend])))
        for backend in loaded
        if backend.scored
    }
    answers: dict[Backend, list[Logits]] = {backend: [] for backend in wanted}
    labels: list[int] = []
    for position in progress.track(order.tolist(), description="scoring"):
        path, label = images[position]
        try:
            sizes = {backend.size for backend in wanted}
            pixels = {size: load_pixels(path, size, size, crop) for size in sizes}
        except UserError as error:
            progress.console.print(f"left out: {error}")
            continue
        labels.append(label)
        for backend, given in answers.items():
            if len(given) < wanted[backend]:
                runner = loaded[backend]
                given.append(runner.run(runner.prepare(pixels[backend.size])))
    if not labels:
        return {}
    reference = next((given for c, given in answers.items() if c.target == REFERENCE), None)
    scores = {}
    for backend, given in answers.items():
        chosen = [int(np.argmax(logits)) for logits in given]
        accuracy = summarize_accuracy(labels[: len(chosen)], chosen, classes)
        scores[backend.target] = {
            "accuracy": {"split": "test", **accuracy, "data": data},
            "parity": parity(given, reference) if backend.precision == "int8" else None,
        }
    return scores


def parity(given: Sequence[Logits], reference: Sequence[Logits] | None) -> dict[str, Any] | None:
    """How far int8 logits are from TensorFlow Lite Micro's, over the images both have seen."""
    if reference is None or given is reference:
        return None
    worst = [
        int(np.abs(one.astype(np.int16) - other.astype(np.int16)).max())
        for one, other in zip(given, reference, strict=False)
    ]
    return {
        "reference": "tflite-micro",
        "images": len(worst),
        "identical": worst.count(0),
        "max_lsb": max(worst),
    }
