"""Photos that are in two splits at once: the same pixels, or another photo of the same leaf.

A photo's perceptual hash has 256 bits: whether each of its lowest 16 x 16 cosine coefficients is
above their median. Unrelated photos differ in more than a quarter of the bits; two photos of one
leaf often differ in less. A flip or a quarter turn changes the signs of coefficients or swaps their
axes, so all eight orientations of a photo are compared without decoding it again.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.progress import track

from swin2mcu.common.cli import UserError, plain_console
from swin2mcu.common.dataset import SPLITS, ImageFolder
from swin2mcu.common.pixels import open_upright

GRID = 64  # photos are shrunk to this before the transform
LOW = 16  # coefficients kept along each axis
NEAR_BITS = 56  # of 256: closer than any two of 3,000 leaves that were drawn independently
SHOWN = 20  # closest pairs named in a report
ROWS_AT_ONCE = 128  # a block of the distance matrix: 128 x 12,000 x 4 words are 50 MB

Hashes = npt.NDArray[np.uint64]  # (photos, 4)


@dataclass(frozen=True)
class Fingerprints:
    """What the audit keeps of each photo of a folder, in the order of its files."""

    coefficients: npt.NDArray[np.float32]  # (photos, LOW, LOW); NaN where a photo is corrupt
    digests: tuple[str, ...]  # of the decoded pixels; "" where a photo is corrupt


@dataclass(frozen=True)
class NearDuplicates:
    """How many photos of one split have a near-duplicate in another."""

    first: str
    second: str
    photos: int  # in `first`
    exact: int  # of them with the very same pixels in `second`
    near: int  # of them with a near-duplicate (or duplicate) in `second`
    closest: tuple[tuple[str, str, int], ...]  # file in `first`, in `second`, bits that differ


def fingerprint(folder: ImageFolder) -> Fingerprints:
    """Decode every photo once. Corrupt photos are left out, an error above 5 % of the folder."""
    transform = cosine_matrix()
    coefficients = np.full((len(folder.files), LOW, LOW), np.nan, dtype=np.float32)
    digests = [""] * len(folder.files)
    bar = plain_console(stderr=True)
    for i, file in enumerate(track(folder.files, "reading photos", console=bar, transient=True)):
        try:
            image = open_upright(folder.root / file)
        except UserError:
            continue
        digests[i] = hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()
        gray = image.convert("L").resize((GRID, GRID), Image.Resampling.BILINEAR)
        coefficients[i] = transform @ np.asarray(gray, dtype=np.float32) @ transform.T
    folder.without({i for i, digest in enumerate(digests) if not digest})
    return Fingerprints(coefficients, tuple(digests))


def cosine_matrix() -> npt.NDArray[np.float32]:
    """(LOW, GRID) first rows of the DCT-II, unscaled."""
    place = (2 * np.arange(GRID) + 1) / (2 * GRID)
    return np.cos(np.pi * np.arange(LOW)[:, None] * place).astype(np.float32)


def hash_bits(coefficients: npt.NDArray[np.float32]) -> Hashes:
    """(n, LOW, LOW) coefficients → (n, 4) words; the first, the mean brightness, says nothing."""
    flat = coefficients.reshape(len(coefficients), -1)
    bits = flat > np.median(flat[:, 1:], axis=1, keepdims=True)
    bits[:, 0] = False
    return np.packbits(bits, axis=1).view(np.uint64)


def turned(coefficients: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    """The coefficients of the eight flips and quarter turns of the photos."""
    sign = np.where(np.arange(LOW) % 2, -1.0, 1.0).astype(np.float32)
    found = []
    for same in (coefficients, coefficients.transpose(0, 2, 1)):
        for rows in (1.0, sign[:, None]):
            for columns in (1.0, sign[None, :]):
                found.append(np.ascontiguousarray(same * rows * columns))
    return found


def closest(first: Hashes, second: Hashes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each of `first`: the position in `second` that differs least, and in how many bits."""
    where = np.zeros(len(first), dtype=np.int64)
    bits = np.zeros(len(first), dtype=np.int64)
    for start in range(0, len(first), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        distance = np.bitwise_count(first[rows, None] ^ second[None]).sum(axis=2, dtype=np.int16)
        where[rows] = distance.argmin(axis=1)
        bits[rows] = distance.min(axis=1)
    return where, bits


def near_duplicates(
    folder: ImageFolder, prints: Fingerprints, first: str, second: str
) -> NearDuplicates:
    """Compare two splits of a folder, in all eight turns."""
    readable = np.array([bool(digest) for digest in prints.digests])
    a = np.flatnonzero((folder.splits == first) & readable)
    b = np.flatnonzero((folder.splits == second) & readable)
    if not len(a) or not len(b):
        return NearDuplicates(first, second, len(a), 0, 0, ())
    hashes = hash_bits(prints.coefficients[b])
    where, bits = np.zeros(len(a), dtype=np.int64), np.full(len(a), 1 << 30)
    for image in turned(prints.coefficients[a]):
        place, distance = closest(hash_bits(image), hashes)
        better = distance < bits
        where, bits = np.where(better, place, where), np.where(better, distance, bits)
    known = {prints.digests[i] for i in b}
    exact = sum(prints.digests[i] in known for i in a)
    order = [int(k) for k in np.argsort(bits, kind="stable") if bits[k] <= NEAR_BITS]
    named = tuple(
        (folder.files[a[k]], folder.files[b[where[k]]], int(bits[k])) for k in order[:SHOWN]
    )
    return NearDuplicates(first, second, len(a), exact, len(order), named)


def audit(folder: ImageFolder, prints: Fingerprints) -> list[dict[str, Any]]:
    """Near-duplicates between every two splits; the smaller split's photos are counted."""
    present = [split for split in SPLITS if (folder.splits == split).any()]
    pairs = [sorted(pair, key=SPLITS.index, reverse=True) for pair in combinations(present, 2)]
    return [asdict(near_duplicates(folder, prints, first, second)) for first, second in pairs]
