"""The compiler and the training side each state TensorFlow Lite's integer arithmetic, one for
hostile files, one for whole tensors of a network in training: here they must agree."""

from __future__ import annotations

import numpy as np
import pytest

from pytorch_side.int8 import fixed_point
from tinyml.aot import quantize
from tinyml.format.writer import GraphWriter
from tinyml.runtimes.litert import LiteRT
from tinyml.runtimes.tflite_micro import Micro


@pytest.fixture
def noise() -> np.random.Generator:
    """Each test's own, so that one run alone draws the same."""
    return np.random.default_rng(7)


def test_multipliers_agree(noise: np.random.Generator) -> None:
    factors = np.concatenate([np.exp(noise.uniform(-30, 8, 20_000)), [0.5, 1.0, 2.0**-32, 1e-12]])
    multipliers, shifts = fixed_point.quantize_multiplier(factors)
    expected = [quantize.quantize_multiplier(float(factor)) for factor in factors]
    assert list(zip(multipliers.tolist(), shifts.tolist(), strict=True)) == expected


def test_multipliers_of_means_agree(noise: np.random.Generator) -> None:
    counts = [1, 2, 9, 49, 7056, *noise.integers(1, 1 << 20, 5000).tolist()]
    factors = [0.5, 1.0, 2.0**-32, *np.exp(noise.uniform(-30, 8, len(counts) - 3)).tolist()]
    for factor, count in zip(factors, counts, strict=True):
        theirs = fixed_point.mean_multiplier(factor, count)
        assert quantize.mean_multiplier(factor, count) == theirs


def test_rescaling_agrees_and_rounds_halves_alike(noise: np.random.Generator) -> None:
    x = noise.integers(-(1 << 22), 1 << 22, 50_000)
    x[:2000] = np.arange(-1000, 1000)
    multipliers = noise.integers(1 << 30, 1 << 31, x.size)
    multipliers[::2] = 1 << 30  # what gives the most halves
    shifts = noise.integers(-20, 5, x.size)
    ours = quantize.multiply(x, multipliers, shifts)
    assert np.array_equal(ours, fixed_point.multiply(x, multipliers, shifts))


def test_hard_swish_tables_agree(noise: np.random.Generator) -> None:
    for _ in range(400):
        in_scale, ratio = np.float32(noise.uniform(0.005, 0.2)), noise.uniform(0.3, 1.5)
        out_scale = np.float32(in_scale * ratio)
        zeros = [int(z) for z in noise.integers(-128, 128, 2)]
        ours = quantize.hard_swish_table(float(in_scale), zeros[0], float(out_scale), zeros[1])
        theirs = fixed_point.hard_swish_table(in_scale, zeros[0], out_scale, zeros[1])
        assert ours is not None and np.array_equal(ours, theirs)


def test_hard_swish_is_tflite_micros_where_tflites_differs() -> None:
    """Seen: a trained network whose answers were three steps off those of TFLite Micro."""
    draw, every = np.random.default_rng(0), np.arange(-128, 128).astype(np.int8)
    pairs: list[tuple[np.float32, np.float32]] = [(np.float32(0.08245488), np.float32(0.05546531))]
    while len(pairs) < 25:
        in_scale = np.float32(draw.uniform(0.01, 0.1))
        out_scale = np.float32(in_scale * draw.uniform(0.4, 0.9))
        if fixed_point.kernels_differ(in_scale, out_scale):
            pairs.append((in_scale, out_scale))
    elsewhere = 0
    for in_scale, out_scale in pairs:
        writer = GraphWriter()
        x = writer.input((1, 16, 16, 1), float(in_scale), -51)
        y = writer.activation((1, 16, 16, 1), float(out_scale), -126)
        model = writer.finish(writer.hard_swish(x, y))
        micro = Micro(model).run(every.reshape(16, 16, 1)).ravel()
        ours = quantize.hard_swish_table(float(in_scale), -51, float(out_scale), -126)
        assert ours is not None and np.array_equal(ours, micro), (in_scale, out_scale)
        assert np.array_equal(fixed_point.hard_swish_table(in_scale, -51, out_scale, -126), micro)
        lite = LiteRT(model).run(every.reshape(16, 16, 1)).ravel()
        assert np.abs(lite.astype(int) - micro).max() <= 1
        elsewhere += not np.array_equal(lite, micro)
    assert elsewhere > 5, "for these scales the kernels differ"


@pytest.mark.parametrize("activation", ["none", "relu", "relu6"])
def test_clamps_agree(activation: str, noise: np.random.Generator) -> None:
    for _ in range(2000):
        scale, zero_point = np.float32(noise.uniform(0.001, 0.3)), int(noise.integers(-128, 128))
        theirs = fixed_point.activation_limits(activation, scale, zero_point)
        assert quantize.activation_limits(activation.upper(), float(scale), zero_point) == theirs
