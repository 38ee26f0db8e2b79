"""exp and logistic in the interpreter's 32-bit fixed point, for tables made at compile time.

A number in "Q5.26" is an int32 whose value is integer * 2^-26: 5 integer bits and 26 fraction bits.
The polynomial, its constants and every rounding are those of gemmlowp (fixedpoint/fixedpoint.h),
which TensorFlow Lite Micro includes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyml.aot.quantize import Int64Array, high_multiply, shift_right_rounding

ONE = (1 << 31) - 1  # the largest number in Q0.31, the nearest to 1
_EXP_OF_MINUS_EIGHTH = 1895147668
_THIRD = 715827883
# exp(-2^e) in Q0.31, for e = -2 … 4
_EXP_OF_POWERS = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)
_48_OVER_17 = 1515870810  # Q2.29
_MINUS_32_OVER_17 = -1010580540


def exp_on_negative(x: Any, integer_bits: int) -> Int64Array:
    """exp(x) for x <= 0. x has `integer_bits` integer bits (at most 5); the result is Q0.31."""
    x = np.asarray(x, np.int64)
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    low = (x & (quarter - 1)) - quarter
    result = _exp_above_minus_quarter(low << integer_bits)
    remainder = low - x
    for exponent, factor in _EXP_OF_POWERS:
        if integer_bits > exponent:
            bit = 1 << (fraction_bits + exponent)
            result = np.where(remainder & bit, high_multiply(result, factor), result)
    exact: Int64Array = np.where(x == 0, ONE, result)
    return exact


def _exp_above_minus_quarter(a: Int64Array) -> Int64Array:
    """exp(a) for a in [-1/4, 0), both in Q0.31: a Taylor series around -1/8."""
    x = a + (1 << 28)
    x2 = high_multiply(x, x)
    x3 = high_multiply(x2, x)
    x4 = high_multiply(x2, x2)
    higher = high_multiply(shift_right_rounding(x4, 2) + x3, _THIRD) + x2
    series = x + shift_right_rounding(higher, 1)
    return _EXP_OF_MINUS_EIGHTH + high_multiply(_EXP_OF_MINUS_EIGHTH, series)


def one_over_one_plus(a: Any) -> Int64Array:
    """1 / (1 + a) for a in [0, 1], both in Q0.31: three Newton-Raphson steps."""
    half = (np.asarray(a, np.int64) + ONE + 1) >> 1  # (1 + a) / 2, rounded away from zero
    x = _48_OVER_17 + high_multiply(half, _MINUS_32_OVER_17)
    for _ in range(3):
        rest = (1 << 29) - high_multiply(half, x)
        x = x + _shift_left(high_multiply(x, rest), 2)
    return _shift_left(x, 1)


def logistic(x: Any, integer_bits: int) -> Int64Array:
    """1 / (1 + exp(-x)) in Q0.31."""
    x = np.asarray(x, np.int64)
    of_positive = one_over_one_plus(exp_on_negative(-np.abs(x), integer_bits))
    result: Int64Array = np.where(x > 0, of_positive, ONE - of_positive)
    return np.where(x == 0, 1 << 30, result)


def _shift_left(values: Int64Array, shift: int) -> Int64Array:
    """Shift left with saturation to int32."""
    shifted: Int64Array = np.clip(values << shift, -(1 << 31), (1 << 31) - 1)
    return shifted
