"""The training loop of teachers, students and quantization-aware training.

Every epoch ends with a full checkpoint, written atomically, and an epoch's batches depend only on
its number. So a run that is killed at any moment and resumed ends with the same weights.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from rich.markup import escape
from rich.progress import Progress
from torch import Tensor, nn

from pytorch_side.config import Config, Optimizer, save_config, with_values
from pytorch_side.data.loader import Batch, TrainBatches, to_images
from pytorch_side.log import MACHINE, record_machine, write_log
from pytorch_side.nets.checkpoint import read_checkpoint, write_checkpoint
from pytorch_side.nets.models import synchronized
from pytorch_side.nets.precision import mixed_precision
from swin2mcu.common.card import sha256_of
from swin2mcu.common.cli import UserError, plain_console, remove_parts, write_atomic
from swin2mcu.common.dataset.trained import write_trained
from swin2mcu.common.hardware import processor_name
from swin2mcu.common.lock import lock_folder

Losses = dict[str, Tensor]


def train_loop(
    model: nn.Module,
    batches: TrainBatches,
    loss_of_batch: Callable[[nn.Module, Batch], Losses],
    score: Callable[[nn.Module], dict[str, float]],
    save: Callable[[nn.Module], None],
    config: Config,
    run: Path,
    accelerator: Accelerator | None = None,
    starts_from: Sequence[str] = (),
) -> dict[str, Any]:
    """Train `model` in place for the config's epochs and return the last row of the log.

    `loss_of_batch(model, batch)` returns a dict whose "loss" is minimized and whose other entries
    are logged; `batch` lies on the model's device. After every epoch the averaged (EMA) weights, or
    the plain ones when `optimizer.ema` is 0, go through `score(model)` (eval mode, no gradients;
    its dict is logged) and `save(model)`. Writes config.json, machine.json, trained_on.csv, log.csv
    and checkpoint.pt into `run`, and resumes from checkpoint.pt when there is one. `starts_from`
    names the files that the training uses, of initial weights and of cached teacher outputs; they
    must be the same then. Ends with `model` holding the averaged weights.

    Raises UserError
    - when a loss or a gradient is not finite, before the weights are changed;
    - when the checkpoint belongs to another config, network, images, initial weights or
      teacher outputs;
    - when not every process sees the checkpoint;
    - when another command is training into `run`.
    """
    accelerator = accelerator or make_accelerator()
    main, settings = accelerator.is_main_process, config.optimizer
    # Fused is one pass over all weights: unfused takes a fifth of a small network's step on a CPU.
    optimizer = torch.optim.AdamW(
        _groups(model, settings.weight_decay), lr=settings.learning_rate, fused=True
    )
    averaged = copy.deepcopy(model).eval().requires_grad_(False).to(accelerator.device)
    if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
        # Each process sees only a part of the batch: too few images for statistics of its own.
        model = synchronized(model)
    model = model.to(accelerator.device, memory_format=torch.channels_last)
    parts = {"model": model, "averaged": averaged, "optimizer": optimizer}
    digests = _digests(starts_from)

    def train_step(batch: Batch, epoch: int, step: int) -> dict[str, float]:
        rate = learning_rate(step, batches.steps, settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = _to(batch, accelerator.device)
        with mixed_precision(accelerator.device, settings.bf16):
            losses = loss_of_batch(wrapped, batch)
        values = _mean_over_processes(losses, accelerator)
        if not all(math.isfinite(value) for value in values.values()):
            raise _not_finite(values, step, epoch, batch, rate, run)
        accelerator.backward(losses["loss"])
        norm = accelerator.clip_grad_norm_(model.parameters(), settings.clip_norm or math.inf)
        # A finite loss may have a gradient that is not finite: one step ruins the weights.
        if not math.isfinite(norm):
            gradient = {**values, "gradient norm": float(norm)}
            raise _not_finite(gradient, step, epoch, batch, rate, run)
        optimizer.step()
        optimizer.zero_grad()
        _average(averaged, model, settings.ema, step)
        return values

    def train_epoch(epoch: int, advance: Callable[[], None]) -> dict[str, Any]:
        """Train one epoch, score the averaged weights, and return the epoch's row of the log."""
        started, waited = time.perf_counter(), batches.waited_s
        if accelerator.num_processes > 1 or accelerator.device.type != "cpu":
            torch.manual_seed(epoch_seed(config.seed, epoch, accelerator.process_index))
        wrapped.train()
        sums: dict[str, float] = {}
        for step, batch in enumerate(batches.epoch(epoch), start=epoch * batches.steps):
            for name, value in train_step(batch, epoch, step).items():
                sums[name] = sums.get(name, 0.0) + value
            advance()
        trained_s = time.perf_counter() - started
        row = {"epoch": epoch + 1, "learning_rate": f"{optimizer.param_groups[0]['lr']:.6g}"}
        row |= {name: f"{total / batches.steps:.5f}" for name, total in sums.items()}
        with torch.inference_mode():
            row |= {name: f"{value:.5f}" for name, value in score(averaged).items()}
        row["seconds"] = f"{trained_s:.1f}"
        row["waiting_share"] = f"{(batches.waited_s - waited) / trained_s:.3f}"
        return row

    with lock_folder(run) if main else contextlib.nullcontext():
        if main:
            remove_parts(run / "checkpoint.pt")
        rows = _start(run, config, batches, parts, starts_from, accelerator)
        wrapped, optimizer = accelerator.prepare(model, optimizer)
        with Progress(console=plain_console(stderr=True), disable=not main) as bar:
            task = bar.add_task(escape(run.name), total=settings.epochs * batches.steps)
            bar.advance(task, len(rows) * batches.steps)
            for epoch in range(len(rows), settings.epochs):
                rows.append(train_epoch(epoch, lambda: bar.advance(task)))
                if main:
                    save(averaged)
                    # The checkpoint comes last: if the run is killed before, it repeats the epoch.
                    write_log(run / "log.csv", rows)
                    write_checkpoint(run / "checkpoint.pt", config, batches, parts, rows, digests)
                    said = "  ".join(f"{name} {value}" for name, value in rows[-1].items())
                    bar.console.print(said, soft_wrap=True)
                accelerator.wait_for_everyone()
    model.load_state_dict(averaged.state_dict())
    return rows[-1] if rows else {}


def _start(
    run: Path,
    config: Config,
    batches: TrainBatches,
    parts: dict[str, Any],
    starts_from: Sequence[str],
    accelerator: Accelerator,
) -> list[dict[str, Any]]:
    """Restore `parts` from the run's checkpoint and return its log, or write a new run's files."""
    checkpoint = run / "checkpoint.pt"
    rows: list[dict[str, Any]] = []
    if checkpoint.is_file():
        rows = read_checkpoint(checkpoint, config, batches, parts, _digests(starts_from))
    elif accelerator.is_main_process:
        decided = {"data.drawn_by": batches.drawn_by}
        save_config(with_values(config, decided), run / "config.json")
        write_trained(run, batches.trained_on, starts_from)
        (run / MACHINE).unlink(missing_ok=True)  # of what was trained here before
    if accelerator.is_main_process and len(rows) < config.optimizer.epochs:
        record_machine(run, machine(accelerator))
    first, processes = len(rows), accelerator.num_processes
    everywhere = accelerator.reduce(torch.tensor(first, device=accelerator.device))
    if everywhere != first * processes:
        raise UserError(f"not every process sees {checkpoint}: machines must share --out's disk")
    return rows


def _digests(files: Sequence[str]) -> list[str]:
    return [sha256_of(path) for path in map(Path, files) if path.is_file()]


def answers_of(
    model: nn.Module,
    pixels: npt.NDArray[np.uint8],
    prepare: Callable[[Tensor], Tensor] = lambda images: images,
    batch: int = 128,
) -> npt.NDArray[np.int64]:
    """The class (N,) that `model` gives evaluation pixels (N, h, w, 3); `prepare` re-normalizes."""
    device = next(model.parameters()).device
    answers = []
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(pixels), batch):
            images = to_images(pixels[start : start + batch]).to(device)
            answers.append(model(prepare(images)).argmax(dim=1).cpu().numpy())
    return np.concatenate(answers)


def top1(
    model: nn.Module,
    pixels: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    prepare: Callable[[Tensor], Tensor] = lambda images: images,
) -> float:
    """Share of evaluation pixels (N, h, w, 3) that `model` gets right; `prepare` re-normalizes."""
    return float((answers_of(model, pixels, prepare) == labels).mean())


def machine(accelerator: Accelerator) -> dict[str, Any]:
    """The machine that trains. Without it, a run's times cannot be interpreted."""
    on_gpu = accelerator.device.type == "cuda"
    return {
        "hardware": torch.cuda.get_device_name(accelerator.device) if on_gpu else processor_name(),
        "processes": accelerator.num_processes,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def make_accelerator() -> Accelerator:
    """An Accelerator whose processes wait while one of them caches a teacher's outputs."""
    return Accelerator(kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(days=2))])


def epoch_seed(seed: int, epoch: int, process: int) -> int:
    """The seed of an epoch's dropout and drop path on a GPU or in one of several processes.

    Each process must drop different units, and a resumed run must drop the same units as a run that
    was not interrupted. A single process on a CPU needs no such seed: the checkpoint holds the
    state of its generator.
    """
    return int(np.random.SeedSequence([seed, epoch, process]).generate_state(1)[0])


def learning_rate(step: int, steps_per_epoch: int, settings: Optimizer) -> float:
    """Linear warm-up, then half a cosine, which would be zero one step after the last."""
    warmup = settings.warmup_epochs * steps_per_epoch
    if step < warmup:
        return settings.learning_rate * min(1.0, (step + 1) / warmup)  # part of a step
    progress = (step - warmup) / max(1.0, settings.epochs * steps_per_epoch - warmup)
    return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * progress))


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups: weight decay for matrices and kernels, none for norms and biases.

    Swin's tables of position biases have two dimensions, so they decay here. Its authors and timm
    let them keep their size.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """EMA of weights and batch-norm statistics; in the first steps the decay is smaller."""
    decay = min(decay, (1.0 + step) / (10.0 + step)) if decay else 0.0
    new, old = model.state_dict(), averaged.state_dict()
    floats = [name for name, value in old.items() if value.is_floating_point()]
    torch._foreach_lerp_([old[n] for n in floats], [new[n] for n in floats], 1.0 - decay)
    for name, value in old.items():
        if not value.is_floating_point():
            value.copy_(new[name])


def _mean_over_processes(losses: Losses, accelerator: Accelerator) -> dict[str, float]:
    """Means over all processes, so that all processes stop when one value is not finite."""
    stacked = torch.stack([value.detach().float() for value in losses.values()])
    mean = accelerator.reduce(stacked, "mean") if accelerator.num_processes > 1 else stacked
    return dict(zip(losses, mean.tolist(), strict=True))


def _to(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    logits = batch.teacher_logits
    return Batch(
        batch.images.to(device, non_blocking=True),
        batch.labels.to(device),
        batch.files,
        None if logits is None else logits.to(device),
        {stage: maps.to(device) for stage, maps in batch.teacher_maps.items()},
    )


def _not_finite(
    values: dict[str, float], step: int, epoch: int, batch: Batch, rate: float, run: Path
) -> UserError:
    shown = ", ".join(f"{name} = {value}" for name, value in values.items())
    where = {"step": step, "epoch": epoch + 1, "learning_rate": rate, "batch": batch.files}
    write_atomic(run / "not-finite.json", json.dumps({**where, **values}, indent=2) + "\n")
    checkpoint = run / "checkpoint.pt"
    kept = f"; {checkpoint} still holds the last whole epoch" if checkpoint.is_file() else ""
    return UserError(
        f"{shown} at step {step} (epoch {epoch + 1}, learning rate {rate:.3g}, batch of "
        f"{batch.files[0]} …, all of it in {run / 'not-finite.json'}), config "
        f"{run / 'config.json'}: lower optimizer.learning_rate, or set optimizer.bf16 = false{kept}"
    )
