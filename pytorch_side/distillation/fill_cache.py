"""Running a teacher once on every augmentation of every image: what the teacher cache holds."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.format import open_memmap
from rich.progress import Progress
from torch import nn

from pytorch_side.config import Config
from pytorch_side.data.augment import augmentation_seed
from pytorch_side.data.cache import DecodedImages
from pytorch_side.data.loader import to_images
from pytorch_side.data.training_image import training_image
from pytorch_side.distillation.attention import averaged_maps, teacher_maps
from pytorch_side.distillation.cache_identity import expectation, stages_of
from pytorch_side.distillation.packing import pack_logits, pack_maps
from pytorch_side.distillation.teacher_store import (
    TeacherCache,
    about_path,
    check_same,
    open_arrays,
    open_teacher_cache,
    read_about,
)
from pytorch_side.nets.models import (
    TEACHER_INPUTS,
    make_teacher,
    teacher_input,
    teacher_width,
)
from pytorch_side.nets.precision import mixed_precision
from pytorch_side.nets.weights import has_classifier, read_weights
from swin2mcu.common.cli import UserError, plain_console, write_atomic
from swin2mcu.common.dataset.trained import OF_A_RUN, check_place, write_trained
from swin2mcu.common.json_file import parse_json
from swin2mcu.common.lock import lock_folder

SHARD = 64  # images between two saves
GPU_BATCH = 64  # a Swin-L needs a few GB for so many images of 224 px
CPU_BATCH = 16  # a Swin copies its windows often: batches that fit the CPU cache are faster


def load_teacher(config: Config, classes: tuple[str, ...]) -> nn.Module:
    """The finished teacher in eval mode.

    Raises UserError when its classes are not `classes`, or not as many where its file does not name
    them, and when it was trained for another size or input than the config says.
    """
    if not config.teacher.init:
        raise UserError(f"{config.distillation.cache} is unfinished and teacher.init is empty")
    metadata = check_classes(Path(config.teacher.init), classes)
    said = {
        "input": (metadata.get("input"), config.teacher.input),
        "size": (metadata.get("size"), str(config.teacher.size)),
    }
    for key, (found, wanted) in said.items():
        # A file of another program may hold a sentence here, which cannot be compared.
        comparable = found and (found.isdecimal() if key == "size" else found in TEACHER_INPUTS)
        if comparable and found != wanted:
            raise UserError(
                f"{config.teacher.init} was trained with {key} {found}, and the config says "
                f"teacher.{key} {wanted}"
            )
    return make_teacher(config.teacher, len(classes)).eval()


def check_classes(path: Path, classes: tuple[str, ...]) -> dict[str, str]:
    """The metadata of a teacher's file. Raises UserError when its classes are not `classes`."""
    weights, metadata = read_weights(path)
    try:
        known = parse_json(metadata["classes"])
    except (KeyError, ValueError):
        known = None
    # A file of another program may not name its classes: then its classifier's size is checked.
    if isinstance(known, list) and known != list(classes):
        raise UserError(
            f"{path} knows {', '.join(map(str, known))}, the images are {', '.join(classes)}: "
            "train a teacher on these images"
        )
    if not has_classifier(weights, len(classes)):
        raise UserError(f"{path} has no classifier for {len(classes)} classes")
    return metadata


@torch.inference_mode()
def teacher_outputs(
    teacher: nn.Module, pixels: npt.NDArray[np.uint8], config: Config
) -> tuple[npt.NDArray[np.float16], dict[int, npt.NDArray[np.uint8]]]:
    """The teacher's outputs for pixels (batch, h, w, 3), as they are stored. UserError for NaN."""
    device = next(teacher.parameters()).device
    images = teacher_input(to_images(pixels).to(device), config.teacher.input)
    settings = config.distillation
    with mixed_precision(device, settings.bf16):
        answer = averaged_maps if settings.flips == 8 else teacher_maps
        logits, maps = answer(teacher, images, stages_of(config), settings.attention_map)
    if not all(bool(torch.isfinite(answers).all()) for answers in (logits, *maps.values())):
        raise UserError(
            f"{config.teacher.init} answers with numbers that are not finite: train another "
            "teacher, or set distillation.bf16 = false"
        )
    stored = {stage: pack_maps(m, settings.attention_grid) for stage, m in maps.items()}
    return pack_logits(logits), stored


def make_teacher_cache(images: DecodedImages, config: Config, out: Path) -> TeacherCache:
    """Cache the teacher's outputs for `config.augment.cached` augmentations of each image.

    Outputs that are in `out` already are kept. Raises UserError when `out` was made for something
    else, when it is a run's folder and outputs are missing, or when another command is writing to
    it.
    """
    if config.augment.cached < 1:
        raise UserError(
            "augment.cached is 0: set how many augmentations of an image to cache, for example 10"
        )
    cv2.setNumThreads(1)
    folder = images.folder
    files = [folder.files[i] for i in folder.indices("train")]
    expected = expectation(config, images)
    about = read_about(out)
    if about:
        check_same(out, about, expected)
        if about["done"] >= len(files):
            return open_teacher_cache(out, expected)
    check_place(out, OF_A_RUN)
    with lock_folder(out):
        _fill(images, config, out, expected)
    return open_teacher_cache(out, expected)


def _fill(images: DecodedImages, config: Config, out: Path, expected: dict[str, Any]) -> None:
    """Compute the outputs that `out` lacks, SHARD images at a time."""
    folder, settings = images.folder, config.augment
    positions = folder.indices("train")
    files = [folder.files[i] for i in positions]
    about = read_about(out)
    if about:  # read again: another command may have begun it before this one had the lock
        check_same(out, about, expected)
    teacher = load_teacher(config, folder.classes)
    teacher.to("cuda" if torch.cuda.is_available() else "cpu")

    def render(start: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
        chosen = range(start, min(start + SHARD, len(files)))
        numbers = range(config.augment.cached)
        seeds = [[augmentation_seed(settings.seed, files[i], k) for k in numbers] for i in chosen]
        size = config.teacher.size
        pixels = [
            [
                training_image(images, positions, int(positions[i]), s, settings, size).pixels
                for s in row
            ]
            for i, row in zip(chosen, seeds, strict=True)
        ]
        return np.array(seeds, dtype=np.uint64), np.array(pixels)

    starts = range(about.get("done", 0), len(files), SHARD)
    arrays = _open_arrays(out, about, teacher, render(0)[1][:1, 0], config, len(files))
    write_atomic(out / "files.json", json.dumps(files))
    write_trained(out, (), [config.teacher.init])
    about = {**expected, "channels": {str(s): teacher_width(teacher, s) for s in stages_of(config)}}
    with (
        Progress(console=plain_console(stderr=True)) as bar,
        ThreadPoolExecutor(max_workers=1) as pool,
    ):
        task = bar.add_task("teacher outputs", total=len(files), completed=starts.start)
        coming = pool.submit(render, starts.start)
        for start in starts:
            seeds, pixels = coming.result()
            coming = pool.submit(render, start + SHARD)
            rows = slice(start, start + len(seeds))
            arrays["seeds"][rows] = seeds
            for name, answers in _ask_all(teacher, pixels, config).items():
                arrays[name][rows] = answers
            for array in arrays.values():
                array.flush()
            # "done" grows after the outputs are on disk. A run killed before computes them again.
            now = {**about, "done": start + len(seeds)}
            write_atomic(about_path(out), json.dumps(now, indent=2) + "\n")
            bar.advance(task, len(seeds))


def _ask_all(
    teacher: nn.Module, pixels: npt.NDArray[np.uint8], config: Config
) -> dict[str, npt.NDArray[Any]]:
    """Outputs for pixels (images, augmentations, h, w, 3), as {name of the array: values}."""
    flat = pixels.reshape(-1, *pixels.shape[2:])
    step = CPU_BATCH if next(teacher.parameters()).device.type == "cpu" else GPU_BATCH
    parts = [
        teacher_outputs(teacher, flat[i : i + step], config) for i in range(0, len(flat), step)
    ]
    found: dict[str, npt.NDArray[Any]] = {"logits": np.concatenate([part[0] for part in parts])}
    for stage in parts[0][1]:
        found[f"maps-{stage}"] = np.concatenate([part[1][stage] for part in parts])
    return {
        name: array.reshape(*pixels.shape[:2], *array.shape[1:]) for name, array in found.items()
    }


def _open_arrays(
    out: Path,
    about: dict[str, Any],
    teacher: nn.Module,
    pixels: npt.NDArray[np.uint8],
    config: Config,
    count: int,
) -> dict[str, Any]:
    """Open the arrays if a part of them is done, else create them with the teacher's shapes."""
    if about:
        return open_arrays(out, about, count, "r+")
    out.mkdir(parents=True, exist_ok=True)
    logits, maps = teacher_outputs(teacher, pixels, config)
    shapes: dict[str, tuple[tuple[int, ...], type]] = {
        "seeds": ((), np.uint64),
        "logits": (logits.shape[1:], np.float16),
        **{f"maps-{stage}": (stored.shape[1:], np.uint8) for stage, stored in maps.items()},
    }
    return {
        name: _create(out / f"{name}.npy", (count, config.augment.cached, *shape), kind)
        for name, (shape, kind) in shapes.items()
    }


def _create(path: Path, shape: tuple[int, ...], kind: type) -> Any:
    """An array on disk with all its bytes reserved.

    Without the reserved bytes, a write to the mapped file on a full disk would end the process with
    a bus error.
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
