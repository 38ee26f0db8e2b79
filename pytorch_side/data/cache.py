"""Cache of decoded training images on disk: decoding a JPEG costs more than augmenting it.

    <cache>/decoded-<key>.bin     all images, one after the other, (height, width, 3) uint8
    <cache>/decoded-<key>.json    offset and size of each, and what could not be read

The key covers the files' names, sizes and times, and the decoder's version: a changed folder or
another Pillow makes a new cache. Twelve thousand photos of 192 px take 1.3 GB; the folder may be
removed at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image
from rich.progress import track

from swin2mcu.common.cli import (
    UserError,
    atomic_path,
    plain_console,
    remove_parts,
    write_atomic,
)
from swin2mcu.common.dataset import ImageFolder
from swin2mcu.common.json_file import parse_json
from swin2mcu.common.lock import locked
from swin2mcu.common.paths import ROOT
from swin2mcu.common.pixels import cropped, open_upright

WAIT_S = 3600.0  # for another command that decodes the same photos
# Raise it whenever _decode, or open_upright below it, makes other pixels of the same files: those
# that are cached are then decoded anew.
DECODER = 1
SIDE_MAX = 384  # of the shorter side; a 224 px network gains nothing from more pixels

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DecodedImages:
    """Random access to the decoded images of a folder's split, by position in `folder.files`."""

    folder: ImageFolder  # without the images that could not be read
    corrupt: tuple[str, ...]
    data: npt.NDArray[np.uint8]  # memory-mapped
    offsets: dict[str, tuple[int, int, int]]  # file → byte offset, height, width
    layers: npt.NDArray[np.uint8] | None = None  # backgrounds.py: background and leaf of each
    rows: dict[str, int] = field(default_factory=dict)  # file → its position in `layers`

    def __getitem__(self, position: int) -> npt.NDArray[np.uint8]:
        start, height, width = self.offsets[self.folder.files[position]]
        return self.data[start : start + height * width * 3].reshape(height, width, 3)

    def layer(self, position: int) -> npt.NDArray[np.uint8]:
        """(side, side, 4): an image's background, and the mask of its leaf. Needs `layers`."""
        assert self.layers is not None
        return self.layers[self.rows[self.folder.files[position]]]


def decoded_cache_folder() -> Path:
    """The folder $SWIN2MCU_CACHE, or else the user's cache folder."""
    if named := os.environ.get("SWIN2MCU_CACHE"):
        return Path(named)
    if above := os.environ.get("XDG_CACHE_HOME"):
        return Path(above) / "swin2mcu"
    try:
        return Path.home() / ".cache" / "swin2mcu"
    except RuntimeError:  # a container's user may have neither a name nor a home
        return ROOT / "build" / "cache"


def decode_images(folder: ImageFolder, split: str = "train") -> DecodedImages:
    """Decode one split's images, or open the cache that an earlier run made.

    Corrupt images are logged, counted and left out. Raises UserError above 5 % of the folder.
    """
    names = [folder.files[i] for i in folder.indices(split)]
    key = files_key(folder.root, names, f"{decoded_by()} {folder.crop}")
    binary = decoded_cache_folder() / f"decoded-{key}.bin"
    known = _open_index(binary, folder.root)
    if known is None:
        with locked(binary, timeout_s=WAIT_S):
            # Another command may have decoded them before this one had the lock.
            known = _open_index(binary, folder.root) or _decode(
                folder.root, names, binary, folder.crop
            )
    corrupt = tuple(known["corrupt"])
    positions = {name: i for i, name in enumerate(folder.files)}
    if corrupt:
        log.warning("%d of %d images left out: %s", len(corrupt), len(names), ", ".join(corrupt))
    kept = folder.without({positions[name] for name in corrupt})
    offsets = {name: (start, height, width) for name, start, height, width in known["images"]}
    return DecodedImages(kept, corrupt, np.memmap(binary, np.uint8, "r"), offsets)


def readable(path: Path) -> bool:
    """Whether a photo can be decoded now. Its file need not have changed since it could not."""
    try:
        open_upright(path)
    except UserError:
        return False
    return True


def decoded_by() -> str:
    """What a photo's pixels depend on beside its file: another decoder may give others."""
    try:
        heif = version("pillow-heif")
    except PackageNotFoundError:
        heif = ""
    return f"{SIDE_MAX} {DECODER} {PIL.__version__} {heif}"


def files_key(root: Path, names: Sequence[str], settings: str = "") -> str:
    """16 hex digits that change with the folder and with its files' names, sizes and times.

    `settings` is a text of all else that decides what is cached, such as the crop, and decoded_by
    where that is pixels.
    """
    digest = hashlib.sha256(f"{root.resolve()} {settings}".encode(errors="surrogateescape"))
    for name in names:
        stat = (root / name).stat()
        digest.update(
            f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode(errors="surrogateescape")
        )
    return digest.hexdigest()[:16]


def _open_index(binary: Path, root: Path) -> dict[str, Any] | None:
    """What is cached; None where the photos must be decoded.

    So it is without a whole cache (a power cut may have left a part), and where a photo that could
    not be read now can: rights, a network drive or a missing decoder may have been the reason.
    """
    try:
        known = parse_json(binary.with_suffix(".json").read_text(encoding="utf-8"))
        ends = [start + 3 * height * width for _, start, height, width in known["images"]]
        whole = ends[-1] == binary.stat().st_size
        return known if whole and not any(readable(root / n) for n in known["corrupt"]) else None
    except (OSError, ValueError, TypeError, LookupError):
        return None


def _decode(root: Path, names: list[str], binary: Path, crop: str) -> dict[str, Any]:
    """Decode the photos into `binary` and return its index, which is written beside it."""
    remove_parts(binary)
    images: list[tuple[str, int, int, int]] = []
    corrupt: list[str] = []
    offset = 0
    with atomic_path(binary) as temporary, temporary.open("wb") as stream:
        bar = track(names, "decoding images", console=plain_console(stderr=True), transient=True)
        for name in bar:
            try:
                image = cropped(open_upright(root / name), 1, 1, crop)  # networks see squares
            except UserError as error:
                log.warning("left out: %s", error)
                corrupt.append(name)
                continue
            if min(image.size) > SIDE_MAX:
                scale = SIDE_MAX / min(image.size)
                size = (round(image.width * scale), round(image.height * scale))
                image = image.resize(size, Image.Resampling.BILINEAR)
            images.append((name, offset, image.height, image.width))
            offset += stream.write(image.tobytes())
        if not images:
            raise UserError(f"{root}: no image can be read")
    index = {"images": images, "corrupt": corrupt}
    write_atomic(binary.with_suffix(".json"), json.dumps(index))
    return index
