"""Score a run's network on a split: accuracy, calibration, confusion. Each score is logged."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import Progress
from torch import Tensor, nn

from pytorch_side.command import images_of
from pytorch_side.config import read_saved_config, with_values
from pytorch_side.data.loader import to_images
from pytorch_side.distillation.fill_cache import load_teacher
from pytorch_side.nets.models import load_student, teacher_input
from swin2mcu.common.accuracy import (
    balanced_accuracy,
    confusion_of,
    largest_share,
    recalls,
    standard_error,
)
from swin2mcu.common.answer import best_temperature, softmax
from swin2mcu.common.card import sha256_of
from swin2mcu.common.cli import UserError, plain_console
from swin2mcu.common.dataset import ImageFolder, load_split_pixels
from swin2mcu.common.dataset.trained import unseen_by
from swin2mcu.common.paths import is_published
from swin2mcu.common.test_access import AVERAGED, log_access

BINS = 15  # of the calibration error, as in Guo et al. 2017 (arXiv 1706.04599)
BATCH = 64

Logits = npt.NDArray[np.float32]  # (images, classes)
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Network:
    """A run's finished network, ready for evaluation pixels."""

    model: nn.Module  # eval mode
    size: int
    prepare: Callable[[Tensor], Tensor]  # from the input contract to the model's normalization
    weights: Path


def load_network(run: Path, classes: tuple[str, ...]) -> Network:
    """The student or teacher of a training run.

    Raises UserError when the run holds neither, or when its network's classes are not `classes`.
    """
    weights = run / "student.safetensors"
    if weights.is_file():
        model, size, known = load_student(weights)
        if known != classes:
            raise UserError(
                f"{weights} knows {', '.join(known)}, the images are {', '.join(classes)}: "
                "name the data set it was trained on"
            )
        return Network(model, size, lambda images: images, weights)
    if (run / "teacher.safetensors").is_file():
        return load_teacher_network(run, classes)
    raise UserError(
        f"{run} holds no student.safetensors or teacher.safetensors: name the folder of a finished "
        "training run"
    )


def folder_of_run(run: Path, data: Path) -> ImageFolder:
    """The data set with the run's own split.

    With another seed, the network would be scored on photos that it was trained on. Where `data`
    is another table such photos are left out, as unseen_by does.
    """
    return unseen_by(images_of(read_saved_config(run / "config.json"), data), run)


def load_teacher_network(run: Path, classes: tuple[str, ...]) -> Network:
    """The teacher that a teacher's run made, or that a student's run learned from.

    Raises UserError when the run had none, or learned from a cache whose teachers it does not name.
    """
    config = read_saved_config(run / "config.json")
    own = run / "teacher.safetensors"
    if own.is_file():
        config = with_values(config, {"teacher.init": str(own)})
    if config.several_teachers and config.distillation.used:
        raise UserError(
            f"{run / 'config.json'} names no teacher.init: this run learned from the outputs in "
            f"{config.distillation.cache}, whose teachers it does not name"
        )
    if not config.teacher.init:
        raise UserError(f"{run / 'config.json'} names no teacher.init: this run had no teacher")
    return Network(
        load_teacher(config, classes),
        config.teacher.size,
        lambda images: teacher_input(images, config.teacher.input),
        Path(config.teacher.init),
    )


OnImages = Callable[[int], object]  # called with how many more images are answered


def logits_of(
    network: Network, pixels: npt.NDArray[np.uint8], on_images: OnImages = lambda count: None
) -> Logits:
    """(n, size, size, 3) evaluation pixels → (n, classes)."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(pixels), BATCH):
            images = to_images(pixels[start : start + BATCH])
            parts.append(network.model(network.prepare(images)).float().numpy())
            on_images(len(images))
    return np.concatenate(parts)


def averaged_logits(
    network: Network, pixels: npt.NDArray[np.uint8], on_images: OnImages = lambda count: None
) -> Logits:
    """logits_of, averaged over 8 flips and rotations by 90° of square images."""
    turned = (
        np.rot90(given, turns, (1, 2))
        for given in (pixels, pixels[:, :, ::-1])
        for turns in range(4)
    )
    each = [logits_of(network, np.ascontiguousarray(one), on_images) for one in turned]
    return np.mean(each, axis=0)


def calibration(logits: Logits, labels: Labels, temperature: float = 1.0) -> dict[str, Any]:
    """Expected calibration error: Σ over confidence bins of share · |accuracy - confidence|."""
    probabilities = softmax(logits, temperature)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = [
        {
            "images": int((bin_of == b).sum()),
            "confidence": float(confidence[bin_of == b].mean()),
            "accuracy": float(right[bin_of == b].mean()),
        }
        for b in range(BINS)
        if (bin_of == b).any()
    ]
    error = sum(b["images"] * abs(b["accuracy"] - b["confidence"]) for b in bins) / len(labels)
    return {"temperature": temperature, "error": error, "bins": bins}


def measures(logits: Logits, labels: Labels, classes: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy with its standard error, recall per class and the confusion matrix (row = truth)."""
    answers = logits.argmax(axis=1)
    confusion = confusion_of(labels.tolist(), answers.tolist(), len(classes))
    top1 = float((answers == labels).mean())
    return {
        "images": len(labels),
        "classes": list(classes),
        "top1": top1,
        "standard_error": standard_error(top1, len(labels)),
        "largest_class": largest_share(confusion),
        "balanced_top1": balanced_accuracy(confusion),
        "per_class_recall": recalls(confusion, classes),
        "confusion": confusion,
    }


def score(run: Path, data: Path, split: str, averaged: bool = False) -> dict[str, Any]:
    """Score a run's network on one split of `data`, and log it.

    `averaged`: use the mean of the logits over 8 flips and rotations by 90° of an image. The
    temperature of the second calibration error is fitted on val, even if another split is scored.
    Raises UserError for a published model, whose log is closed, and when the network's classes are
    not those of the data.
    """
    if is_published(run):
        raise UserError(
            f"{run.name} is published, its log of scores is closed: copy the folder to "
            f"runs/{run.name} and score that"
        )
    folder = folder_of_run(run, data)
    network = load_network(run, folder.classes)
    answers = averaged_logits if averaged else logits_of
    scored = {}
    with Progress(console=plain_console(stderr=True)) as bar:
        for name in dict.fromkeys((split, "val")):
            pixels, labels, _, corrupt = load_split_pixels(folder, name, network.size)
            passes = len(pixels) * (8 if averaged else 1)
            task = bar.add_task(f"{run.name} on {name}", total=passes)
            logits = answers(network, pixels, functools.partial(bar.advance, task))
            scored[name] = logits, labels, corrupt
    logits, labels, corrupt = scored[split]
    temperature = best_temperature(*scored["val"][:2])
    report = {
        "run": run.name,
        "weights_sha256": sha256_of(network.weights),
        "data": folder.name,
        "split": split,
        "corrupt": len(corrupt),
        **measures(logits, labels, folder.classes),
        "calibration": calibration(logits, labels),
        "calibration_tempered": calibration(logits, labels, temperature),
    }
    report["accesses"] = log_access(
        run,
        split=split,
        images=len(labels),
        top1=report["top1"],
        weights=network.weights.name,
        weights_sha256=report["weights_sha256"],
        data=folder.name,
        target=AVERAGED if averaged else "",
    )
    return report
