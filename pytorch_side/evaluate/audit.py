"""Find photos that are in two splits: the same pixels, or another photo of the same leaf."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import track

from swin2mcu.common.cli import UserError, status
from swin2mcu.common.dataset import SPLITS, ImageFolder
from swin2mcu.common.dataset.near_duplicates import LOW, NEAR_BITS, low_coefficients, nearest
from swin2mcu.common.pixels import open_upright

SHOWN = 20  # closest pairs named in a report


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
    """Decode every photo once. Corrupt photos are left out. Raises UserError above 5 % of them."""
    coefficients = np.full((len(folder.files), LOW, LOW), np.nan, dtype=np.float32)
    digests = [""] * len(folder.files)
    for i, file in enumerate(track(folder.files, "reading photos", console=status, transient=True)):
        try:
            image = open_upright(folder.root / file)
        except UserError as error:
            status.print(f"left out: {error}")
            continue
        digests[i] = hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()
        coefficients[i] = low_coefficients(image)
    folder.without({i for i, digest in enumerate(digests) if not digest})
    return Fingerprints(coefficients, tuple(digests))


def near_duplicates(
    folder: ImageFolder, prints: Fingerprints, first: str, second: str
) -> NearDuplicates:
    """Compare two splits of a folder, in all eight orientations (flips and rotations by 90°)."""
    readable = np.array([bool(digest) for digest in prints.digests])
    a = np.flatnonzero((folder.splits == first) & readable)
    b = np.flatnonzero((folder.splits == second) & readable)
    if not len(a) or not len(b):
        return NearDuplicates(first, second, len(a), 0, 0, ())
    where, bits = nearest(prints.coefficients[a], prints.coefficients[b])
    known = {prints.digests[i] for i in b}
    exact = sum(prints.digests[i] in known for i in a)
    order = [int(k) for k in np.argsort(bits, kind="stable") if bits[k] <= NEAR_BITS]
    named = tuple(
        (folder.files[a[k]], folder.files[b[where[k]]], int(bits[k])) for k in order[:SHOWN]
    )
    return NearDuplicates(first, second, len(a), exact, len(order), named)


def audit(folder: ImageFolder, prints: Fingerprints) -> list[dict[str, Any]]:
    """Near-duplicates for each pair of splits, counted in photos of the smaller split."""
    present = [split for split in SPLITS if (folder.splits == split).any()]
    pairs = [sorted(pair, key=SPLITS.index, reverse=True) for pair in combinations(present, 2)]
    return [asdict(near_duplicates(folder, prints, first, second)) for first, second in pairs]
