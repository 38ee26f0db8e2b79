"""The integers of the exact mode are those of TFLite's formulas, worked one value at a time."""

from __future__ import annotations

import copy
import time

import numpy as np
import pytest
import torch

from pytorch_side.fixed_point import (
    activation_limits,
    hard_swish_table,
    mean_multiplier,
    multiply,
    quantise_multiplier,
)
from pytorch_side.integer import CARRIED_MAX, ExactNet, IntegerNet
from pytorch_side.legalize import LegalNet, legalize
from pytorch_side.models import timm_package


def rounding_divide(x: int, exponent: int) -> int:
    """x / 2^exponent to the nearest, halves away from zero, on Python's integers."""
    magnitude = (abs(x) + ((1 << exponent) >> 1)) >> exponent
    return magnitude if x >= 0 else -magnitude


def doubling_high(a: int, b: int) -> int:
    """2ab / 2^32 with TFLite's nudge, and C's division that cuts towards zero."""
    product = a * b
    nudged = product + ((1 << 30) if product >= 0 else 1 - (1 << 30))
    return nudged // (1 << 31) if nudged >= 0 else -(-nudged // (1 << 31))


@pytest.mark.parametrize("shift", [-20, -7, -1, 0, 2])
def test_multiply_rounds_twice_as_tflite_does(shift: int) -> None:
    draw = np.random.default_rng(shift + 50)
    x = draw.integers(-(2**24), 2**24, 3000)
    x[:7] = [0, 1, -1, 2**20, -(2**20), 3 << 6, -(3 << 6)]
    for multiplier in (1 << 30, (1 << 31) - 1, int(draw.integers(1 << 30, 1 << 31))):
        wanted = [
            rounding_divide(doubling_high(int(v) << max(shift, 0), multiplier), max(-shift, 0))
            for v in x
        ]
        assert multiply(x, multiplier, shift).tolist() == wanted


def test_multipliers_are_normalised() -> None:
    real = np.array([0.25, 0.9999999999, 1.0, 3.7, 1e-4, 1e-12, 0.0])
    multiplier, shift = quantise_multiplier(real)
    assert multiplier[:5].min() >= 1 << 30 and multiplier.max() < 1 << 31
    assert np.allclose(multiplier[:5] * 2.0 ** (shift[:5] - 31), real[:5], rtol=1e-9)
    assert multiplier[5] == multiplier[6] == 0  # too small to shift: flushed


def test_mean_multiplier_divides() -> None:
    for count in (1, 4, 9, 36, 144, 12544):
        multiplier, shift = mean_multiplier(0.37, count)
        assert multiplier < 1 << 31
        assert multiplier * 2.0 ** (shift - 31) == pytest.approx(0.37 / count, rel=1e-8)


@pytest.mark.parametrize("high", [1.0, 6.0, 40.0, 200.0])
def test_hard_swish_table_is_near_the_function(high: float) -> None:
    scale = np.float32((high + high / 2) / 255)
    zero = round(-128 + high / 2 / scale)
    x = (np.arange(-128, 128) - zero) * scale
    y = x * np.clip(x + 3, 0, 6) / 6
    out_scale = np.float32((y.max() - y.min()) / 255)
    out_zero = round(-128 - y.min() / out_scale)
    wanted = np.clip(np.round(y / out_scale) + out_zero, -128, 127)
    assert np.abs(hard_swish_table(scale, zero, out_scale, out_zero) - wanted).max() <= 1


def test_fused_clamps_in_int8() -> None:
    assert activation_limits("none", np.float32(0.1), -5) == (-128, 127)
    assert activation_limits("relu", np.float32(0.1), -5) == (-5, 127)
    assert activation_limits("relu6", np.float32(0.1), -5) == (-5, 55)
    assert activation_limits("relu6", np.float32(0.01), -128) == (-128, 127)


@pytest.fixture(scope="module")
def legal() -> LegalNet:
    torch.manual_seed(0)
    model = timm_package().create_model("tf_mobilenetv3_small_100", num_classes=4)
    return legalize(model.eval())


def images(count: int, size: int = 48, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.randint(-128, 128, (count, 3, size, size)) / 128


@pytest.fixture
def net(legal: LegalNet) -> ExactNet:
    net = ExactNet(copy.deepcopy(legal), exact_after=0)
    net.calibrate([images(8)])
    return net


def test_training_on_integers_sees_the_boards_logits(net: ExactNet) -> None:
    batch = images(4, seed=5)
    scored = net.eval()(batch)
    trained = net.train()(batch)
    assert torch.equal(scored, trained.detach())
    trained.square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    assert sum(bool(p.grad.abs().sum()) for p in net.parameters() if p.grad is not None) > 100


def test_logits_do_not_depend_on_the_batch(net: ExactNet) -> None:
    exact = IntegerNet(net)
    batch = images(11, seed=6)
    alone = np.concatenate([exact.logits(batch[i : i + 1]) for i in range(11)])
    assert np.array_equal(exact.logits(batch), alone)


def test_accumulators_beyond_float32_are_split(net: ExactNet) -> None:
    """A layer whose sums pass 2^24 must still be exact: compare with float64."""
    step = next(s for s in net.legal.steps if s.name == "conv_head")
    layer = net.legal.layers["conv_head"]
    with torch.no_grad():
        layer.weight.copy_(layer.weight.sign() * 0.1 + 1e-4 * torch.randn_like(layer.weight))
        layer.weight.abs_()
    x = torch.full((1, layer.in_channels, 1, 1), 255.0)
    x[0, ::7] = 254
    bound = 255 * 127 * layer.in_channels
    assert bound > CARRIED_MAX
    net.low[net.index["conv_head"]], net.high[net.index["conv_head"]] = 0.0, 5e3
    net.low[net.index["global_pool"]], net.high[net.index["global_pool"]] = 0.0, 6.0
    seen: list[torch.Tensor] = []
    from pytorch_side import integer

    original = integer._requantiser

    def spying(*arguments: object) -> object:
        finish = original(*arguments)  # type: ignore[arg-type]

        def spy(acc: torch.Tensor) -> torch.Tensor:
            seen.append(acc.clone())
            return finish(acc)

        return spy

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(integer, "_requantiser", spying)
        run = integer._prepare_weighted(net, step)
    run([x])
    scales = net.weight_scales_of(step)
    weights = integer.integer_weights(layer.weight.detach().numpy(), scales).astype(np.int64)
    sums = (weights[:, :, 0, 0] * x[0, :, 0, 0].numpy().astype(np.int64)).sum(1)
    biases = integer.integer_bias(
        layer.bias.detach().numpy(), float(net.parameters_of("global_pool")[0]), scales
    )
    assert sums.max() > CARRIED_MAX
    assert np.array_equal(seen[0][0, :, 0, 0].numpy(), sums + biases)


def test_a_pass_costs_at_most_ten_float_ones(net: ExactNet) -> None:
    batch = images(32, size=96)
    exact = IntegerNet(net)

    def fastest(run: object) -> float:
        times = []
        for _ in range(3):
            start = time.process_time()
            with torch.inference_mode():
                run(batch)  # type: ignore[operator]
            times.append(time.process_time() - start)
        return min(times)

    assert fastest(exact) <= 10 * fastest(net.legal)
