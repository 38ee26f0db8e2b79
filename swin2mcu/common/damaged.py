"""Damaged photos: what decoders raise, and files with less data than their picture.

An interrupted copy may have its full length, with zeros at the end, or be closed with an end marker
by another program. Decoders then fill the picture with what zeros mean, and report nothing.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

# What Pillow's decoders raise for a damaged file; each format has its own way.
DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    RuntimeError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)
# Formats whose decoders do not report missing data; in others that are compressed they do.
CHECKED = ("JPEG", "MPO", "WEBP", "AVIF", "HEIF")
JPEG_START, JPEG_SCAN, JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
JPEG_BLANK = (127, 128)  # the gray of blocks without data; CMYK is inverted
# Data for some more blocks, also after each of the eight restart markers.
JPEG_MORE = bytes([0xAA] * 4096) + b"".join(bytes([0xFF, 0xD0 + n] + [0xAA] * 64) for n in range(8))
MOST_ZEROS = 64  # so few bytes of missing data cannot be seen
LAST = 16  # bytes; an encoder adds fewer to close its data


def is_cut_short(data: bytes, image: Image.Image) -> bool:
    """Whether an image of a CHECKED format, decoded from the file `data`, shows more than it has.

    `image` must be loaded.
    """
    if image.format in ("JPEG", "MPO"):
        return _jpeg_lacks_data(data, image)
    if image.format == "WEBP":
        return _has_unread_zeros(data, image)
    return _zeros_are_shown(data, image)


def _jpeg_lacks_data(data: bytes, image: Image.Image) -> bool:
    position = len(JPEG_START)
    while data[position : position + 2] != JPEG_SCAN:  # a preview inside a segment has its own end
        size = int.from_bytes(data[position + 2 : position + 4], "big")
        if data[position : position + 1] != b"\xff" or size < 2:
            return False  # stray bytes between segments, which Pillow skips
        position += 2 + size
    end = data.find(JPEG_END, position)
    if end < 0:
        return True
    corner = np.asarray(image.crop((image.width - 1, image.height - 1, *image.size)))
    if not np.isin(corner, JPEG_BLANK).all():
        return False
    # A gray corner may be a gray photo. More data before the end changes only what lacks data.
    return _decodes_to_another(data[:end] + JPEG_MORE + JPEG_END, image)


def _has_unread_zeros(data: bytes, image: Image.Image) -> bool:
    """Whether a WebP's picture ends with zeros that its decoder does not reach.

    Zeros take the place of much more data than the decoder makes of them. A plain background may
    end with zeros, too; there the decoder reads all of them.
    """
    end = _end_of_webp(data)
    zeros = _zeros_before(data, end)
    return zeros > MOST_ZEROS and not _shows_another(data, end - LAST, end, image)


def _zeros_are_shown(data: bytes, image: Image.Image) -> bool:
    """Whether the pictures' data of an AVIF or HEIF ends with zeros that belong to the picture.

    Their compressed data never does. Zeros of the notes on a photo, which may lie in the same box,
    may be anything else: the picture stays the same.
    """
    end = _end_of_pictures(data)
    zeros = _zeros_before(data, end)
    return zeros > MOST_ZEROS and _shows_another(data, end - zeros, end, image)


def _zeros_before(data: bytes, end: int) -> int:
    return len(data[:end]) - len(data[:end].rstrip(b"\0"))


def _end_of_webp(data: bytes) -> int:
    """The end of the chunk of the picture (RFC 9649, 2.3 to 2.7); 0 without one."""
    position = 12  # behind RIFF, its size and WEBP
    while position + 8 <= len(data):
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        if data[position : position + 4] in (b"VP8 ", b"VP8L"):
            return min(position + 8 + size, len(data))
        position += 8 + size + size % 2
    return 0


def _end_of_pictures(data: bytes) -> int:
    """The end of the last box of pictures' data (ISO/IEC 14496-12, 4.2); 0 without one."""
    position = end = 0
    while position + 8 <= len(data):
        size, kind = (
            int.from_bytes(data[position : position + 4], "big"),
            data[position + 4 : position + 8],
        )
        if size == 1:  # the size is in the next eight bytes
            size = int.from_bytes(data[position + 8 : position + 16], "big")
        size = size or len(data) - position  # 0: up to the end of the file
        if size < 8:
            break
        position += size
        if kind == b"mdat":
            end = position
    return min(end, len(data))


def _shows_another(data: bytes, start: int, end: int, image: Image.Image) -> bool:
    """Whether other bytes from `start` to `end` show another picture, or none."""
    changed = data[:start] + b"\xaa" * (end - start) + data[end:]
    return _decodes_to_another(changed, image)


def _decodes_to_another(data: bytes, image: Image.Image) -> bool:
    """Whether a file with `data` in place of the image's own does not show the same."""
    form = "JPEG" if image.format == "MPO" else str(image.format)
    try:
        with Image.open(io.BytesIO(data), formats=[form]) as again:
            return again.tobytes() != image.tobytes()
    except DAMAGED:  # the changed bytes are not passed over
        return True
