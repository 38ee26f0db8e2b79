"""TFLite's quantization parameters: scales from ranges, and integer weights and biases.

    real activation = scale · (q - zero_point)      q in [-128, 127], one scale per tensor
    real weight     = scale[channel] · q            q in [-127, 127], one scale per output channel
                                                    (FULLY_CONNECTED: one scale in all)
    real bias       = input scale · weight scale[channel] · q      q int32

Needs only numpy, so that the conversion uses the same functions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

WEIGHT_MAX = 127
BIAS_MAX = 2.0**30  # half of int32's range, so that the bias alone cannot overflow the accumulator
FLOAT32_MARGIN = 1 + 2.0**-22  # because rounding to float32 may make a scale smaller
SCALE_MIN = 1e-12  # a channel whose weights are all zero still needs a scale above zero


def activation_parameters(low: Floats, high: Floats) -> tuple[Floats, npt.NDArray[np.int32]]:
    """Ranges (each of any shape) → scales and zero points; zero is made exactly representable."""
    low, high = np.minimum(low, np.float32(0)), np.maximum(high, np.float32(0))
    scale = np.maximum((high - low) / np.float32(255), np.float32(1e-8)).astype(np.float32)
    zero_point = np.clip(np.round(-128 - low / scale), -128, 127).astype(np.int32)
    return scale, zero_point


def weight_scales(weight: Floats, bias: Floats, input_scale: float, per_channel: bool) -> Floats:
    """One scale for each of `weight.shape[0]` channels (all equal unless `per_channel`).

    Weight decay can shrink a channel's weights to 1e-9. With a scale that small, the bias would
    saturate. So each scale is large enough that |bias| ≤ 2^30 · input scale · scale.
    """
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1).astype(np.float64) / WEIGHT_MAX
    floor = np.abs(bias).astype(np.float64) / (BIAS_MAX * input_scale) * FLOAT32_MARGIN
    scales = np.maximum(np.maximum(largest, floor), SCALE_MIN)
    if not per_channel:
        scales = np.full_like(scales, scales.max())
    return scales.astype(np.float32)


def integer_weights(weight: Floats, scales: Floats) -> npt.NDArray[np.int8]:
    """Weights (channels first) → int8."""
    shape = (-1,) + (1,) * (weight.ndim - 1)
    steps = np.round(weight / scales.reshape(shape))
    return np.clip(steps, -WEIGHT_MAX, WEIGHT_MAX).astype(np.int8)


def integer_bias(bias: Floats, input_scale: float, scales: Floats) -> npt.NDArray[np.int32]:
    """Biases → int32 in units of the accumulator."""
    steps = np.round(bias.astype(np.float64) / (float(input_scale) * scales.astype(np.float64)))
    return np.clip(steps, -(2.0**31), 2.0**31 - 1).astype(np.int32)
