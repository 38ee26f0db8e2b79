"""Frames as a camera delivers them: pixels → bytes → the pixels that a board sees in those bytes.

The formats are those of firmware/lib/vision; a test compares what both make of the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from host_tools.link.protocol import FrameFormat
from swin2mcu.common.cli import UserError
from swin2mcu.common.pixels import center_box, load_pixels, resize

Pixels = npt.NDArray[np.uint8]

FORMAT_NAMES = {
    "rgb565": FrameFormat.RGB565_BE,  # the default: what esp32-camera delivers
    "rgb565be": FrameFormat.RGB565_BE,
    "rgb565le": FrameFormat.RGB565_LE,
    "rgb888": FrameFormat.RGB888,
    "gray": FrameFormat.GRAY,
    "yuv422": FrameFormat.YUV422,
}
MAX_SIDE = 8191  # as in firmware/lib/vision


@dataclass(frozen=True)
class FrameKind:
    """Format and size of a camera's frames."""

    format: FrameFormat
    width: int
    height: int

    @property
    def name(self) -> str:
        return f"{self.format.name.lower().replace('_', '')}:{self.width}x{self.height}"

    @property
    def frame_bytes(self) -> int:
        pixel = {FrameFormat.RGB888: 3, FrameFormat.GRAY: 1}.get(self.format, 2)
        return self.width * self.height * pixel


def parse_frames(text: str) -> FrameKind:
    """`rgb565:320x240` → the kind of frame. Raises UserError for anything else."""
    name, _, size = text.partition(":")
    sides = size.split("x")
    if name not in FORMAT_NAMES or len(sides) != 2 or not all(s.isdecimal() for s in sides):
        names = ", ".join(FORMAT_NAMES)
        raise UserError(f"'{text}' is no kind of frame: name one as rgb565:320x240 ({names})")
    width, height = int(sides[0]), int(sides[1])
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise UserError(f"'{text}': a frame's sides lie between 1 and {MAX_SIDE} pixels")
    if FORMAT_NAMES[name] == FrameFormat.YUV422 and width % 2:
        raise UserError(f"'{text}': the width of a yuv422 frame is even")
    return FrameKind(FORMAT_NAMES[name], width, height)


def encode_frame(pixels: Pixels, format_: FrameFormat) -> bytes:
    """RGB pixels (height, width, 3) → a frame's bytes, with as few bits as the format has."""
    if format_ == FrameFormat.RGB888:
        return pixels.tobytes()
    if format_ == FrameFormat.GRAY:
        return Image.fromarray(pixels).convert("L").tobytes()
    if format_ == FrameFormat.YUV422:
        yuv = np.asarray(Image.fromarray(pixels).convert("YCbCr")).astype(np.uint16)
        chroma = (yuv[:, 0::2, 1:] + yuv[:, 1::2, 1:] + 1) // 2  # of two pixels
        pairs = (yuv[:, 0::2, 0], chroma[:, :, 0], yuv[:, 1::2, 0], chroma[:, :, 1])
        return bytes(np.stack(pairs, axis=-1).astype(np.uint8).tobytes())
    red, green, blue = np.moveaxis(pixels.astype(np.uint16), -1, 0)
    values = red >> 3 << 11 | green >> 2 << 5 | blue >> 3
    return bytes(values.astype("<u2" if format_ == FrameFormat.RGB565_LE else ">u2").tobytes())


def frame_of(path: Path, kind: FrameKind) -> bytes:
    """A photo as such a camera would deliver it: the whole photo stretched to the frame.

    Raises UserError if it cannot be read.
    """
    return encode_frame(load_pixels(path, kind.height, kind.width), kind.format)


def decode_frame(frame: bytes, kind: FrameKind) -> Pixels:
    """A frame's bytes → RGB pixels (height, width, 3), as firmware/lib/vision reads them."""
    data = np.frombuffer(frame, np.uint8).reshape(kind.height, -1)
    if kind.format == FrameFormat.RGB888:
        return data.reshape(kind.height, kind.width, 3)
    if kind.format == FrameFormat.GRAY:
        return np.repeat(data[:, :, None], 3, axis=-1)
    if kind.format == FrameFormat.YUV422:
        return _yuv_to_rgb(data.reshape(kind.height, kind.width // 2, 4).astype(np.int32))
    order = "<u2" if kind.format == FrameFormat.RGB565_LE else ">u2"
    value = np.frombuffer(frame, order).reshape(kind.height, kind.width).astype(np.uint32)
    red, green, blue = value >> 11, value >> 5 & 63, value & 31
    # Widened by repeating the upper bits, so that white stays white.
    wide = (red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2)
    return np.stack(wide, axis=-1).astype(np.uint8)


def _yuv_to_rgb(pairs: npt.NDArray[np.int32]) -> Pixels:
    """Y0 U Y1 V (height, width / 2, 4) → RGB: ITU-R BT.601 with full range, as in JFIF."""
    luma = pairs[:, :, 0::2]
    cb, cr = pairs[:, :, 1, None] - 128, pairs[:, :, 3, None] - 128
    half = 1 << 15  # constants have 16 fractional bits
    offsets = (91881 * cr + half, -22553 * cb - 46802 * cr + half, 116130 * cb + half)
    rgb = np.stack([luma + (offset >> 16) for offset in offsets], axis=-1)
    return rgb.clip(0, 255).astype(np.uint8).reshape(pairs.shape[0], -1, 3)


def frame_to_pixels(
    frame: bytes, kind: FrameKind, height: int, width: int, center_crop: bool = False
) -> Pixels:
    """The network's pixels (height, width, 3) of a frame, by the one resize of the project."""
    image = Image.fromarray(decode_frame(frame, kind))
    if center_crop:
        image = image.crop(center_box(kind.width, kind.height, width, height))
    return resize(image, height, width)
