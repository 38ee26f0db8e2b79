"""TensorFlow Lite's integer arithmetic, for everything that can be computed at compile time.

Multipliers are pairs (multiplier, shift): real = multiplier * 2^(shift - 31).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
Table = npt.NDArray[np.int8]  # [256], indexed by value + 128

ALL_INT8 = np.arange(-128, 128, dtype=np.int64)


def wrap32(values: Any) -> Int64Array:
    """`values` wrapped to int32, as in a register."""
    return np.asarray(values, np.int64).astype(np.int32).astype(np.int64)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """A real factor as a 31-bit multiplier and a shift; factors below 2^-31 become zero."""
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    # C's round(): halves away from zero; the fraction is positive.
    fixed = math.floor(fraction * (1 << 31) + 0.5)
    if fixed == 1 << 31:
        fixed, shift = fixed // 2, shift + 1
    return (0, 0) if shift < -31 else (fixed, shift)


def mean_multiplier(real: float, count: int) -> tuple[int, int]:
    """Multiplier and shift of MEAN over `count` elements, the division folded in."""
    multiplier, shift = quantize_multiplier(real)
    extra = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << extra) // count, shift - extra


def high_multiply(a: Any, b: Any, bits: int = 32) -> Int64Array:
    """2ab / 2^bits, rounded half up, saturated if both are the lowest value."""
    lowest, highest = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    a, b = np.asarray(a, np.int64), np.asarray(b, np.int64)
    product = (a * b + (1 << (bits - 2))) >> (bits - 1)
    saturated: Int64Array = np.where((a == lowest) & (b == lowest), highest, product)
    return saturated


def shift_right_rounding(values: Any, shift: Any) -> Int64Array:
    """values / 2^shift, rounded half away from zero."""
    values, shift = np.asarray(values, np.int64), np.asarray(shift, np.int64)
    mask = (np.int64(1) << shift) - 1
    threshold = (mask >> 1) + (values < 0)
    rounded: Int64Array = (values >> shift) + ((values & mask) > threshold)
    return rounded


def multiply(values: Any, multiplier: Any, shift: Any) -> Int64Array:
    """int32 `values` times a (multiplier, shift), with TensorFlow Lite's two roundings."""
    shift = np.asarray(shift, np.int64)
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    shifted = wrap32(np.asarray(values, np.int64) << left)
    return shift_right_rounding(high_multiply(shifted, multiplier), right)


def to_int8(values: Any, low: int = -128, high: int = 127) -> Table:
    clipped: Table = np.clip(values, low, high).astype(np.int8)
    return clipped


def activation_limits(activation: str, scale: float, zero_point: int) -> tuple[int, int] | None:
    """The int8 range of a fused activation, or None for an unknown activation."""

    def quantized(real: float) -> int:
        # float32 division, halves away from zero, as in the interpreter
        with np.errstate(over="ignore"):
            value = float(np.float32(real) / np.float32(scale))
        value = min(max(value, -1e9), 1e9)
        return zero_point + int(math.copysign(math.floor(abs(value) + 0.5), value))

    match activation:
        case "NONE":
            return -128, 127
        case "RELU":
            return max(-128, quantized(0.0)), 127
        case "RELU6":
            return max(-128, quantized(0.0)), min(127, quantized(6.0))
        case "RELU_N1_TO_1":
            return max(-128, quantized(-1.0)), min(127, quantized(1.0))
    return None


def clamp_table(low: int, high: int) -> Table | None:
    """A clamp as a table; None if it changes nothing."""
    if (low, high) == (-128, 127):
        return None
    return np.minimum(np.maximum(ALL_INT8, low), high).astype(np.int8)


def compose(first: Table | None, second: Table | None) -> Table | None:
    """The table that applies `first`, then `second`; None is the identity."""
    if first is None or second is None:
        return second if first is None else first
    return second[first.astype(np.int64) + 128]


def hard_swish_table(
    in_scale: float, in_zero_point: int, out_scale: float, out_zero_point: int
) -> Table | None:
    """x * relu6(x + 3) / 6 in the interpreter's 16-bit arithmetic; None if it refuses the scale."""
    hires = np.float32(1.0 / 128.0) * np.float32(in_scale)
    with np.errstate(over="ignore", divide="ignore"):
        # TFLite Micro divides in float64, TFLite in float32: one pair of scales in 1,300 shows it.
        out_factor = float(np.float64(hires) / np.float64(np.float32(out_scale)))
        relu_factor = float(hires / (np.float32(3.0) / np.float32(32768.0)))
    if out_factor >= 1.0 or math.isinf(relu_factor):
        return None
    out_multiplier, out_shift = quantize_multiplier(out_factor)
    relu_multiplier, relu_shift = quantize_multiplier(relu_factor)
    if out_shift > 0:
        return None
    value = (ALL_INT8 - in_zero_point) << 7
    preshift = high_multiply(value, _to_int16_multiplier(out_multiplier), 16)
    relu = value
    if relu_shift > 0:
        relu = _saturating_shift_left(relu, relu_shift - 1)
    relu = high_multiply(relu, _to_int16_multiplier(relu_multiplier), 16)
    if relu_shift > 0:
        relu = _saturating_shift_left(relu, 1)
    if relu_shift < 0:
        relu = _shift_right_rounding16(relu, -relu_shift)
    relu = (relu + (1 << 15)) >> 1
    product = np.trunc(relu * preshift / (1 << 15)).astype(np.int64)  # exact: below 2^53
    return to_int8(_shift_right_rounding16(product, -out_shift) + out_zero_point)


def _shift_right_rounding16(values: Int64Array, shift: int) -> Int64Array:
    """shift_right_rounding in int16 registers, in which the mask for a shift above 15 is -1."""
    if shift <= 15:
        return shift_right_rounding(values, shift)
    return (values >> shift) + (values > -1 + (values < 0))


def _to_int16_multiplier(multiplier: int) -> int:
    return (1 << 15) - 1 if multiplier >= (1 << 31) - (1 << 15) else (multiplier + (1 << 15)) >> 16


def _saturating_shift_left(values: Int64Array, shift: int) -> Int64Array:
    shifted: Int64Array = np.clip(values << min(shift, 31), -(1 << 15), (1 << 15) - 1)
    return shifted
