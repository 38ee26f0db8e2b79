"""Training steps and epochs, timed."""

from __future__ import annotations

import itertools
import statistics
import time
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from pytorch_side.config import Config, with_values
from pytorch_side.data.cache import DecodedImages
from pytorch_side.data.loader import TrainBatches
from pytorch_side.distillation.losses import hybrid_loss
from pytorch_side.distillation.teacher_store import TeacherCache
from pytorch_side.distillation.train_student import StudentWithMaps
from pytorch_side.nets.models import make_teacher, student_from

CLASSES = 10  # of the random images
EPOCH_IMAGES = 960  # per timed epoch, with and without a teacher


def step_speeds(config: Config, teacher: bool, steps: int) -> list[dict[str, Any]]:
    """Images per second with each combination. They take turns, so other load slows all equally."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = config.teacher.size if teacher else config.student.size
    images = torch.randn(config.optimizer.batch, 3, size, size, device=device)
    labels = torch.randint(CLASSES, (config.optimizer.batch,), device=device)
    models = {}
    for last in (False, True):
        model = (
            make_teacher(config.teacher, CLASSES)
            if teacher
            else student_from(config.student, CLASSES)
        )
        model = model.to(device, memory_format=_form(last)).train()
        models[last] = model, torch.optim.AdamW(model.parameters())
    ways = list(itertools.product((False, True), repeat=2))
    seconds: dict[tuple[bool, bool], list[float]] = {way: [] for way in ways}
    for number in range(steps + 1):
        for last, bf16 in ways:
            shaped = images.to(memory_format=_form(last))
            spent = _step(*models[last], shaped, labels, bf16)
            if number:  # the first step warms up
                seconds[last, bf16].append(spent)
    return [
        {
            "channels_last": last,
            "bf16": bf16,
            "images_per_s": len(images) / statistics.median(spent),
        }
        for (last, bf16), spent in seconds.items()
    ]


def _form(channels_last: bool) -> torch.memory_format:
    return torch.channels_last if channels_last else torch.contiguous_format


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
    bf16: bool,
) -> float:
    start = time.perf_counter()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        loss = functional.cross_entropy(model(images).float(), labels)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    loss.item()  # waits for a GPU
    return time.perf_counter() - start


def teacher_cache_cost(
    config: Config, images: DecodedImages, outputs: TeacherCache, rounds: int
) -> float:
    """Processor time of an epoch on cached outputs, as a multiple of one without a teacher.

    Includes augmentation, forward, loss, backward and step for some hundred images on a CPU. The
    two kinds of epochs take turns, and the fastest of each kind counts.
    """
    alone = with_values(config, {"distillation.alpha": 0.0, "distillation.beta": 0.0})
    student = student_from(config.student, len(images.folder.classes))
    pairs = config.distillation.attention_pairs if config.distillation.beta > 0 else ()
    size = config.student.size
    plain, compared = (
        StudentWithMaps(student, (), {}),
        StudentWithMaps(student, pairs, outputs.channels),
    )
    fresh = TrainBatches(images, alone, size, limit=EPOCH_IMAGES)
    replayed = TrainBatches(images, config, size, outputs, limit=EPOCH_IMAGES)
    without, distilled = [], []
    for epoch in range(rounds):
        without.append(_epoch(plain, fresh, alone, epoch))
        distilled.append(_epoch(compared, replayed, config, epoch))
    return min(distilled) / min(without)


def _epoch(model: StudentWithMaps, batches: TrainBatches, config: Config, epoch: int) -> float:
    """Seconds of processor time for one epoch."""
    model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters())
    started = time.process_time()
    for batch in batches.epoch(epoch):
        logits, maps, _ = model(batch.images)
        both = {pair: (m, batch.teacher_maps[pair[1]]) for pair, m in maps.items()}
        settings, smoothing = config.distillation, config.optimizer.label_smoothing
        losses = hybrid_loss(logits, batch.labels, settings, smoothing, batch.teacher_logits, both)
        losses["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    return time.process_time() - started
