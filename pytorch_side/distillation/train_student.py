"""The training of a student: labels, and a teacher's cached logits and attention maps."""

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
from pytorch_side.data.loader import Batch, TrainBatches
from pytorch_side.data.unlabeled import training_photos
from pytorch_side.distillation.attention import energy_map
from pytorch_side.distillation.cache_identity import cache_folder, expectation
from pytorch_side.distillation.fill_cache import make_teacher_cache
from pytorch_side.distillation.hint import Hinted, hint_of, with_hint
from pytorch_side.distillation.losses import class_weights_of, hybrid_loss
from pytorch_side.distillation.teacher_store import (
    about_path,
    identity_files,
    open_teacher_cache,
)
from pytorch_side.nets.models import (
    make_student,
    projections,
    stage_width,
    student_features,
    student_from,
)
from pytorch_side.nets.weights import save_weights
from pytorch_side.train import Losses, answers_of, make_accelerator, train_loop
from swin2mcu.common.accuracy import confusion_of
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import ImageFolder, load_split_pixels
from swin2mcu.common.dataset.trained import OF_A_CACHE, check_place, unseen_by_weights


class StudentWithMaps(nn.Module):
    """A student that also returns its attention maps; its projections are for training only.

    Adaptive alignment: a learned 1x1 projection gives a student stage as many channels as the
    teacher's stage has, before its energy is computed. Without `alignment` the energy is computed
    from the stage itself.
    """

    def __init__(
        self,
        student: nn.Module,
        pairs: Pairs,
        channels: dict[int, int],
        hint_pairs: Pairs = (),
        hint_channels: dict[int, int] | None = None,
    ) -> None:
        """`channels` holds the number of channels of each teacher stage; empty: no alignment.

        Raises UserError for a stage that the student does not have.
        """
        super().__init__()
        for own, _ in pairs:
            stage_width(student, own)  # raises
        self.student, self.pairs, self.hint_pairs = student, pairs, hint_pairs
        width = partial(stage_width, student)
        self.projections = projections(width, pairs if channels else (), channels)
        self.regressors = projections(width, hint_pairs, hint_channels or {})

    def forward(self, images: Tensor) -> tuple[Tensor, dict[tuple[int, int], Tensor], Hinted]:
        """Images → logits, a map (batch, h, w) for each pair, and features for the hint loss."""
        stages = tuple(own for own, _ in (*self.pairs, *self.hint_pairs))
        logits, features = student_features(self.student, images, stages)
        maps = {}
        for own, theirs in self.pairs:
            name = f"{own}-{theirs}"
            x = features[own]
            maps[own, theirs] = energy_map(
                self.projections[name](x) if name in self.projections else x
            )
        hinted = {
            (own, theirs): self.regressors[f"{own}-{theirs}"](features[own])
            for own, theirs in self.hint_pairs
        }
        return logits, maps, hinted


def check_distillation(config: Config) -> None:
    """Raise UserError where a config cannot be distilled, before a teacher has answered for hours.

    Pairs of stages are missing, or name a stage that the student does not have; or the mean of a
    photo's logits cannot teach its new augmentations. Of the teacher's stages only those of the
    hint are checked.
    """
    settings = config.distillation
    if settings.used and not settings.consistent:
        _check_means(config)
    if settings.beta > 0 and not settings.attention_pairs:
        raise UserError(
            "distillation.beta above 0 compares attention maps: name pairs of stages as "
            "distillation.attention_pairs, or set distillation.beta = 0"
        )
    hint = hint_of(config.hint)  # raises
    pairs = (*(settings.attention_pairs if settings.used else ()), *(hint.pairs if hint else ()))
    student = make_student(config.student.name, 2)
    for own, _ in pairs:
        stage_width(student, own)  # raises


def _check_means(config: Config) -> None:
    if config.distillation.beta > 0:
        key, why = "distillation.beta", "attention maps belong to one augmentation"
    elif config.augment.mixup > 0:
        key, why = "augment.mixup", "the logits of mixed photos belong to one mixture"
    else:
        return
    raise UserError(f"distillation.consistent = false needs {key} = 0: {why}")


def distill(config: Config, folder: ImageFolder, run: Path) -> dict[str, Any]:
    """Train the student that `config` describes into `run`.

    Returns the last row of the log, and as "val_confusion" the confusion matrix on val. Raises
    UserError, before any work, where check_distillation does, and where run and cache would have
    one folder.
    """
    check_place(run, OF_A_CACHE)
    settings, place = config.distillation, cache_folder(config, run)
    if settings.used and place.resolve() == run.resolve():
        raise UserError(f"distillation.cache is {run}, the run's own folder: name another one")
    accelerator = make_accelerator()
    check_distillation(config)
    stands_on = (config.student.init, config.hint.init)
    answers = str(about_path(place))  # of one teacher or several
    taught_by = (config.teacher.init, answers) if settings.used else ()
    folder = unseen_by_weights(folder, (*stands_on, *taught_by))
    with accelerator.main_process_first():  # it decodes the photos, the others open its cache
        images = training_images(training_photos(folder, config), config)
    outputs = None
    if settings.used:
        with accelerator.main_process_first():
            if accelerator.is_main_process:
                outputs = make_teacher_cache(images, config, place)
            else:
                outputs = open_teacher_cache(place, expectation(config, images))
    torch.manual_seed(config.seed)  # after the teacher, whose construction uses random numbers too
    student = student_from(config.student, len(folder.classes), folder.classes)
    pairs = settings.attention_pairs if settings.beta > 0 else ()
    channels = outputs.channels if outputs and settings.alignment else {}
    hint = hint_of(config.hint)
    hinted = (hint.pairs, hint.channels) if hint else ((), None)
    model = StudentWithMaps(student, pairs, channels, *hinted)
    size = config.student.size
    pixels, labels, _, _ = load_split_pixels(folder, "val", size)
    smoothing = config.optimizer.label_smoothing
    weights = class_weights_of(folder, config.data.class_weights)

    def loss_of_batch(model: nn.Module, batch: Batch) -> Losses:
        logits, maps, hinted = model(batch.images)
        both = {pair: (m, batch.teacher_maps[pair[1]]) for pair, m in maps.items()}
        losses = hybrid_loss(
            logits, batch.labels, settings, smoothing, batch.teacher_logits, both, weights
        )
        return with_hint(losses, hint, hinted, batch.images, config.hint.weight)

    made = run / "student.safetensors"

    def save(model: nn.Module) -> None:
        metadata = {
            "student": config.student.name,
            "size": size,
            "classes": list(folder.classes),
        }
        save_weights(model.student, made, metadata)

    def answered(model: nn.Module) -> npt.NDArray[np.int64]:
        return answers_of(model.student, pixels)

    rank, processes = accelerator.process_index, accelerator.num_processes
    batches = TrainBatches(images, config, size, outputs, rank, processes)
    row = train_loop(
        model,
        batches,
        loss_of_batch,
        lambda model: {"val_top1": float((answered(model) == labels).mean())},
        save,
        config,
        run,
        accelerator,
        (*stands_on, *((*identity_files(outputs), config.teacher.init) if outputs else ())),
    )
    if accelerator.is_main_process and not made.is_file():
        save(model)  # a finished run whose weights were removed
    return row | {"val_confusion": confusion_of(labels, answered(model), len(folder.classes))}
