"""Weights in the layout of firmware/lib/kernels/pie: groups of sixteen channels, each followed by
its constants for rounding."""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from tinyml.aot.ir import Requant, Shape, Window
from tinyml.aot.lanes import LANES, Lanes, lanes_of
from tinyml.aot.pad_channels import rounded_up
from tinyml.aot.quantize import Int64Array

Bytes = npt.NDArray[np.int8]

LANES_WINDOWS = ((3, 3), (5, 5))
STRIP_PIXELS = 16  # outputs whose input is in scratch at the same time
MOST_TAPS = 31  # the sum of more products would not fit 20 bits
HEADER_BYTES = 16
CONSTANT_BYTES = 256


class Rounding(IntEnum):
    """How a group is rounded. In lanes: LANES + 2 * (digits - 1) + (1 if a channel has a gap)."""

    IN_C = 0
    WORDS = 1
    LANES = 2


def pack_depthwise(weights: Bytes, requant: Requant) -> Bytes:
    """`weights` [height, width, channels] in the layout of kernels.h."""
    height, width, channels = weights.shape
    total = rounded_up(channels)
    padded = np.zeros((height * width, total), np.int8)
    padded[:, :channels] = weights.reshape(height * width, channels)
    groups = []
    for first in range(0, total, LANES):
        part = slice(first, first + LANES)
        whole = first + LANES <= channels and channels == total
        group = _of(requant, part) if whole else None
        groups.append(_group(padded[:, part], group, (height, width)))
    return np.concatenate(groups)


def pack_conv1x1(weights: Bytes, requant: Requant) -> Bytes:
    """`weights` [out, in] in the layout of kernels.h: groups of sixteen if any group fits lanes."""
    outputs, inputs = weights.shape
    header = np.zeros(HEADER_BYTES, np.int8)
    whole = outputs % LANES == 0 and inputs % LANES == 0 and requant.simple > 0
    parts = [slice(first, first + LANES) for first in range(0, outputs, LANES)] if whole else []
    found = [lanes_of(weights[part].T, _of(requant, part)) for part in parts]
    if not any(found):
        return np.concatenate([header, rows_of_sixteens(weights)])
    header[:2] = 1, int(not weights[:, -8:].any())
    used = inputs - 8 * int(header[1])
    groups = [header]
    for part, lanes in zip(parts, found, strict=True):
        group = np.zeros(HEADER_BYTES + LANES * used + CONSTANT_BYTES, np.int8)
        if lanes is None:
            words = np.zeros(HEADER_BYTES, np.int8)
            words[0] = Rounding.WORDS
            groups += [words, rows_of_sixteens(weights[part])]
            continue
        # The assembly loads two vectors after the last one that is needed.
        body = _lanes_body(weights[part, :used].T, lanes, np.zeros(2 * LANES, np.int8))
        group[:2] = how(lanes)
        group[HEADER_BYTES : HEADER_BYTES + body.size] = body
        groups.append(group)
    return np.concatenate(groups)


def rows_of_sixteens(weights: Bytes) -> Bytes:
    """[out, depth] → [out][round16(depth)], padded with zeros."""
    outputs, depth = weights.shape
    padded = np.zeros((outputs, rounded_up(depth)), np.int8)
    padded[:, :depth] = weights
    return padded.ravel()


def _of(requant: Requant, part: slice) -> Requant:
    return replace(
        requant,
        bias=requant.bias[part],
        multiplier=requant.multiplier[part],
        shift=requant.shift[part],
    )


def _group(weights: Bytes, requant: Requant | None, window: tuple[int, int]) -> Bytes:
    lanes = lanes_of(weights, requant) if requant and window in LANES_WINDOWS else None
    header = np.zeros(HEADER_BYTES, np.int8)
    if lanes:
        header[:2] = how(lanes)
        body = _lanes_body(weights, lanes)
    else:
        constants = np.zeros((LANES, 4), "<i4")
        if requant and requant.simple and (requant.shift < 0).all() and len(weights) <= MOST_TAPS:
            header[0] = Rounding.WORDS
            constants[:] = _words(requant)
        body = np.concatenate([weights.ravel(), constants.view(np.int8).ravel()])
    packed = np.zeros(HEADER_BYTES + weights.size + CONSTANT_BYTES, np.int8)
    packed[:HEADER_BYTES] = header
    packed[HEADER_BYTES : HEADER_BYTES + body.size] = body
    return packed


def how(lanes: Lanes) -> tuple[int, int]:
    return Rounding.LANES + 2 * (lanes.digits - 1) + int(lanes.apart.any()), lanes.shift - 32


def _words(requant: Requant) -> Int64Array:
    """The constants with which depthwise.S adds, multiplies and shifts, [16, 4]."""
    exponent = -requant.shift
    columns = [
        4 * requant.bias,
        requant.multiplier,
        1 + ((2 * requant.zero_point + 1) << exponent),
        exponent + 1,
    ]
    return np.stack(columns).T


def _lanes_body(weights: Bytes, lanes: Lanes, between: Bytes | None = None) -> Bytes:
    """Weights [taps, 16] and constants, in the order in which the assembly reads them."""
    first, rest = weights[:2].ravel(), weights[2:].ravel()
    parts = [first, image_of_lanes(lanes.start), rest, constants_of(lanes)]
    if between is not None:
        parts.insert(3, between)
    return np.concatenate(parts)


def constants_of(lanes: Lanes) -> Bytes:
    """The constants of a group, in the order in which rounding.S reads them."""
    m0, m1, m2, m3 = signed_bytes(lanes.m, 4)
    c8, minus_c16, minus_c24 = _bytes_of_c(lanes.c)
    constants = [m1, m0, c8, m2, minus_c16, m3, minus_c24]
    if lanes.apart.any():
        constants += [lanes.bound, lanes.d, -lanes.c31]
    if lanes.digits == 3:
        constants.append(-lanes.c39)
    return np.concatenate([np.broadcast_to(row, LANES).astype(np.int8) for row in constants])


def signed_bytes(values: Int64Array, count: int) -> list[Int64Array]:
    """Digits in [-128, 127] to base 256, the lowest first; the last digit takes the rest."""
    digits = []
    for _ in range(count - 1):
        digits.append(((values + 128) & 255) - 128)
        values = (values - digits[-1]) >> 8
    return [*digits, values]


def _bytes_of_c(c: Int64Array) -> tuple[Int64Array, Int64Array, Int64Array]:
    """c8, a, b with c = 2^8 * c8 - 2^16 * a - 2^24 * b: a and b are multiplied by -1."""
    c8 = (((c >> 8) + 128) & 255) - 128
    a, b = signed_bytes(-(((c >> 8) - c8) >> 8), 2)
    return c8, a, b


def image_of_lanes(values: Int64Array) -> Bytes:
    """Sixteen 20-bit numbers as lanes.S loads them: 16 bytes of each half, then the other bytes."""
    pairs = (values[0::2] & 0xFFFFF) | ((values[1::2] & 0xFFFFF) << 20)
    packed = pairs.astype("<u8").view(np.uint8).reshape(8, 8)[:, :5].reshape(2, 20)
    parts = [packed[0, :16], packed[1, :16], packed[0, 16:], packed[1, 16:], np.zeros(8, np.uint8)]
    return np.concatenate(parts).view(np.int8)


def depthwise_scratch_bytes(window: Window, out: Shape) -> int:
    """Scratch bytes: rounding in words needs the addresses of a pixel, lanes a strip of columns."""
    taps = window.kernel_height * window.kernel_width
    words = 64 + rounded_up(out.channels) + 4 * taps
    if (window.kernel_height, window.kernel_width) not in LANES_WINDOWS:
        return words
    pixels = min(out.width, STRIP_PIXELS)
    columns = (pixels - 1) * window.stride_width + window.kernel_width
    return max(words, 80 + LANES * window.kernel_height * columns)
