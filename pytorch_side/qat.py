"""Fine-tune a finished student as int8 (QAT): `python -m pytorch_side.qat runs/NAME`.

Starts from the run's student.safetensors, measures ranges (PTQ, `--epochs 0`), then fine-tunes for
a short time at a low learning rate in the board's exact integers (QAT). Both are scored in these
integers too, so the printed accuracy is that of a board. Writes into the run folder

    qat.safetensors   legalized weights and ranges
    ranges.json       every activation's range, scale and zero point; every weight's scales
    qat/              log.csv, config.json, checkpoint.pt, from which a killed run resumes
    card.json         accuracy of float, PTQ and QAT on val
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pytorch_side.command import images_of
from pytorch_side.config import Config, read_saved_config, split_rule, with_values
from pytorch_side.data.cache import DecodedImages, decode_images
from pytorch_side.data.loader import Batch, TrainBatches, to_images
from pytorch_side.distillation.losses import class_weights_of, hybrid_loss
from pytorch_side.int8.fakequant import QuantNet, ranges_record
from pytorch_side.int8.integer_net import ExactNet
from pytorch_side.int8.legalize import legalize
from pytorch_side.nets.models import load_student, make_student
from pytorch_side.nets.weights import read_weights, save_weights, student_of
from pytorch_side.train import Losses, answers_of, top1, train_loop
from swin2mcu.common.accuracy import (
    Confusion,
    cautions,
    confusion_of,
    qat_caution,
    say_accuracy,
)
from swin2mcu.common.card import Card, load_card, save_card
from swin2mcu.common.cli import Parser, UserError, run_command, write_atomic
from swin2mcu.common.dataset import ImageFolder, load_split_pixels
from swin2mcu.common.lock import lock_folder, locked
from swin2mcu.common.paths import data_folder
from swin2mcu.common.pixels import resize

CALIBRATION_IMAGES, CALIBRATION_BATCH = 768, 96  # a few hundred images give stable ranges


@dataclass(frozen=True)
class QatSettings:
    """The settings of a QAT run."""

    epochs: int = 1  # 0: PTQ, only ranges are measured
    learning_rate: float = 1.5e-5  # 6e-5 loses a point on val in its first epoch
    float_epochs: int = 0  # first epochs, simulated in float: faster, but not the board's numbers
    follow_epochs: int = 0  # first epochs that update ranges; augmented images have wider ones
    images: int | None = None  # per epoch, instead of the config's int8.qat_images

    def check(self) -> None:
        """Raise UserError for impossible settings."""
        if not 0 <= self.follow_epochs <= self.float_epochs <= self.epochs:
            raise UserError(
                f"{self.epochs} epochs, {self.float_epochs} of them in float, "
                f"{self.follow_epochs} of those update ranges: none may be below 0, or more than "
                "the one before"
            )
        if not 0 < self.learning_rate < 1:
            raise UserError(f"learning rate {self.learning_rate}: it must be between 0 and 1")
        if self.images is not None and self.images < 0:
            raise UserError(f"{self.images} images: give a positive number, or 0 for all")


def qat_config(config: Config, settings: QatSettings) -> Config:
    """The float run's config, changed for a short fine-tuning on labels at a low learning rate.

    No dropout: the network only has to adapt to the int8 grid. No teacher: the legalized network
    has no stages to compare. Augmentations are new in each epoch.
    """
    images = config.int8.qat_images if settings.images is None else settings.images
    return with_values(
        config,
        {
            "optimizer.epochs": max(settings.epochs, 1),
            "optimizer.learning_rate": settings.learning_rate,
            "optimizer.warmup_epochs": min(0.5, settings.epochs / 4),
            "optimizer.weight_decay": 0.0,
            "optimizer.ema": 0.998,
            "optimizer.bf16": False,
            "student.dropout": 0.0,
            "distillation.alpha": 0.0,
            "distillation.beta": 0.0,
            "distillation.cache": "",
            "augment.cached": 0,
            "int8.qat_images": images,
        },
    )


def quantize(
    run: Path, folder: ImageFolder, settings: QatSettings, command: str
) -> tuple[Card, Confusion]:
    """PTQ, then QAT, of run/student.safetensors.

    Returns the completed card, and the int8 network's confusion matrix on val.
    """
    student, size, classes = load_student(run / "student.safetensors")
    if classes != folder.classes:
        raise UserError(
            f"{run} knows the classes {', '.join(classes)}, {folder.root} has "
            f"{', '.join(folder.classes)}: name the data set that the student was trained on"
        )
    saved = read_saved_config(run / "config.json")
    config = qat_config(saved, settings)
    images = decode_images(folder)
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
    logging.info("val: float %.2f %%, PTQ %.2f %%", *(100 * v for v in accuracy.values()))
    smoothing = config.optimizer.label_smoothing
    weights = class_weights_of(folder, config.data.class_weights)

    def loss_of_batch(model: nn.Module, batch: Batch) -> Losses:
        logits = model(batch.images)
        return hybrid_loss(
            logits, batch.labels, config.distillation, smoothing, class_weights=weights
        )

    def save(model: nn.Module) -> None:
        assert isinstance(model, QuantNet)
        save_weights(model, run / "qat.safetensors", metadata)
        write_atomic(run / "ranges.json", json.dumps(ranges_record(model), indent=1) + "\n")

    if settings.epochs:
        train_loop(
            net,
            batches,
            loss_of_batch,
            lambda model: {"val_top1": top1(model, pixels, labels)},
            save,
            config,
            run / "qat",
        )
        answered = answers_of(net, pixels)
        accuracy["qat"] = float((answered == labels).mean())
    save(net)
    shape = (size, size, 3)
    card = Card(run.resolve().name, name, classes, shape, split=split_rule(saved))
    card = complete_card(run, card, accuracy, len(labels), folder.root.name, command)
    return card, confusion_of(labels, answered, len(classes))


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
    """Add accuracies on val to the card and write it."""
    path = out / "card.json"
    entries = {
        stage: {"split": "val", "images": images, "top1": value, "data": data, "command": command}
        for stage, value in accuracy.items()
    }
    with locked(path):
        if path.is_file():
            entries = load_card(path).accuracy | entries
        card = dataclasses.replace(card, accuracy=entries)
        save_card(card, path)
    return card


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path, help="folder with student.safetensors")
    parser.add_argument(
        "--epochs", type=int, default=QatSettings.epochs, help="of fine-tuning; 0: PTQ"
    )
    parser.add_argument("--learning-rate", type=float, default=QatSettings.learning_rate)
    parser.add_argument(
        "--images",
        type=int,
        help="training images per epoch; 0: all (default: the run's int8.qat_images)",
    )
    parser.add_argument(
        "--float-epochs",
        type=int,
        default=QatSettings.float_epochs,
        help="number of first epochs that simulate int8 in float: twice as fast, less exact",
    )
    parser.add_argument(
        "--follow-epochs",
        type=int,
        default=QatSettings.follow_epochs,
        help="number of first float epochs that update the ranges",
    )
    parser.add_argument("--data", type=Path, help="folder of class folders ($SWIN2MCU_DATA)")
    arguments = parser.parse_args(argv)

    def command() -> None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        line = shlex.join(["python", "-m", "pytorch_side.qat", *(argv or sys.argv[1:])])
        settings = QatSettings(
            arguments.epochs,
            arguments.learning_rate,
            arguments.float_epochs,
            arguments.follow_epochs,
            arguments.images,
        )
        settings.check()
        saved = read_saved_config(arguments.run / "config.json")
        folder = images_of(saved, data_folder(arguments.data))
        with lock_folder(arguments.run):
            card, confusion = quantize(arguments.run, folder, settings, line)
        for stage in ("float", "ptq", "qat"):
            if stage in card.accuracy:
                one = card.accuracy[stage]
                print(f"{stage}: {say_accuracy(one['top1'], one['images'])} on val")
        last = card.accuracy["qat" if settings.epochs else "ptq"]
        said = cautions(last["top1"], last["images"], confusion, card.classes, "val")
        for caution in (*said, *qat_caution(card.accuracy)):
            print(f"warning: {caution}")

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
