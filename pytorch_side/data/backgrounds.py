"""Augmentation: a leaf is put on the background of another class's photo.

Photos of a class are often taken on one table. A network that sees each leaf on the tables of other
classes too cannot tell the class from the table. To cut out a leaf takes longer than to augment a
photo, so leaves and backgrounds are cached beside the decoded images:

    <cache>/cutouts-<key>.bin    (images, SIDE, SIDE, 4) uint8: the background, and the leaf's mask

The mask is zero where the leaf could not be cut out. An interrupted command goes on.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.progress import track

from pytorch_side.config import Augment, Config
from pytorch_side.data import cutout
from pytorch_side.data.augment import Pixels
from pytorch_side.data.cache import (
    DecodedImages,
    decode_images,
    decoded_by,
    decoded_cache_folder,
    files_key,
)
from pytorch_side.data.cutout import SIDE
from swin2mcu.common.cli import UserError, plain_console
from swin2mcu.common.dataset import ImageFolder
from swin2mcu.common.lock import locked

TRIES = 16  # drawn photos, until one has another class and a leaf that was cut out
CHUNK = 256  # photos between two writes
WAIT_S = 7200.0  # for another command that cuts the same photos; it takes minutes
SHAPE = (SIDE, SIDE, 4)

log = logging.getLogger(__name__)


def training_images(folder: ImageFolder, config: Config) -> DecodedImages:
    """The decoded train split, with its cutouts if `config` puts leaves on other backgrounds."""
    images = decode_images(folder)
    return with_cutouts(images) if config.augment.backgrounds > 0 else images


def with_cutouts(images: DecodedImages) -> DecodedImages:
    """Cut out the leaves of all images, or open the file that an earlier run made.

    Raises UserError if no leaf can be cut out.
    """
    folder = images.folder
    positions = folder.indices("train")
    names = [folder.files[i] for i in positions]
    settings = f"{decoded_by()} {folder.crop} cutout {SIDE} {cutout.GROWN}"
    key = files_key(folder.root, names, settings)
    path = decoded_cache_folder() / f"cutouts-{key}.bin"
    size = len(names) * int(np.prod(SHAPE))
    if not _has_size(path, size):
        log.info("cutting the leaves out of their photos, once for these photos")
        with locked(path, timeout_s=WAIT_S):
            if not _has_size(
                path, size
            ):  # another command may have made it before this had the lock
                part = path.with_suffix(".part")
                _cut(images, positions, part)
                part.replace(path)
    layers = np.memmap(path, np.uint8, "r").reshape(-1, *SHAPE)
    failed = sum(not layer[..., 3].any() for layer in layers)
    if failed == len(layers):
        raise UserError(
            f"{folder.root}: no leaf could be cut out of its photo: set augment.backgrounds = 0"
        )
    log.info("leaves on other backgrounds: %d of %d cannot be cut out", failed, len(layers))
    rows = {name: row for row, name in enumerate(names)}
    return dataclasses.replace(images, layers=layers, rows=rows)


def _has_size(path: Path, size: int) -> bool:
    """A power cut may have left a part of the file."""
    return path.is_file() and path.stat().st_size == size


def _cut(images: DecodedImages, positions: npt.NDArray[np.int64], part: Path) -> None:
    """Append the layers of the photos that `part` lacks."""
    cv2.setNumThreads(1)
    size = int(np.prod(SHAPE))
    done = part.stat().st_size // size if part.is_file() else 0
    console = plain_console(stderr=True)
    with part.open("ab") as stream, ThreadPoolExecutor(os.cpu_count()) as pool:
        stream.truncate(done * size)  # a killed command may have left a part of a layer
        starts = range(done, len(positions), CHUNK)
        for start in track(starts, "cutting leaves out", console=console, transient=True):
            chosen = positions[start : start + CHUNK]
            for layer in pool.map(lambda i: _layer(images[int(i)]), chosen):
                stream.write(layer.tobytes())


def _layer(photo: Pixels) -> Pixels:
    """(SIDE, SIDE, 4): background and mask; zeros if the leaf cannot be cut out."""
    layer = np.zeros(SHAPE, dtype=np.uint8)
    mask = cutout.small_mask(photo)
    if mask is not None:
        layer[..., :3] = cutout.small_background(photo, mask)
        layer[..., 3] = np.rint(255 * mask)
    return layer


def photo_of(
    images: DecodedImages,
    train: npt.NDArray[np.int64],
    position: int,
    seed: int,
    settings: Augment,
) -> Pixels:
    """The photo at `position` or, for a share of the seeds, its leaf on another background.

    The share is `settings.backgrounds`; the background is of a photo of another class in `train`.
    """
    photo = images[position]
    if settings.backgrounds == 0:
        return photo
    draw = np.random.Generator(np.random.PCG64([seed, 2]))  # independent of the other numbers
    mask = images.layer(position)[..., 3]
    if draw.random() >= settings.backgrounds or not mask.any():
        return photo
    labels = images.folder.labels
    for other in draw.choice(train, TRIES):
        layer = images.layer(int(other))
        if labels[other] != labels[position] and layer[..., 3].any():
            share = cutout.enlarged(mask.astype(np.float32) / 255, photo)
            return cutout.on_background(photo, share, layer[..., :3])
    return photo
