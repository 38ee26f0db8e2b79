"""Generators of what a folder should not hold: odd names, and files that are none."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image


def photo(seed: int = 0) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "JPEG")
    return stream.getvalue()


def huge_png(side: int = 100_000) -> bytes:
    """A picture of side² pixels in a few bytes: decoding it would take 30 GB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def itself(path: Path) -> None:
    path.symlink_to(path.name)


# What stands at a path where a file is expected.
FILES: dict[str, Callable[[Path], object]] = {
    "a pipe": lambda path: os.mkfifo(path),
    "a dangling link": lambda path: path.symlink_to("nowhere"),
    "a link to itself": itself,
    "a folder": lambda path: path.mkdir(),
    "0 bytes": lambda path: path.touch(),
    "zeros": lambda path: path.write_bytes(bytes(5000)),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe\xff" * 100),
    "a cut photo": lambda path: path.write_bytes(photo()[:500]),
    "a huge picture": lambda path: path.write_bytes(huge_png()),
    "brackets": lambda path: path.write_bytes(b"[" * 100_000),
    "null": lambda path: path.write_text("null"),
}
# Names of files that hold a photo.
NAMES: dict[str, bytes] = {
    "Latin-1": b"bl\xe4tter.jpg",
    "a line end": b"a\nb.jpg",
    "markup": b"[red]x[b] :cat:.jpg",
    "a terminal's commands": b"a\x1b[2J.jpg",
    "a shell's": b"$(touch x); 'a\" & b.jpg",
    "an option": b"--out.jpg",
    "commas and quotes": b'a,"b",c.jpg',
    "250 characters": b"a" * 246 + b".jpg",
}
