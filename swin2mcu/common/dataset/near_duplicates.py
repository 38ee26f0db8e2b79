"""Near-duplicates by perceptual hashes: another photo of the same leaf, or the same photo twice.

A photo's hash has 256 bits: whether each of its lowest 16 x 16 cosine coefficients is above their
median. Unrelated photos differ in more than a quarter of the bits; two photos of one leaf often
differ in fewer. A flip or a rotation by 90° only changes signs of coefficients or swaps their axes.
So all eight orientations of a photo are compared without decoding it again.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

GRID = 64  # pixels a side; photos are reduced to this before the transform
LOW = 16  # coefficients kept along each axis
NEAR_BITS = 56  # of 256; any two of 3,000 independently drawn leaves differ in more
ROWS_AT_ONCE = 128  # a block of the distance matrix: 128 x 12,000 x 4 words are 50 MB

Coefficients = npt.NDArray[np.float32]  # (photos, LOW, LOW)
Hashes = npt.NDArray[np.uint64]  # (photos, 4)


def cosine_matrix() -> npt.NDArray[np.float32]:
    """(LOW, GRID) first rows of the DCT-II, unscaled."""
    place = (2 * np.arange(GRID) + 1) / (2 * GRID)
    return np.cos(np.pi * np.arange(LOW)[:, None] * place).astype(np.float32)


def low_coefficients(image: Image.Image) -> npt.NDArray[np.float32]:
    """(LOW, LOW) coefficients of an upright photo."""
    transform = cosine_matrix()
    gray = image.convert("L").resize((GRID, GRID), Image.Resampling.BILINEAR)
    return transform @ np.asarray(gray, dtype=np.float32) @ transform.T


def hash_bits(coefficients: Coefficients) -> Hashes:
    """(n, LOW, LOW) coefficients → (n, 4) words; the first, mean brightness, is not used."""
    flat = coefficients.reshape(len(coefficients), -1)
    bits = flat > np.median(flat[:, 1:], axis=1, keepdims=True)
    bits[:, 0] = False
    return np.packbits(bits, axis=1).view(np.uint64)


def turned(coefficients: Coefficients) -> list[Coefficients]:
    """The coefficients of the photos in eight orientations (flips and rotations by 90°)."""
    sign = np.where(np.arange(LOW) % 2, -1.0, 1.0).astype(np.float32)
    found = []
    for same in (coefficients, coefficients.transpose(0, 2, 1)):
        for rows in (1.0, sign[:, None]):
            for columns in (1.0, sign[None, :]):
                found.append(np.ascontiguousarray(same * rows * columns))
    return found


def closest(first: Hashes, second: Hashes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each of `first`: the position of the closest of `second`, and how many bits differ."""
    where = np.zeros(len(first), dtype=np.int64)
    bits = np.zeros(len(first), dtype=np.int64)
    for start in range(0, len(first), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        distance = np.bitwise_count(first[rows, None] ^ second[None]).sum(axis=2, dtype=np.int16)
        where[rows] = distance.argmin(axis=1)
        bits[rows] = distance.min(axis=1)
    return where, bits


def nearest(
    first: Coefficients, second: Coefficients
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each photo of `first`: the position of the closest of `second`, and how many bits differ.

    All eight orientations of the photo are compared. Neither array may be empty.
    """
    hashes = hash_bits(second)
    where, bits = np.zeros(len(first), dtype=np.int64), np.full(len(first), 1 << 30)
    for image in turned(first):
        place, distance = closest(hash_bits(image), hashes)
        better = distance < bits
        where, bits = np.where(better, place, where), np.where(better, distance, bits)
    return where, bits
