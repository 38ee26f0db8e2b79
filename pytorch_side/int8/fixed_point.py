"""TFLite's integer arithmetic: real factors as (multiplier, shift), and its kernels' rounding.

Formulas as in tensorflow/lite/kernels/internal/common.h and reference/hard_swish.h, in the variant
with two roundings, which TFLite Micro uses. Needs only numpy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
INT16_MIN, INT16_MAX = -(2**15), 2**15 - 1


def quantize_multiplier(real: npt.ArrayLike) -> tuple[Ints, Ints]:
    """Factors ≥ 0 → multipliers in [2^30, 2^31) and shifts: real = multiplier · 2^(shift - 31)."""
    fraction, shift = np.frexp(np.asarray(real, np.float64))
    # TfLiteRound rounds halves away from zero; fractions are positive.
    multiplier = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)
    carried = multiplier == 2**31
    multiplier, shift = np.where(carried, 2**30, multiplier), np.where(carried, shift + 1, shift)
    vanishing = shift < -31  # all bits would be shifted out
    return np.where(vanishing, 0, multiplier), np.where(vanishing, 0, shift).astype(np.int64)


def high_multiply(a: Ints, b: Ints | int, bits: int = 31) -> Ints:
    """a · b / 2^bits, halves up: SaturatingRoundingDoublingHighMul (31, or 15 for int16)."""
    product: Ints = (a * b + (1 << (bits - 1))) >> bits
    return product


def shift_right_rounding(x: Ints, shift: Ints | int) -> Ints:
    """x / 2^shift, rounded, halves away from zero: RoundingDivideByPOT."""
    half = (1 << np.asarray(shift, np.int64)) >> 1
    rounded: Ints = (x + half - np.where((x < 0) & (half > 0), 1, 0)) >> shift
    return rounded


def multiply(x: Ints, multiplier: Ints | int, shift: Ints | int) -> Ints:
    """x · multiplier · 2^(shift - 31): MultiplyByQuantizedMultiplier."""
    shift = np.asarray(shift, np.int64)
    raised = x << np.maximum(shift, 0)
    return shift_right_rounding(high_multiply(raised, multiplier), np.maximum(-shift, 0))


def mean_multiplier(real: float, count: int) -> tuple[int, int]:
    """Multiplier and shift of MEAN over `count` elements, the division folded in."""
    multiplier, shift = (int(v) for v in quantize_multiplier(real))
    extra = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << extra) // count, shift - extra


def activation_limits(activation: str, scale: np.float32, zero_point: int) -> tuple[int, int]:
    """A fused clamp in int8: the lowest and the highest value."""
    low = zero_point if activation in ("relu", "relu6") else -128
    high = 127
    if activation == "relu6":
        high = zero_point + int(np.floor(np.float32(6) / np.float32(scale) + np.float32(0.5)))
    return max(low, -128), min(high, 127)


def hard_swish_table(
    input_scale: np.float32, input_zero_point: int, output_scale: np.float32, output_zero_point: int
) -> npt.NDArray[np.int8]:
    """HARD_SWISH of every int8 input, -128 first: 16-bit fixed point, as in TFLite Micro's kernel.

    It divides the scales in float64. TFLite's own kernel divides them in float32; see
    kernels_differ.
    """
    output_factor, output_shift = _int16_factor(_hard_swish_ratio(input_scale, output_scale))
    gate_factor, gate_shift = _int16_factor(float(input_scale) / 128 / (3 / 32768))
    x = (np.arange(-128, 128, dtype=np.int64) - input_zero_point) << 7
    unshifted = high_multiply(x, output_factor, 15)
    # The gate: x in units where 3.0 is 2^15, saturated, brought from [-1, 1] to [0, 1].
    gate = _clip16(x << max(gate_shift - 1, 0))
    gate = high_multiply(gate, gate_factor, 15)
    gate = _clip16(gate << 1) if gate_shift > 0 else shift_right_rounding(gate, -gate_shift)
    gate = (gate + 2**15) >> 1
    product = gate * unshifted
    truncated = np.where(product < 0, -(-product >> 15), product >> 15)
    y = shift_right_rounding(truncated, -output_shift) + output_zero_point
    return y.clip(-128, 127).astype(np.int8)


def kernels_differ(input_scale: np.float32, output_scale: np.float32) -> bool:
    """Whether a HARD_SWISH's factor is not the same where scales are divided in float32.

    Of about 1,300 pairs of scales one is so near the middle between two 16-bit factors. The outputs
    of TFLite's and TFLite Micro's kernels may then differ by a step.
    """
    single = np.float32(input_scale) / np.float32(128) / np.float32(output_scale)
    ratio = _hard_swish_ratio(input_scale, output_scale)
    return _int16_factor(float(single)) != _int16_factor(ratio)


def _hard_swish_ratio(input_scale: np.float32, output_scale: np.float32) -> float:
    return float(input_scale) / 128 / float(output_scale)


def _int16_factor(real: float) -> tuple[int, int]:
    """A factor with a 16-bit multiplier."""
    multiplier, shift = (int(v) for v in quantize_multiplier(real))
    if multiplier >= 2**31 - 1 - 2**15:
        return INT16_MAX, shift
    return (multiplier + 2**15) >> 16, shift


def _clip16(x: Ints) -> Ints:
    return x.clip(INT16_MIN, INT16_MAX)
