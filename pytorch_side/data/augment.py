"""Augmentation: one training image is cropped, rotated and re-colored, all from one seed.

Augmentations are re-created from their seed, so a teacher's outputs for them can be cached without
their pixels. Crops are cut at the source's resolution and resized by the antialiased Pillow resize
that evaluation uses: another resize would give training images other spatial frequencies.
"""

from __future__ import annotations

import hashlib
import math

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from pytorch_side.config import Augment

Pixels = npt.NDArray[np.uint8]
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def augmentation_seed(run_seed: int, file: str, number: int) -> int:
    """The 64-bit seed of an image's `number`-th augmentation.

    It depends on the file's name, not its position: a photo added later changes no other seed.
    """
    digest = hashlib.blake2b(
        f"{run_seed} {file} {number}".encode(errors="surrogateescape"), digest_size=8
    )
    return int.from_bytes(digest.digest(), "little")


def augment_image(
    image: Pixels, seed: int, settings: Augment, sizes: tuple[int, ...]
) -> tuple[Pixels, ...]:
    """Augment an image (height, width, 3) with `seed`: one (size, size, 3) array for each size.

    All sizes have the same crop, rotation and colors, so teacher and student see the same image.
    """
    draw = np.random.Generator(np.random.PCG64(seed)).random(10)
    height, width = image.shape[:2]
    area = settings.area_min + (1.0 - settings.area_min) * draw[0]
    stretch = (1.0 + settings.aspect) ** (2.0 * draw[1] - 1.0)
    crop_w = width * math.sqrt(area * stretch)
    crop_h = height * math.sqrt(area / stretch)
    flip = draw[2] < 0.5
    if draw[3] < settings.any_angle:
        center = (
            width / 2 + (draw[4] - 0.5) * max(0.0, width - crop_w),
            height / 2 + (draw[5] - 0.5) * max(0.0, height - crop_h),
        )
        crop = _turned_crop(image, center, crop_w, crop_h, 2 * math.pi * draw[6])
        box, quarter = (0.0, 0.0, float(crop.shape[1]), float(crop.shape[0])), 0
    else:
        crop_w, crop_h = min(crop_w, width), min(crop_h, height)
        left, top = draw[4] * (width - crop_w), draw[5] * (height - crop_h)
        crop, box = image, (left, top, left + crop_w, top + crop_h)
        quarter = int(4 * draw[6])
    matrix = _color_matrix(crop, 1.0 + settings.color * (2.0 * draw[7:10] - 1.0))
    source = Image.fromarray(crop)
    augmentations = []
    for size in sizes:
        small = source.resize((size, size), Image.Resampling.BILINEAR, box=box)
        augmentation = np.rot90(np.asarray(small), quarter)
        augmentation = augmentation[:, ::-1] if flip else augmentation
        augmentations.append(cv2.transform(np.ascontiguousarray(augmentation), matrix))
    return tuple(augmentations)


def _turned_crop(
    image: Pixels, center: tuple[float, float], width: float, height: float, angle: float
) -> Pixels:
    """Cut out a rotated rectangle, not scaled. Beyond its border the image is mirrored."""
    columns, rows = max(1, round(width)), max(1, round(height))
    cos, sin = math.cos(angle), math.sin(angle)
    middle_x, middle_y = (columns - 1) / 2, (rows - 1) / 2
    # Maps the crop's pixels to the image's (WARP_INVERSE_MAP), about both centers.
    matrix = np.array(
        [
            [cos, -sin, center[0] - 0.5 - cos * middle_x + sin * middle_y],
            [sin, cos, center[1] - 0.5 - sin * middle_x - cos * middle_y],
        ]
    )
    return cv2.warpAffine(
        image,
        matrix,
        (columns, rows),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )


def _color_matrix(crop: Pixels, factors: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """3x4 matrix for brightness, contrast (about the crop's mean gray) and saturation factors."""
    brightness, contrast, saturation = (float(f) for f in factors)
    gray = float(np.dot(cv2.mean(crop[::4, ::4])[:3], _LUMA))
    mix = saturation * np.eye(3, dtype=np.float32) + (1.0 - saturation) * _LUMA[None, :]
    offset = np.full((3, 1), brightness * (1.0 - contrast) * gray, dtype=np.float32)
    return np.hstack([brightness * contrast * mix, offset]).astype(np.float32)
