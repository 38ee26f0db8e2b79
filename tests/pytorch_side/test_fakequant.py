"""Fake quantization keeps to TFLite's grid, lets gradients through, and survives dead channels."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from pytorch_side.int8 import fakequant
from pytorch_side.int8.fakequant import CLIPPED, QuantNet, ranges_record, usual_range
from pytorch_side.int8.fixed_point import kernels_differ
from pytorch_side.int8.legalize import INPUT, LegalNet, legalize
from pytorch_side.int8.qparams import (
    activation_parameters,
    integer_bias,
    integer_weights,
    weight_scales,
)
from pytorch_side.nets.models import timm_package
from swin2mcu.common.cli import UserError


@pytest.fixture(scope="module")
def legal() -> LegalNet:
    torch.manual_seed(0)
    model = timm_package().create_model("tf_mobilenetv3_small_100", num_classes=4)
    return legalize(model.eval())


@pytest.fixture
def net(legal: LegalNet) -> QuantNet:
    net = QuantNet(copy.deepcopy(legal))
    net.calibrate(images(seed) for seed in range(3))
    return net


def images(seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.randint(-128, 128, (4, 3, 48, 48)) / 128


def test_input_is_the_contracts(net: QuantNet) -> None:
    scale, zero_point = net.parameters_of(INPUT)
    assert scale == 1 / 128 and zero_point == 0
    net.train()(images(0))  # observing must not move it
    assert net.parameters_of(INPUT) == (np.float32(1 / 128), 0)


def test_a_mean_over_one_pixel_has_its_inputs_grid(legal: LegalNet) -> None:
    """The converter drops it, so a range of its own would be lost; ranges follow in training."""
    net, small = QuantNet(copy.deepcopy(legal)), images(0)[:, :, :32, :32]
    step = next(s for s in net.legal.steps if s.name == "global_pool")
    # A hard-swish that spans so little that its range is widened: the mean takes the wide one.
    before = net.legal.layers[net.swished[step.inputs[0]]]
    with torch.no_grad():
        before.weight.mul_(1e-3)
        before.bias[0] = -117.0
    net.calibrate([small])
    assert net.high[net.index[step.inputs[0]]] < net._range(step.inputs[0])[1]
    assert net.parameters_of(step.name) == net.parameters_of(step.inputs[0])
    net.train()(small)
    assert net.parameters_of(step.name) == net.parameters_of(step.inputs[0])
    wide = next(s for s in net.legal.steps if s.operator == "mean")  # of 8 x 8 pixels
    assert net.parameters_of(wide.name) != net.parameters_of(wide.inputs[0])


@pytest.mark.parametrize("low,high", [(-1.0, 3.0), (0.2, 5.0), (-4.0, -1.0), (0.0, 0.0)])
def test_zero_is_on_every_grid(low: float, high: float) -> None:
    scale, zero_point = activation_parameters(np.float32(low), np.float32(high))
    assert scale > 0 and -128 <= zero_point <= 127
    assert (-128 - zero_point) * scale <= min(low, 0) + scale / 2
    assert (127 - zero_point) * scale >= max(high, 0) - scale / 2 - 1e-6


def test_activations_lie_on_the_grid_after_the_clamp(net: QuantNet) -> None:
    y = torch.linspace(-20, 20, 999)
    scale, zero_point = net.parameters_of("conv_stem")
    steps = net.rounded("conv_stem", y) / float(scale) + int(zero_point)
    assert torch.allclose(steps, steps.round(), atol=1e-3)
    assert steps.min() >= -128.01 and steps.max() <= 127.01


def test_weights_have_a_scale_a_channel_but_one_in_the_classifier(net: QuantNet) -> None:
    for step in net.legal.steps:
        if step.has_weights:
            scales = net.weight_scales_of(step)
            assert len(scales) == len(net.legal.layers[step.name].weight)
            assert (len(set(scales.tolist())) == 1) == (step.operator == "linear")


def test_rounded_weights_are_the_integers_times_scale(net: QuantNet) -> None:
    for step in net.legal.steps:
        if step.has_weights:
            scales = net.weight_scales_of(step)
            layer = net.legal.layers[step.name]
            stored = integer_weights(layer.weight.detach().numpy(), scales)
            assert stored.min() >= -127
            shape = (-1,) + (1,) * (stored.ndim - 1)
            weight, _ = net.rounded_weights(step)
            wanted = stored * scales.reshape(shape)
            assert np.allclose(weight.detach().numpy(), wanted, rtol=1e-5, atol=0)


def test_dead_channels_cannot_saturate_the_bias() -> None:
    weight = np.full((3, 8), 0.5, np.float32)
    weight[1] = 1e-9
    weight[2] = 0
    bias = np.array([0.1, 0.4, -0.4], np.float32)
    scales = weight_scales(weight, bias, input_scale=0.02, per_channel=True)
    stored = integer_bias(bias, 0.02, scales)
    assert np.all(np.abs(stored.astype(np.float64)) <= 2.0**30)
    assert np.allclose(stored * 0.02 * scales.astype(np.float64), bias, rtol=1e-5)
    # Without the floor the second channel's bias does not fit.
    unfloored = integer_bias(bias, 0.02, np.float32(np.abs(weight).max(axis=1) / 127 + 1e-30))
    assert not np.allclose(unfloored[1] * 0.02 * 1e-9 / 127, bias[1], rtol=0.1)


def test_gradients_reach_every_weight(net: QuantNet) -> None:
    net.train()(images(1)).square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert sum(bool(p.grad.abs().sum()) for p in net.parameters() if p.grad is not None) > 100


def test_ranges_follow_batches_until_they_are_frozen(net: QuantNet) -> None:
    net.freeze_after = 2
    net.train()
    seen = [net.high.clone()]
    for seed in range(4):
        net(images(10 + seed) * 0.5)
        seen.append(net.high.clone())
    assert not torch.equal(seen[0], seen[1]) and not torch.equal(seen[1], seen[2])
    assert torch.equal(seen[2], seen[3]) and torch.equal(seen[3], seen[4])
    net.eval()(images(20))
    assert torch.equal(net.high, seen[-1]) and int(net.seen) == 4


def test_a_range_leaves_out_the_values_that_lie_farthest_out() -> None:
    values = torch.arange(10_000.0).reshape(10, 10, 100) - 5_000
    values[3, 4, 5], values[6, 7, 8] = -1e6, 1e6
    low, high = usual_range(values, CLIPPED)
    assert (float(low), float(high)) == (-4_999, 4_998), "two values at each end"
    assert usual_range(values, 0.0) == (-1e6, 1e6)
    few = torch.tensor([-7.0, 0.0, 9.0])
    assert usual_range(few, CLIPPED) == (-7, 9), "of few values none"


def test_no_logit_is_clipped(legal: LegalNet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakequant, "CLIPPED", 0.2)
    net, seen = QuantNet(copy.deepcopy(legal)), {}
    net.calibrate([images(0)])
    with torch.no_grad():
        net.legal.run(images(0), lambda name, y: seen.setdefault(name, y))
    inner, output = net.names[-2:]
    assert net.high[net.index[inner]] < seen[inner].max()
    assert net.high[-1] == seen[output].max() and net.low[-1] == seen[output].min()


def test_record_holds_every_tensor_and_all_weights(net: QuantNet) -> None:
    record = ranges_record(net)
    assert list(record["activations"]) == list(net.names)
    for name, entry in record["activations"].items():
        assert np.float32(entry["scale"]) == net.parameters_of(name)[0]
    assert set(record["weights"]) == set(net.legal.layers)


def test_a_hard_swish_has_a_scale_that_the_interpreter_takes(net: QuantNet) -> None:
    """Input from -117 to 1: the output spans so little that TFLite Micro would refuse it."""
    name, source = next(iter(net.swished.items()))
    net.low[net.index[source]], net.high[net.index[source]] = -117.0, 1.0
    net.low[net.index[name]], net.high[net.index[name]] = -0.3, 0.1
    scale, zero_point = net.parameters_of(name)
    source_scale, source_zero_point = net.parameters_of(source)
    source_affine = float(source_scale), int(source_zero_point)
    assert hard_swish_runs(source_affine, (float(scale), int(zero_point)))
    # As it would be without the clamp.
    narrow, zero = activation_parameters(np.float32(-0.3), np.float32(0.1))
    assert not hard_swish_runs(source_affine, (float(narrow), int(zero)))
    # Where the range is wide enough it is left alone.
    net.low[net.index[name]], net.high[net.index[name]] = -0.375, 2.5
    wide, _ = activation_parameters(np.float32(-0.375), np.float32(2.5))
    assert net.parameters_of(name)[0] == wide


def test_a_hard_swish_runs_whatever_its_ranges(net: QuantNet) -> None:
    """Before the clamp, one of twenty of such pairs was refused."""
    from tinyml.aot.quantize import hard_swish_table

    draw, refused = np.random.default_rng(0), 0
    name, source = next(iter(net.swished.items()))
    for _ in range(2000):
        low, high = -(10 ** draw.uniform(-1, 2.5)), 10 ** draw.uniform(-1, 2.5)
        net.low[net.index[source]], net.high[net.index[source]] = low, high
        # What hard-swish makes of that range: its minimum is -0.375, at -1.5.
        net.low[net.index[name]] = -0.375 if low < -1.5 else low * (low + 3) / 6
        net.high[net.index[name]] = high * min(high + 3, 6) / 6
        into = [(float(s), int(z)) for s, z in map(net.parameters_of, (source, name))]
        assert hard_swish_table(*into[0], *into[1]) is not None, (low, high)
        raw = (net.low[net.index[name]].item(), net.high[net.index[name]].item())
        scale, zero_point = activation_parameters(*map(np.float32, raw))
        refused += hard_swish_table(*into[0], float(scale), int(zero_point)) is None
    assert refused > 20, "without the clamp some are refused"


def test_a_hard_swish_has_scales_for_which_all_kernels_agree(net: QuantNet) -> None:
    draw, differed = np.random.default_rng(0), 0
    name, source = next(iter(net.swished.items()))
    net.low[net.index[source]], net.low[net.index[name]] = -4.0, -0.375
    for _ in range(10_000):
        high = draw.uniform(1, 12)
        net.high[net.index[source]], net.high[net.index[name]] = high, high * draw.uniform(0.5, 1)
        raw, _ = activation_parameters(np.float32(-0.375), net.high[net.index[name]].numpy())
        source_scale, scale = net.parameters_of(source)[0], net.parameters_of(name)[0]
        assert not kernels_differ(source_scale, scale)
        differed += kernels_differ(source_scale, raw)
        assert raw <= scale < 1.001 * raw
    assert differed > 2, "without the mend some differ"


def hard_swish_runs(source: tuple[float, int], result: tuple[float, int]) -> bool:
    """Whether the interpreter takes a HARD_SWISH; the compiler must agree with it."""
    from tinyml.aot.quantize import hard_swish_table
    from tinyml.format.writer import GraphWriter
    from tinyml.runtimes.tflite_micro import open_interpreter

    writer = GraphWriter()
    x = writer.input((1, 1, 1, 4), *source)
    model = writer.finish(writer.hard_swish(x, writer.activation((1, 1, 1, 4), *result)))
    try:
        open_interpreter(model)
        runs = True
    except UserError:
        runs = False
    assert runs == (hard_swish_table(*source, *result) is not None)
    return runs
