"""PTQ and QAT of a student, and the network that they leave on disk."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pytorch_side.config import read_saved_config, split_rule
from pytorch_side.data.backgrounds import training_images
from pytorch_side.data.cache import DecodedImages
from pytorch_side.data.loader import Batch, TrainBatches, to_images
from pytorch_side.distillation.losses import class_weights_of, hybrid_loss
from pytorch_side.int8.fakequant import QuantNet, ranges_record
from pytorch_side.int8.integer_net import ExactNet
from pytorch_side.int8.legalize import legalize
from pytorch_side.int8.qat_settings import QatSettings, qat_config
from pytorch_side.nets.checkpoint import began_with
from pytorch_side.nets.describe import describe_training
from pytorch_side.nets.models import load_student, make_student
from pytorch_side.nets.weights import read_weights, save_weights, student_of
from pytorch_side.train import Losses, answers_of, top1, train_loop
from swin2mcu.common.accuracy import Confusion, confusion_of, show_accuracy
from swin2mcu.common.card import Card, load_card, save_card, sha256_of
from swin2mcu.common.cli import UserError, write_atomic
from swin2mcu.common.dataset import ImageFolder, load_split_pixels
from swin2mcu.common.dataset.trained import unseen_by
from swin2mcu.common.lock import locked
from swin2mcu.common.pixels import resize

MADE_OF_IT = ("model.onnx", "model_float32.tflite", "model_int8.tflite")  # by export and convert
STUDENT = "student.safetensors"
CALIBRATION_IMAGES, CALIBRATION_BATCH = 768, 96  # a few hundred images give stable ranges


def quantize(
    run: Path, folder: ImageFolder, settings: QatSettings, command: str
) -> tuple[Card, Confusion]:
    """PTQ, then QAT, of run/student.safetensors.

    Returns the completed card, and the int8 network's confusion matrix on val.
    """
    student, size, classes = load_student(run / STUDENT)
    if classes != folder.classes:
        raise UserError(
            f"{run} knows the classes {', '.join(classes)}, {folder.root} has "
            f"{', '.join(folder.classes)}: name the data set that the student was trained on"
        )
    folder = unseen_by(folder, run)
    saved = read_saved_config(run / "config.json")
    config = qat_config(saved, settings)
    training = describe_training(saved)  # raises for a teacher's config that cannot be read
    images = training_images(folder, config)
    torch.manual_seed(config.seed)
    batches = TrainBatches(images, config, size, limit=config.int8.qat_images or None)
    pixels, labels, _, _ = load_split_pixels(folder, "val", size)
    name = saved.student.name
    metadata = {"student": name, "size": size, "classes": list(classes)}

    frozen = settings.follow_epochs * batches.steps
    exact = settings.float_epochs * batches.steps
    net = ExactNet(legalize(student), freeze_after=frozen, exact_after=exact)
    net.calibrate(_calibration_images(images, size))
    answered = answers_of(net, pixels)
    accuracy = {
        "float": top1(student, pixels, labels),
        "ptq": float((answered == labels).mean()),
    }
    shown = (show_accuracy(value, len(labels)) for value in accuracy.values())
    logging.info("val: float %s, PTQ %s of %d images", *shown, len(labels))
    smoothing = config.optimizer.label_smoothing
    weights = class_weights_of(folder, config.data.class_weights)

    def loss_of_batch(model: nn.Module, batch: Batch) -> Losses:
        logits = model(batch.images)
        return hybrid_loss(
            logits, batch.labels, config.distillation, smoothing, class_weights=weights
        )

    def save(model: nn.Module) -> None:
        assert isinstance(model, QuantNet)
        weights = run / "qat.safetensors"
        before = sha256_of(weights) if weights.is_file() else ""
        save_weights(model, weights, metadata)
        if sha256_of(weights) != before:
            for made in MADE_OF_IT:  # else other weights' model would be used with the new card
                (run / made).unlink(missing_ok=True)
        write_atomic(run / "ranges.json", json.dumps(ranges_record(model), indent=1) + "\n")

    if settings.epochs:
        _begin(run)
        train_loop(
            net,
            batches,
            loss_of_batch,
            lambda model: {"val_top1": top1(model, pixels, labels)},
            save,
            config,
            run / "qat",
            starts_from=[str(run / STUDENT)],
        )
        answered = answers_of(net, pixels)
        accuracy["qat"] = float((answered == labels).mean())
    save(net)
    shape = (size, size, 3)
    rule = split_rule(saved)
    card = Card(run.resolve().name, name, classes, shape, split=rule, training=training)
    card = complete_card(run, card, accuracy, len(labels), folder.name, command)
    return card, confusion_of(labels, answered, len(classes))


def _begin(run: Path) -> None:
    """Drop a fine-tuning in run/qat that began with another student.

    A run that was trained further, or anew, has other weights under the same name.
    """
    checkpoint = run / "qat" / "checkpoint.pt"
    if checkpoint.is_file() and not began_with(checkpoint, [sha256_of(run / STUDENT)]):
        logging.info("%s is of another student: fine-tuning starts again", checkpoint)
        checkpoint.unlink()


def load_quantized(run: Path) -> tuple[QuantNet, int, tuple[str, ...], str]:
    """run/qat.safetensors → network (eval mode), input size, classes, timm's student name."""
    path = run / "qat.safetensors"
    weights, metadata = read_weights(path)
    name, size, classes = student_of(metadata, path)
    net = QuantNet(legalize(make_student(name, len(classes)).eval()))
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"{path} does not fit a legalized {name}") from error
    return net.eval(), size, classes, name


def _calibration_images(images: DecodedImages, size: int) -> Iterator[Tensor]:
    """Train images as a board sees them: augmentations would give too wide ranges."""
    positions = images.folder.indices("train")
    chosen = positions[np.linspace(0, len(positions) - 1, CALIBRATION_IMAGES).astype(int)]
    for start in range(0, len(chosen), CALIBRATION_BATCH):
        batch = chosen[start : start + CALIBRATION_BATCH]
        yield to_images(np.stack([resize(Image.fromarray(images[i]), size, size) for i in batch]))


def complete_card(
    out: Path, card: Card, accuracy: dict[str, float], images: int, data: str, command: str
) -> Card:
    """Write the card with these accuracies on val. Those of other weights, from before, go.

    A calibration stays: `tinyml.convert` drops it if it writes another int8 file.
    """
    path = out / "card.json"
    entries = {
        stage: {"split": "val", "images": images, "top1": value, "data": data, "command": command}
        for stage, value in accuracy.items()
    }
    with locked(path):
        before = card
        with suppress(UserError):  # no card yet, or a damaged one: this one replaces it
            before = load_card(path)
        card = dataclasses.replace(
            card, accuracy=entries, sha256=before.sha256, calibration=before.calibration
        )
        save_card(card, path)
    return card
