"""Requantization in sixteen lanes of 20 bits, as firmware/lib/kernels/pie does it.

A channel's output is a staircase function of its sum x. Here the function is written as

    q = clamp((m * y + c + (y >= b ? d : 0)) >> shift),    y = x + p, clamped to its digits,

with integers m and c that have fewer bits than TensorFlow Lite's. They are checked at every step of
the staircase that the weights can reach, so the output bytes are equal. d is the gap between
negative and positive sums that TensorFlow Lite's second rounding (half away from zero) causes. The
assembly multiplies only int8 numbers, so y = 256 * (h1 + .. + hn) + low and m = m0 + 256 m1 +
256^2 m2 + 256^3 m3 with signed digits. The product low * m0 is left out; the check allows for that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tinyml.aot import quantize
from tinyml.aot.ir import Requant
from tinyml.aot.quantize import Int64Array

LANES = 16
MOST_DIGITS = 3  # upper digits h of a sum that the assembly can hold
SHIFTS = (32, 38)  # of the result, in bits
SUM_LIMIT = (1 << 19) - 256  # of a lane; 256 is the margin for reading its digits
LEFT_OUT = 1 << 14  # the largest |low * m0|
_TRIES = (0, 1, -1, 2, -2, 3, -3)  # offsets of m from the nearest integer that are tried
_STEPS = np.arange(-127, 128)  # outputs k; step k of a staircase is the lowest sum with q >= k
_NEVER = 1 << 60


@dataclass(frozen=True, eq=False)
class Lanes:
    """The constants of sixteen channels. Fields are [16], except those for the whole group."""

    digits: int  # n
    shift: int
    apart: npt.NDArray[np.bool_]  # whether a channel needs d
    start: Int64Array  # p plus the bias: the accumulator's start value
    m: Int64Array
    c: Int64Array  # without the multiple of 2^31
    c31: Int64Array  # in units of 2^31
    c39: Int64Array  # in units of 2^39; zeros unless there are three digits
    bound: Int64Array  # of h1: d is added above it, at y >= 256 * bound + 128
    d: Int64Array  # in units of 2^24


@dataclass(frozen=True, eq=False)
class _Demands:
    """Conditions: T(x) = m * x + c must reach k << shift at `low_at`, but not at `high_at`."""

    positive: npt.NDArray[np.bool_]  # [1, 255]: where k is above the zero point
    steps: Int64Array  # [16, 255]
    low_at: Int64Array
    low: npt.NDArray[np.bool_]
    high_at: Int64Array
    high: npt.NDArray[np.bool_]

    def of(self, live: npt.NDArray[np.bool_]) -> _Demands:
        """Only the conditions of the channels that are `live`."""
        return replace(self, low=self.low & live[:, None], high=self.high & live[:, None])

    def extent(self) -> tuple[Int64Array, Int64Array]:
        """The lowest and highest sums [16] with a condition; 0 for a channel without conditions."""
        lowest = np.where(self.high, self.high_at, _NEVER).min(axis=1)
        highest = np.where(self.low, self.low_at, -_NEVER).max(axis=1)
        lowest = np.where(lowest == _NEVER, np.where(highest == -_NEVER, 0, highest), lowest)
        return lowest, np.where(highest == -_NEVER, lowest, highest)

    def around_zero(self, zero_point: int) -> tuple[Int64Array, Int64Array]:
        """The last sum before the output becomes positive, and the first sum after."""
        at = zero_point + 127
        return self.steps[:, max(at, 0)], self.steps[:, min(at + 1, 254)]


def steps_of(requant: Requant) -> Int64Array:
    """[channels, 255]: the lowest sum (with bias) whose output is at least k, for k = -127 to 127.

    From divide_by_power_of_two(doubling_high_multiply(x, m), e) >= n. Shifts are <= 0.
    """
    n = _STEPS[None, :] - requant.zero_point
    exponent = -requant.shift[:, None]
    half = np.where(exponent > 0, np.int64(1) << np.maximum(exponent - 1, 0), 0)
    product = (n << exponent) - half + ((n <= 0) & (exponent > 0))
    steps: Int64Array = -((-((product << 31) - (1 << 30))) // requant.multiplier[:, None])
    return steps


def lanes_of(weights: npt.NDArray[np.int8], requant: Requant) -> Lanes | None:
    """The constants of sixteen channels with `weights` [taps, 16], or None if none are exact."""
    if not requant.simple or (requant.shift > 0).any():
        return None
    wide = weights.astype(np.int64)
    highest = requant.bias + np.where(wide > 0, wide * 127, wide * -128).sum(axis=0)
    lowest = requant.bias + np.where(wide > 0, wide * -128, wide * 127).sum(axis=0)
    return lanes_between(lowest, highest, 128 * np.abs(wide).sum(axis=0), requant)


def lanes_between(
    lowest: Int64Array, highest: Int64Array, extent: Int64Array, requant: Requant
) -> Lanes | None:
    """The same for sums (with bias) from `lowest` to `highest`. `extent` is the largest distance of
    an accumulator from Lanes.start. The arrays may have one entry for all lanes."""
    live = highest > lowest
    shift = _shift(requant, live)
    if shift < SHIFTS[0]:
        return None
    gap = np.where(requant.shift < 0, np.int64(1) << np.maximum(shift + requant.shift, 0), 0)
    demands = _demands(requant, lowest, highest)
    found = _slopes(requant, demands, gap, shift, live)
    if found is None:
        return None
    for centered in (False, True):
        lanes = _placed(requant, demands, found, gap, live, centered)
        if _expressible(lanes, gap, extent):
            return lanes
    return None


def _expressible(lanes: Lanes, gap: Int64Array, extent: Int64Array) -> bool:
    """Whether sums fit their lanes, constants fit int8, and d represents the gap exactly."""
    gaps = np.where(lanes.apart, gap, 0)
    return (
        lanes.digits <= MOST_DIGITS
        and bool((np.abs(lanes.start) + extent < SUM_LIMIT).all())
        and bool((np.abs(lanes.c31) <= 127).all())
        and bool((np.abs(lanes.c39) <= 127).all())
        and (lanes.digits == MOST_DIGITS or not lanes.c39.any())
        and bool((np.abs(lanes.bound) <= 126).all())
        and bool((lanes.d >= -128).all())
        and bool((gaps == -(lanes.d << 24)).all())
    )


def _shift(requant: Requant, live: npt.NDArray[np.bool_]) -> int:
    """The largest shift for which all m still have at most four digits."""
    if not live.any():
        return SHIFTS[0]
    largest = (requant.multiplier[live] * 2.0 ** (requant.shift[live] - 31)).max()
    shift = int(np.floor(31 - np.log2(largest)))
    if largest * 2.0**shift > 2**31 - 2**24:
        shift -= 1
    return min(shift, SHIFTS[1])


def _demands(requant: Requant, lowest: Int64Array, highest: Int64Array) -> _Demands:
    steps = steps_of(requant)
    low, high = lowest[:, None], highest[:, None]
    reached, missed = steps <= high, steps > low
    # Among the steps that every sum reaches, the highest is the strictest condition; among the
    # steps that no sum reaches, the lowest.
    last_reached = np.cumsum(~missed[:, ::-1], axis=1)[:, ::-1] == 1
    first_missed = np.cumsum(~reached, axis=1) == 1
    inside = reached & missed
    return _Demands(
        positive=_STEPS[None, :] > requant.zero_point,
        steps=steps,
        low_at=np.maximum(steps, low),
        low=inside | (~missed & last_reached),
        high_at=np.minimum(steps - 1, high),
        high=inside | (~reached & first_missed),
    )


def _slopes(
    requant: Requant, demands: _Demands, gap: Int64Array, shift: int, live: npt.NDArray[np.bool_]
) -> tuple[Int64Array, Int64Array, int] | None:
    """m, c for sums below the gap, and the shift."""
    nearest = np.rint(requant.multiplier * 2.0 ** (shift - 31 + requant.shift)).astype(np.int64)
    m, c = np.zeros_like(nearest), np.zeros_like(nearest)
    missing = live.copy()
    levels = (_STEPS[None, :] << shift) - np.where(demands.positive, gap[:, None], 0)
    for beside in _TRIES:
        slope = nearest + beside
        least = np.where(demands.low, levels - slope[:, None] * demands.low_at, -_NEVER)
        most = np.where(demands.high, levels - slope[:, None] * demands.high_at, _NEVER)
        lower, upper = least.max(axis=1) + LEFT_OUT, most.min(axis=1) - 1 - LEFT_OUT
        # A multiple of 256, in the middle if there are a lower and an upper end.
        middle = np.where(demands.low.any(axis=1), lower + 255, upper)
        ends = demands.low.any(axis=1) & demands.high.any(axis=1)
        rounded = np.where(ends, (lower + upper) // 2 + 128, middle) // 256 * 256
        good = missing & (slope > 0) & (lower <= rounded) & (rounded <= upper)
        m, c = np.where(good, slope, m), np.where(good, rounded, c)
        missing &= ~good
    return None if missing.any() else (m, c, shift)


def _placed(
    requant: Requant,
    demands: _Demands,
    found: tuple[Int64Array, Int64Array, int],
    gap: Int64Array,
    live: npt.NDArray[np.bool_],
    centered: bool,
) -> Lanes:
    """Choose p such that y needs few digits, and the gap is at a change of h1.

    y = 0 gives an output of 0; if `centered`, the sums that have conditions are around y = 0.
    """
    m, c, shift = found
    demands = demands.of(live)
    negative = ((demands.low | demands.high) & ~demands.positive).any(axis=1)
    positive = ((demands.low | demands.high) & demands.positive).any(axis=1)
    apart = negative & positive & (gap > 0)
    c = c + np.where(positive & ~apart, gap, 0)
    lowest, highest = demands.extent()
    c39 = (c + m * (lowest + highest) // 2 + (1 << 38)) >> 39 if centered else np.zeros_like(c)
    p = np.rint((c - (c39 << 39)) / np.maximum(m, 1)).astype(np.int64)
    p = _aligned(demands, requant, p, apart)
    border = np.where(apart, _border(demands, requant, p), 128)
    # A channel without weights has only y = p, in the middle of its output's step.
    constant = quantize.multiply(requant.bias, requant.multiplier, requant.shift)
    start = 256 * quantize.to_int8(constant + requant.zero_point).astype(np.int64) + 127
    rest = np.where(live, c - m * p, 0) - (c39 << 39)
    c31 = (rest + (1 << 30)) >> 31
    return Lanes(
        digits=_digits(demands, p),
        shift=shift,
        apart=apart,
        start=np.where(live, requant.bias + p, start),
        m=np.where(live, m, np.int64(1) << (shift - 8)),
        c=rest - (c31 << 31),
        c31=c31,
        c39=c39,
        bound=(border - 128) // 256,
        d=np.where(apart, -(gap >> 24), 0),
    )


def _border(demands: _Demands, requant: Requant, p: Int64Array) -> Int64Array:
    """The y = 256 * bound + 128 from which d is added, if possible between the two sums."""
    first, last = demands.around_zero(requant.zero_point)
    above = -(-(p + first - 128) // 256)
    too_far, too_near = 256 * above + 128 - p - last, p + first - 128 - 256 * (above - 1)
    bound = np.where((too_far > 0) & (too_near < too_far), above - 1, above)
    return 256 * bound + 128


def _aligned(
    demands: _Demands, requant: Requant, p: Int64Array, apart: npt.NDArray[np.bool_]
) -> Int64Array:
    """The nearest p that puts the border between the two sums."""
    first, last = demands.around_zero(requant.zero_point)
    border = _border(demands, requant, p)
    return np.where(apart, border - np.clip(border - p, first, last), p)


def _digits(demands: _Demands, p: Int64Array) -> int:
    """The number of upper digits that the sums with conditions need."""
    lowest, highest = demands.extent()
    most, least = int((highest + p).max()), int((lowest + p).min())
    return max(1, -(-(most - 127) // (127 * 256)), -((least + 128) // (1 << 15)))
