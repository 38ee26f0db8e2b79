"""The training of a teacher on labels."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pytorch_side.config import Config, Pairs
from pytorch_side.data.backgrounds import training_images
from pytorch_side.data.cache import DecodedImages
from pytorch_side.data.loader import Batch, TrainBatches
from pytorch_side.distillation.hint import Hinted, hint_of, with_hint
from pytorch_side.distillation.losses import class_weights_of, hybrid_loss
from pytorch_side.nets.models import (
    make_teacher,
    projections,
    teacher_features,
    teacher_input,
    teacher_width,
)
from pytorch_side.nets.precision import mixed_precision
from pytorch_side.nets.weights import save_weights
from pytorch_side.train import Losses, answers_of, make_accelerator, train_loop
from swin2mcu.common.accuracy import confusion_of
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import ImageFolder, load_split_pixels
from swin2mcu.common.dataset.trained import OF_A_CACHE, check_place, unseen_by_weights


class TeacherWithHint(nn.Module):
    """A teacher that also returns its features for the hint loss."""

    def __init__(self, teacher: nn.Module, pairs: Pairs, channels: dict[int, int]) -> None:
        """`channels`: of each hint stage. Raises UserError for a stage that does not exist."""
        super().__init__()
        self.teacher, self.pairs = teacher, pairs
        self.regressors = projections(partial(teacher_width, teacher), pairs, channels)

    def forward(self, images: Tensor) -> tuple[Tensor, Hinted]:
        stages = tuple(own for own, _ in self.pairs)
        logits, features = teacher_features(self.teacher, images, stages)
        return logits, {
            (own, theirs): self.regressors[f"{own}-{theirs}"](features[own])
            for own, theirs in self.pairs
        }


def train_teacher(
    config: Config, folder: ImageFolder, run: Path, images: DecodedImages | None = None
) -> dict[str, Any]:
    """Train the teacher that `config` describes into `run`.

    Returns the last row of the log, and as "val_confusion" the confusion matrix on val. The teacher
    is trained on the train split of `images`, or of the folder if that is None.
    """
    check_place(run, OF_A_CACHE)
    if config.distillation.used:
        raise UserError("a teacher learns from labels: leave distillation.alpha and beta at 0")
    if config.teacher.is_student:
        raise UserError(f"teacher.name {config.teacher.name} is a student: train it with distill")
    torch.manual_seed(config.seed)
    accelerator = make_accelerator()
    settings = config.teacher
    files = (settings.init or settings.stem_init, config.hint.init)
    folder = unseen_by_weights(folder, files)
    teacher = make_teacher(settings, len(folder.classes))
    hint = hint_of(config.hint)
    hinted_teacher = TeacherWithHint(teacher, *((hint.pairs, hint.channels) if hint else ((), {})))
    pixels, labels, _, _ = load_split_pixels(folder, "val", settings.size)

    weights = class_weights_of(folder, config.data.class_weights)
    smoothing, bf16 = config.optimizer.label_smoothing, config.optimizer.bf16

    def prepare(images: Tensor) -> Tensor:
        return teacher_input(images, settings.input)

    def loss_of_batch(model: nn.Module, batch: Batch) -> Losses:
        logits, hinted = model(prepare(batch.images))
        losses = hybrid_loss(
            logits, batch.labels, config.distillation, smoothing, class_weights=weights
        )
        return with_hint(losses, hint, hinted, batch.images, config.hint.weight)

    def answered(model: nn.Module) -> npt.NDArray[np.int64]:
        with mixed_precision(accelerator.device, bf16):
            return answers_of(model.teacher, pixels, prepare)

    def score(model: nn.Module) -> dict[str, float]:
        return {"val_top1": float((answered(model) == labels).mean())}

    made = run / "teacher.safetensors"

    def save(model: nn.Module) -> None:
        metadata = {
            "teacher": settings.name,
            "arguments": settings.arguments,
            "size": settings.size,
            "input": settings.input,
            "classes": list(folder.classes),
        }
        save_weights(model.teacher, made, metadata)

    with accelerator.main_process_first():
        images = images or training_images(folder, config)
    batches = TrainBatches(
        images,
        config,
        settings.size,
        rank=accelerator.process_index,
        processes=accelerator.num_processes,
    )
    row = train_loop(
        hinted_teacher, batches, loss_of_batch, score, save, config, run, accelerator, files
    )
    if accelerator.is_main_process and not made.is_file():
        save(hinted_teacher)  # a finished run whose weights were removed
    matrix = confusion_of(labels, answered(hinted_teacher), len(folder.classes))
    return row | {"val_confusion": matrix}
