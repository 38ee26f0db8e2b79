"""From pixels to the bytes of a model's input: normalization, then quantization.

    real value    = (pixel - mean) / std               mean and std: one number, or one per channel
    int8 value    = round(real / scale) + zero point   scale and zero point are from the file

A .tflite holds scale and zero point, but not mean and std. Networks of this project have mean 128,
std 128, scale 1/128 and zero point 0, so their int8 value is exactly pixel - 128.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from swin2mcu.common.card import are_deviations, are_means
from swin2mcu.common.cli import UserError

Pixels = npt.NDArray[np.uint8]
Reals = npt.NDArray[np.float64]

# Usual normalizations: name → (mean, std).
USUAL: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "(p-128)/128": ((128.0,), (128.0,)),
    "p/127.5-1": ((127.5,), (127.5,)),
    "p/255": ((0.0,), (255.0,)),
    "p": ((0.0,), (1.0,)),
    "p-128": ((128.0,), (1.0,)),
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}
OURS = USUAL["(p-128)/128"]
OUR_SCALE, OUR_ZERO_POINT = 1 / 128, 0
# A range that was measured on photos is a little smaller than the range of all possible pixels.
RANGE_TOLERANCE = 0.03
LUMA = np.array([19595, 38470, 7471], np.int64)  # ITU-R 601 in 1/65536, as Pillow's "L"


@dataclass(frozen=True)
class InputContract:
    """How the pixels of an image become a model's input."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float
    zero_point: int  # of an int8 input; for a uint8 input, its zero point minus 128
    channels: int

    @property
    def ours(self) -> bool:
        """Whether the int8 value is exactly pixel - 128, of three channels."""
        stored = self.scale, self.zero_point
        return (self.mean, self.std) == OURS and stored == (OUR_SCALE, 0) and self.channels == 3

    @property
    def is_pixel_minus_128(self) -> bool:
        """Whether the int8 value is exactly pixel - 128, whatever real value that stands for."""
        return bool((self.tables() == np.arange(-128, 128)).all())

    @property
    def name(self) -> str:
        for name, usual in USUAL.items():
            if (self.mean, self.std) == usual:
                return name
        return f"(p-{','.join(map(str, self.mean))})/{','.join(map(str, self.std))}"

    def tables(self) -> npt.NDArray[np.int8]:
        """[channels, 256]: the int8 value of each pixel value."""
        real = self.real_tables() / self.scale
        return np.clip(np.round(real) + self.zero_point, -128, 127).astype(np.int8)

    def real_tables(self) -> Reals:
        """[channels, 256]: the real value of each pixel value."""
        shape = (self.channels, 1)
        mean, std = (np.broadcast_to(np.array(v), self.channels) for v in (self.mean, self.std))
        values: Reals = (np.arange(256.0) - mean.reshape(shape)) / std.reshape(shape)
        return values

    def stored(self, pixels: Pixels) -> npt.NDArray[np.int8]:
        """(height, width, 3) pixels → (height, width, channels) int8 values."""
        stored: npt.NDArray[np.int8] = _through(self.tables(), self.prepared(pixels))
        return stored

    def real(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """(height, width, 3) pixels → (height, width, channels) real values."""
        tables = self.real_tables().astype(np.float32)
        real: npt.NDArray[np.float32] = _through(tables, self.prepared(pixels))
        return real

    def prepared(self, pixels: Pixels) -> Pixels:
        """The pixels with the model's number of channels; one channel is gray, as Pillow has it."""
        if self.channels == 3:
            return pixels
        gray = (pixels.astype(np.int64) @ LUMA + 32768) >> 16
        return gray[..., None].astype(np.uint8)


OUR_CONTRACT = InputContract(*OURS, OUR_SCALE, OUR_ZERO_POINT, 3)  # of our own networks


def _through(tables: npt.NDArray[Any], pixels: Pixels) -> npt.NDArray[Any]:
    channels = [table[pixels[..., c]] for c, table in enumerate(tables)]
    return np.stack(channels, axis=-1)


def guess(scale: float, zero_point: int, channels: int) -> tuple[tuple[float, ...], ...] | None:
    """The usual (mean, std) whose real values have the range of this quantization, or None."""
    if (scale, zero_point) == (OUR_SCALE, OUR_ZERO_POINT):
        return OURS
    low, high = scale * (-128 - zero_point), scale * (127 - zero_point)
    best, least = None, RANGE_TOLERANCE
    for mean, std in USUAL.values():
        if len(mean) > channels or (mean, std) == OURS:
            continue
        ends = [(p - m) / s for p in (0, 255) for m, s in zip(mean, std, strict=True)]
        span = max(ends) - min(ends)
        distance = max(abs(low - min(ends)), abs(high - max(ends))) / span
        if distance < least:
            best, least = (mean, std), distance
    return best


def parse_contract(text: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A usual name, or "MEAN/STD" with one number or three with commas. Raises UserError."""
    if text in USUAL:
        return USUAL[text]
    parts = [_numbers(part) for part in text.split("/")]
    if len(parts) == 2 and are_means(list(parts[0])) and are_deviations(list(parts[1])):
        return parts[0], parts[1]
    raise UserError(
        f"--input {text!r}: give one of {', '.join(USUAL)}, or MEAN/STD in pixel units, "
        "such as 123.7,116.3,103.5/58.4,57.1,57.4"
    )


def _numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas, or () for any other text."""
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        return ()
