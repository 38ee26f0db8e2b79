"""Pointwise operators as 256-byte tables, and the exponentials of softmax."""

from __future__ import annotations

import math

import numpy as np

from tinyml.aot import quantize
from tinyml.aot.fixed_point import exp_on_negative, logistic
from tinyml.aot.quantize import ALL_INT8, Int64Array, Table

Affine = tuple[float, int]  # scale and zero point


def requantize_table(source: Affine, result: Affine) -> Table | None:
    """QUANTIZE from int8 to int8; None if the factor shifts int32 out of its register."""
    multiplier = _multiplier(source[0] / result[0])
    if multiplier is None:
        return None
    scaled = quantize.multiply(ALL_INT8 - source[1], *multiplier)
    return quantize.to_int8(scaled + result[1])


def relu_table(source: Affine, result: Affine) -> Table | None:
    """RELU as a separate operator."""
    # In float64, as in the pinned version of the interpreter; older versions used float32. Scales
    # such as 1/128 and 0.1 show it.
    multiplier = _multiplier(source[0] / result[0])
    if multiplier is None:
        return None
    scaled = quantize.multiply(ALL_INT8 - source[1], *multiplier)
    return quantize.to_int8(scaled + result[1], low=max(-128, result[1]))


def leaky_relu_table(alpha: float, source: Affine, result: Affine) -> Table | None:
    """alpha may be above 1 or below 0. In float64, as relu_table."""
    slope = source[0] * alpha / result[0]
    positive = _multiplier(source[0] / result[0])
    negative = _multiplier(abs(slope))
    if positive is None or negative is None:
        return None
    value = ALL_INT8 - source[1]
    below = quantize.multiply(value, *negative)
    scaled = np.where(
        value >= 0, quantize.multiply(value, *positive), -below if slope < 0 else below
    )
    return quantize.to_int8(scaled + result[1])


def logistic_table(source: Affine) -> Table:
    """The output's scale is 1/256 and its zero point -128, whatever the file says."""
    # From 2^31 on, every value except 0 is outside the radius.
    multiplier = quantize.quantize_multiplier(min(source[0] * (1 << 27), float(1 << 31)))
    value = ALL_INT8 - source[1]
    radius = _input_radius(4, multiplier[1])
    q4 = quantize.multiply(value, *multiplier)
    inside = quantize.shift_right_rounding(logistic(q4, 4), 23) - 128
    clamped = np.where(value >= radius, 127, inside)
    return quantize.to_int8(np.where(value <= -radius, -128, clamped))


def softmax_exponentials(beta: float, scale: float) -> Int64Array | None:
    """[256]: exp(-beta * scale * d) in Q0.31 for d = maximum - value, 0 where it is negligible.

    None if the scale is too small for the interpreter's fixed point, so that it refuses it.
    """
    # A larger factor gives the same outputs: everything below the maximum is zero already.
    real = min(beta * scale * (1 << 26), float((1 << 31) - 1))
    if real <= 1.0:
        return None
    multiplier, shift = quantize.quantize_multiplier(real)
    difference = -np.arange(256, dtype=np.int64)
    shifted = quantize.wrap32(difference << shift)
    exponentials = exp_on_negative(quantize.high_multiply(shifted, multiplier), 5)
    return np.where(difference >= -_input_radius(5, shift), exponentials, 0)


def _input_radius(integer_bits: int, shift: int) -> int:
    """The largest difference that still fits the fixed point's integer bits."""
    return math.floor(((1 << integer_bits) - 1) * 2.0 ** (31 - integer_bits - shift))


def _multiplier(factor: float) -> tuple[int, int] | None:
    return None if factor >= float(1 << 30) else quantize.quantize_multiplier(factor)
