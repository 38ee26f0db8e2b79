"""A view: one training image turned, cropped and re-coloured, made wholly from one seed.

The same seed gives the same pixels at any time, so a teacher's answer to a view can be stored and
the view itself need not be. Crops are cut at the source's own resolution and brought to the
network's size by the one antialiased Pillow resize that evaluation uses: any other resize would
show the network other frequencies in training than in use.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class ViewSettings:
    """How far views may stray; part of what stored knowledge is checked against."""

    area_min: float  # of the crop, as a share of the image; up to the whole
    aspect: float  # width : height is stretched by up to this share, either way
    colour: float  # brightness, contrast and saturation move by up to this share
    any_angle: float  # share of views turned by any angle; the rest by quarter turns
    mix: float = 0.0  # up to this share of its pixels is a view of another image (mixing.py)


def view_seed(run_seed: int, file: str, number: int) -> int:
    """The 64-bit seed of an image's `number`-th view: the file's name decides, not its position."""
    digest = hashlib.blake2b(
        f"{run_seed} {file} {number}".encode(errors="surrogateescape"), digest_size=8
    )
    return int.from_bytes(digest.digest(), "little")


def make_view(
    image: Pixels, seed: int, settings: ViewSettings, sizes: tuple[int, ...]
) -> tuple[Pixels, ...]:
    """The view `seed` of a (height, width, 3) image, as (size, size, 3) for each of `sizes`.

    All sizes show the same crop, turn and colours: a teacher and a student see one thing.
    """
    draw = np.random.Generator(np.random.PCG64(seed)).random(10)
    height, width = image.shape[:2]
    area = settings.area_min + (1.0 - settings.area_min) * draw[0]
    stretch = (1.0 + settings.aspect) ** (2.0 * draw[1] - 1.0)
    crop_w = width * math.sqrt(area * stretch)
    crop_h = height * math.sqrt(area / stretch)
    flip = draw[2] < 0.5
    if draw[3] < settings.any_angle:
        centre = (
            width / 2 + (draw[4] - 0.5) * max(0.0, width - crop_w),
            height / 2 + (draw[5] - 0.5) * max(0.0, height - crop_h),
        )
        crop = _turned_crop(image, centre, crop_w, crop_h, 2 * math.pi * draw[6])
        box, quarter = (0.0, 0.0, float(crop.shape[1]), float(crop.shape[0])), 0
    else:
        crop_w, crop_h = min(crop_w, width), min(crop_h, height)
        left, top = draw[4] * (width - crop_w), draw[5] * (height - crop_h)
        crop, box = image, (left, top, left + crop_w, top + crop_h)
        quarter = int(4 * draw[6])
    matrix = _colour_matrix(crop, 1.0 + settings.colour * (2.0 * draw[7:10] - 1.0))
    source = Image.fromarray(crop)
    views = []
    for size in sizes:
        small = source.resize((size, size), Image.Resampling.BILINEAR, box=box)
        view = np.rot90(np.asarray(small), quarter)
        view = view[:, ::-1] if flip else view
        views.append(cv2.transform(np.ascontiguousarray(view), matrix))
    return tuple(views)


def _turned_crop(
    image: Pixels, centre: tuple[float, float], width: float, height: float, angle: float
) -> Pixels:
    """Cut a turned rectangle at unit scale; beyond the border the image is mirrored."""
    columns, rows = max(1, round(width)), max(1, round(height))
    cos, sin = math.cos(angle), math.sin(angle)
    middle_x, middle_y = (columns - 1) / 2, (rows - 1) / 2
    # Maps the crop's pixels to the image's (WARP_INVERSE_MAP), about both centres.
    matrix = np.array(
        [
            [cos, -sin, centre[0] - 0.5 - cos * middle_x + sin * middle_y],
            [sin, cos, centre[1] - 0.5 - sin * middle_x - cos * middle_y],
        ]
    )
    return cv2.warpAffine(
        image,
        matrix,
        (columns, rows),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )


def _colour_matrix(crop: Pixels, factors: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """3x4 matrix for brightness, contrast (about the crop's mean grey) and saturation factors."""
    brightness, contrast, saturation = (float(f) for f in factors)
    grey = float(np.dot(cv2.mean(crop[::4, ::4])[:3], _LUMA))
    mix = saturation * np.eye(3, dtype=np.float32) + (1.0 - saturation) * _LUMA[None, :]
    offset = np.full((3, 1), brightness * (1.0 - contrast) * grey, dtype=np.float32)
    return np.hstack([brightness * contrast * mix, offset]).astype(np.float32)
