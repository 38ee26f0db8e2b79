"""Ask the teacher once: for K seeded views of each training image, store its logits and maps.

    python -m pytorch_side.distillation.teacher_cache --config configs/small-96.toml --out DIR

Killed and started again it goes on where it stopped; finished, it returns at once.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.format import open_memmap
from rich.console import Console
from rich.progress import Progress
from torch import nn

from pytorch_side.command import training_command
from pytorch_side.config import Config
from pytorch_side.data.augment import view_seed
from pytorch_side.data.cache import DecodedImages, decode_images
from pytorch_side.data.loader import to_images, view_settings
from pytorch_side.data.mixup import train_view
from pytorch_side.distillation.attention import averaged_maps, teacher_maps
from pytorch_side.distillation.teacher_store import (
    Knowledge,
    check_same,
    open_arrays,
    open_knowledge,
    quantise_logits,
    quantise_maps,
    read_about,
    split_digest,
)
from pytorch_side.nets.models import (
    TEACHER_INPUTS,
    make_teacher,
    teacher_input,
    teacher_width,
)
from pytorch_side.nets.weights import read_weights
from swin2mcu.common.card import sha256_of
from swin2mcu.common.cli import UserError, write_atomic
from swin2mcu.common.dataset import ImageFolder, spread

SHARD = 64  # images between two saves
SAMPLED = 16  # images that stand for all when stored answers are opened
GPU_BATCH = 64  # views of 224 px that a Swin-L answers in a few GB
CPU_BATCH = 16  # a Swin's windows are copied a lot: batches that stay in the cache are faster


def stages_of(config: Config) -> tuple[int, ...]:
    """The teacher stages whose maps a config compares."""
    return tuple(sorted({teacher for _, teacher in config.attention_pairs}))


def expectation(config: Config, images: DecodedImages) -> dict[str, Any]:
    """What knowledge must have been made for to be usable with this config and these images."""
    folder = images.folder
    files = [folder.files[i] for i in folder.indices("train")]
    if not config.teacher_init:
        raise UserError("teacher_init is empty: name the teacher's .safetensors in the config")
    if config.teacher_views not in (1, 8):
        raise UserError(f"teacher_views is {config.teacher_views}: 1, or 8 for all flips and turns")
    return {
        "split": split_digest(files),
        "classes": list(folder.classes),
        "teacher": sha256_of(Path(config.teacher_init)),
        "teacher views": config.teacher_views,
        "teacher input": {
            "kind": config.teacher_input,
            "size": config.teacher_size,
            "bf16": config.teacher_bf16,
        },
        "views": {
            "count": config.views,
            "seed": config.view_seed,
            **dataclasses.asdict(view_settings(config)),
        },
        "map": {
            "kind": config.attention_map,
            "stages": list(stages_of(config)),
            "grid_max": config.attention_grid,
        },
        "pixels": _pixel_sample(config, images),
    }


def _pixel_sample(config: Config, images: DecodedImages) -> str:
    """A digest of one view of a few images: of other photos by the same names, or drawn by another
    version of a library, stored answers are not answers to what a student would see.
    """
    positions = images.folder.indices("train")
    digest = hashlib.sha256()
    for position in positions[spread(len(positions), SAMPLED)]:
        seed = view_seed(config.view_seed, images.folder.files[position], 0)
        settings, size = view_settings(config), config.teacher_size
        digest.update(
            train_view(images, positions, int(position), seed, settings, size).pixels.tobytes()
        )
    return digest.hexdigest()[:16]


def load_teacher(config: Config, classes: tuple[str, ...]) -> nn.Module:
    """The finished teacher in eval mode. Raises UserError when it knows other classes."""
    _, metadata = read_weights(Path(config.teacher_init))
    try:
        known = json.loads(metadata["classes"])
    except (KeyError, ValueError):
        known = None
    # A file from elsewhere may say something else: its classifier's size has to do.
    if isinstance(known, list) and known != list(classes):
        raise UserError(
            f"{config.teacher_init} tells {', '.join(map(str, known))} apart, the images are "
            f"{', '.join(classes)}: train a teacher on these images"
        )
    said = {
        "input": (metadata.get("input"), config.teacher_input),
        "size": (metadata.get("size"), str(config.teacher_size)),
    }
    for key, (found, wanted) in said.items():
        # Another program's file may hold a sentence here, which says nothing that can be compared.
        comparable = found and (found.isdecimal() if key == "size" else found in TEACHER_INPUTS)
        if comparable and found != wanted:
            raise UserError(
                f"{config.teacher_init} was trained with {key} {found}, and the config says "
                f"teacher_{key} {wanted}"
            )
    model = make_teacher(config, len(classes)).eval()
    head = model.get_classifier()
    if not isinstance(head, nn.Linear) or head.out_features != len(classes):
        raise UserError(f"{config.teacher_init} has no classifier for {len(classes)} classes")
    return model


@torch.inference_mode()
def ask(
    teacher: nn.Module, views: npt.NDArray[np.uint8], config: Config
) -> tuple[npt.NDArray[np.float16], dict[int, npt.NDArray[np.uint8]]]:
    """The teacher's answer to (batch, h, w, 3) views, as it is stored. UserError for NaN in it."""
    device = next(teacher.parameters()).device
    images = teacher_input(to_images(views).to(device), config.teacher_input)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.teacher_bf16):
        answer = averaged_maps if config.teacher_views == 8 else teacher_maps
        logits, maps = answer(teacher, images, stages_of(config), config.attention_map)
    if not all(bool(torch.isfinite(answers).all()) for answers in (logits, *maps.values())):
        raise UserError(
            f"{config.teacher_init} answers with numbers that are not finite: train another "
            "teacher, or set teacher_bf16 = false"
        )
    stored = {stage: quantise_maps(m, config.attention_grid) for stage, m in maps.items()}
    return quantise_logits(logits), stored


def make_knowledge(images: DecodedImages, config: Config, out: Path) -> Knowledge:
    """Store the teacher's answers to `config.views` views of each image, or go on doing so.

    Raises UserError when `out` holds knowledge made for something else.
    """
    if config.views < 1:
        raise UserError(
            "views is 0: set the number of views that the teacher answers, for example 10"
        )
    cv2.setNumThreads(1)
    folder, settings = images.folder, view_settings(config)
    positions = folder.indices("train")
    files = [folder.files[i] for i in positions]
    expected = expectation(config, images)
    about = read_about(out)
    if about:
        check_same(out, about, expected)
        if about["done"] >= len(files):
            return open_knowledge(out, expected)
    teacher = load_teacher(config, folder.classes)
    teacher.to("cuda" if torch.cuda.is_available() else "cpu")

    def render(start: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
        chosen = range(start, min(start + SHARD, len(files)))
        numbers = range(config.views)
        seeds = [[view_seed(config.view_seed, files[i], k) for k in numbers] for i in chosen]
        size = config.teacher_size
        views = [
            [
                train_view(images, positions, int(positions[i]), s, settings, size).pixels
                for s in row
            ]
            for i, row in zip(chosen, seeds, strict=True)
        ]
        return np.array(seeds, dtype=np.uint64), np.array(views)

    starts = range(about.get("done", 0), len(files), SHARD)
    arrays = _open_arrays(out, about, teacher, render(0)[1][:1, 0], config, len(files))
    write_atomic(out / "files.json", json.dumps(files))
    about = {**expected, "channels": {str(s): teacher_width(teacher, s) for s in stages_of(config)}}
    with (
        Progress(console=Console(stderr=True)) as bar,
        ThreadPoolExecutor(max_workers=1) as pool,
    ):
        task = bar.add_task("asking the teacher", total=len(files), completed=starts.start)
        coming = pool.submit(render, starts.start)
        for start in starts:
            seeds, views = coming.result()
            coming = pool.submit(render, start + SHARD)
            rows = slice(start, start + len(seeds))
            arrays["seeds"][rows] = seeds
            for name, answers in _ask_all(teacher, views, config).items():
                arrays[name][rows] = answers
            for array in arrays.values():
                array.flush()
            # Counted only after the answers are on disk: a kill in between repeats them.
            now = {**about, "done": start + len(seeds)}
            write_atomic(out / "knowledge.json", json.dumps(now, indent=2) + "\n")
            bar.advance(task, len(seeds))
    return open_knowledge(out, expected)


def _ask_all(
    teacher: nn.Module, views: npt.NDArray[np.uint8], config: Config
) -> dict[str, npt.NDArray[Any]]:
    """Answers to (images, views, h, w, 3), by the name of the array they go to."""
    flat = views.reshape(-1, *views.shape[2:])
    step = CPU_BATCH if next(teacher.parameters()).device.type == "cpu" else GPU_BATCH
    parts = [ask(teacher, flat[i : i + step], config) for i in range(0, len(flat), step)]
    found: dict[str, npt.NDArray[Any]] = {"logits": np.concatenate([part[0] for part in parts])}
    for stage in parts[0][1]:
        found[f"maps-{stage}"] = np.concatenate([part[1][stage] for part in parts])
    return {
        name: array.reshape(*views.shape[:2], *array.shape[1:]) for name, array in found.items()
    }


def _open_arrays(
    out: Path,
    about: dict[str, Any],
    teacher: nn.Module,
    view: npt.NDArray[np.uint8],
    config: Config,
    count: int,
) -> dict[str, Any]:
    """The arrays on disk: opened where a part is done, else created in the shapes of one answer."""
    if about:
        return open_arrays(out, about, count, "r+")
    out.mkdir(parents=True, exist_ok=True)
    logits, maps = ask(teacher, view, config)
    shapes: dict[str, tuple[tuple[int, ...], type]] = {
        "seeds": ((), np.uint64),
        "logits": (logits.shape[1:], np.float16),
        **{f"maps-{stage}": (stored.shape[1:], np.uint8) for stage, stored in maps.items()},
    }
    return {
        name: _create(out / f"{name}.npy", (count, config.views, *shape), kind)
        for name, (shape, kind) in shapes.items()
    }


def _create(path: Path, shape: tuple[int, ...], kind: type) -> Any:
    """An array on disk whose every byte is reserved: a mapped file that finds the disk full later
    ends the process with a bus error.
    """
    try:
        array = open_memmap(path, mode="w+", dtype=kind, shape=shape)
        with path.open("r+b") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            else:  # macOS
                file.seek(array.offset)
                for start in range(0, array.nbytes, 1 << 20):
                    file.write(bytes(min(1 << 20, array.nbytes - start)))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    return array


def main(argv: Sequence[str] | None = None) -> int:
    def work(config: Config, images: ImageFolder, run: Path) -> str:
        made = make_knowledge(decode_images(images), config, run)
        return f"{run}: {len(made.row)} images, {made.seeds.shape[1]} views each"

    return training_command(__doc__, "runs/knowledge", work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
