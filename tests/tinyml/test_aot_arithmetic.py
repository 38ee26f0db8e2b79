"""The compiler and the training side each state TensorFlow Lite's integer arithmetic, one for
hostile files, one for whole tensors of a network in training: here they must agree."""

from __future__ import annotations

import numpy as np
import pytest

from pytorch_side.int8 import fixed_point
from tinyml.aot import quantize

NOISE = np.random.default_rng(7)


def test_multipliers_agree() -> None:
    factors = np.concatenate([np.exp(NOISE.uniform(-30, 8, 20_000)), [0.5, 1.0, 2.0**-32, 1e-12]])
    multipliers, shifts = fixed_point.quantize_multiplier(factors)
    expected = [quantize.quantize_multiplier(float(factor)) for factor in factors]
    assert list(zip(multipliers.tolist(), shifts.tolist(), strict=True)) == expected


def test_rescaling_agrees_and_rounds_halves_alike() -> None:
    x = NOISE.integers(-(1 << 22), 1 << 22, 50_000)
    x[:2000] = np.arange(-1000, 1000)
    multipliers = NOISE.integers(1 << 30, 1 << 31, x.size)
    multipliers[::2] = 1 << 30  # what gives the most halves
    shifts = NOISE.integers(-20, 5, x.size)
    ours = quantize.multiply(x, multipliers, shifts)
    assert np.array_equal(ours, fixed_point.multiply(x, multipliers, shifts))


def test_hard_swish_tables_agree() -> None:
    for _ in range(400):
        in_scale, ratio = np.float32(NOISE.uniform(0.005, 0.2)), NOISE.uniform(0.3, 1.5)
        out_scale = np.float32(in_scale * ratio)
        zeros = [int(z) for z in NOISE.integers(-128, 128, 2)]
        ours = quantize.hard_swish_table(float(in_scale), zeros[0], float(out_scale), zeros[1])
        theirs = fixed_point.hard_swish_table(in_scale, zeros[0], out_scale, zeros[1])
        assert ours is not None and np.array_equal(ours, theirs)


@pytest.mark.parametrize("activation", ["none", "relu", "relu6"])
def test_clamps_agree(activation: str) -> None:
    for _ in range(2000):
        scale, zero_point = np.float32(NOISE.uniform(0.001, 0.3)), int(NOISE.integers(-128, 128))
        theirs = fixed_point.activation_limits(activation, scale, zero_point)
        assert quantize.activation_range(activation.upper(), float(scale), zero_point) == theirs
