"""Per-channel requantization for the kernels, in the form that runs fastest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyml.aot import quantize
from tinyml.aot.ir import Requant

# The limits of Requant.simple in kernels.h.
LEAST_SHIFT = -22
SIMPLE_ACCUMULATOR = 1 << 29


@dataclass(frozen=True, eq=False)
class Requantized:
    weights: npt.NDArray[np.int8]  # [channels, depth]
    requant: Requant


def requantization(
    weights: npt.NDArray[np.int8],
    bias: quantize.Int64Array,
    in_zero_point: int,
    factors: list[float],
    out_zero_point: int,
    table: quantize.Table | None,
) -> Requantized:
    """Fold the input's zero point into the bias; bring channels into simple form if possible.

    `weights` are [channels, depth]; `factors` are one unit of the accumulator in output steps. A
    channel whose output is the same for every input (a dead channel, whose tiny scale saturates its
    bias) gets zero weights and a bias that gives this output: one dead channel must not make a
    whole layer slow.
    """
    weights = weights.copy()
    wide = weights.astype(np.int64)
    pairs = [quantize.quantize_multiplier(f) for f in factors]
    multiplier = np.array([m for m, _ in pairs], np.int64)
    shift = np.array([s for _, s in pairs], np.int64)
    folded = bias - in_zero_point * wide.sum(axis=1)
    highest = folded + np.where(wide > 0, wide * 127, wide * -128).sum(axis=1)
    lowest = folded + np.where(wide > 0, wide * -128, wide * 127).sum(axis=1)

    def output(accumulator: quantize.Int64Array) -> quantize.Table:
        scaled = quantize.multiply(quantize.wrap32(accumulator), multiplier, shift)
        return quantize.to_int8(quantize.wrap32(scaled + out_zero_point))

    # The output is monotonic only if no value wraps.
    left = np.maximum(shift, 0)
    small = np.maximum(np.abs(highest), np.abs(lowest)) < (np.int64(1) << 31) >> left
    low_output = output(lowest)
    constant = (multiplier == 0) | (small & (low_output == output(highest)))
    weights[constant] = 0
    folded = np.where(constant, 4 * (low_output.astype(np.int64) - out_zero_point), folded)
    multiplier = np.where(constant, 1 << 30, multiplier)
    shift = np.where(constant, -1, shift)

    extent = np.abs(folded) + 128 * np.abs(weights.astype(np.int64)).sum(axis=1)
    # A channel with a shift to the left is computed by itself. Such a channel stands out: one unit
    # of its accumulator is more than a step of the output.
    is_simple = (shift > 0) | ((shift >= LEAST_SHIFT) & (extent < SIMPLE_ACCUMULATOR))
    simple = (2 if (shift < 0).all() else 1) if is_simple.all() else 0
    requant = Requant(quantize.wrap32(folded), multiplier, shift, out_zero_point, table, simple)
    return Requantized(weights, requant)
