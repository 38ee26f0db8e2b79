"""The integers of the exact mode are those of TFLite's formulas, worked one value at a time."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from pytorch_side.int8.fakequant import QuantNet
from pytorch_side.int8.fixed_point import (
    activation_limits,
    hard_swish_table,
    mean_multiplier,
    multiply,
    quantize_multiplier,
)
from pytorch_side.int8.integer_net import CARRIED_MAX, ExactNet, IntegerNet
from pytorch_side.int8.legalize import INPUT, LegalNet, NetStep, legalize
from pytorch_side.int8.qparams import integer_bias, integer_weights
from pytorch_side.nets.models import timm_package
from tinyml.format.writer import GraphWriter

Grid = tuple[float, int]  # scale and zero point of a tensor
Int8s = npt.NDArray[np.int8]
OTHER = "other"  # the second input of ADD and MUL
FUSED = {"none": 0, "relu": 1, "relu6": 3}  # as a .tflite numbers them
EVERY = np.arange(-128, 128).astype(np.int8)


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


def test_multipliers_are_normalized() -> None:
    real = np.array([0.25, 0.9999999999, 1.0, 3.7, 1e-4, 1e-12, 0.0])
    multiplier, shift = quantize_multiplier(real)
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


def one_step(step: NetStep, grids: dict[str, Grid], layer: nn.Module | None = None) -> QuantNet:
    """A network that is `step` alone, its tensors on `grids`."""
    steps = [NetStep(OTHER, "mean", (INPUT,)), step] if OTHER in step.inputs else [step]
    net = QuantNet(LegalNet(steps, {step.name: layer} if layer else {}))
    for name, (scale, zero) in grids.items():
        net.low[net.index[name]] = (-128 - zero) * scale
        net.high[net.index[name]] = (127 - zero) * scale
    return net


def weighted(
    step: NetStep, grids: dict[str, Grid], weight: npt.ArrayLike, bias: npt.ArrayLike
) -> QuantNet:
    """The same for a step with real weights (channels first) and biases."""
    layer = nn.Linear(1, 1) if step.operator == "linear" else nn.Conv2d(1, 1, 1)
    layer.weight = nn.Parameter(torch.tensor(np.asarray(weight), dtype=torch.float32))
    layer.bias = nn.Parameter(torch.tensor(np.asarray(bias), dtype=torch.float32))
    return one_step(step, grids, layer)


def differing(net: QuantNet, *inputs: Int8s) -> int:
    """In how many elements a network of one step differs from TFLite Micro; inputs (1, h, w, C)."""
    step = net.legal.steps[-1]
    centered = [
        torch.from_numpy(x.astype(np.float32) - float(net.parameters_of(name)[1]))
        for name, x in zip(step.inputs, inputs, strict=True)
    ]
    own = IntegerNet(net).step(
        step.name, [x.permute(0, 3, 1, 2) if x.ndim == 4 else x for x in centered]
    )
    own = (own.permute(0, 2, 3, 1) if own.ndim == 4 else own) + int(net.parameters_of(step.name)[1])
    wanted = by_tflite_micro(net, inputs, tuple(own.shape))
    assert len(np.unique(wanted)) > 1  # a saturated output would hide everything
    return int((own.numpy() != wanted).sum())


def by_tflite_micro(net: QuantNet, inputs: tuple[Int8s, ...], shape: tuple[int, ...]) -> Int8s:
    """What TFLite Micro's interpreter makes of a .tflite with the last step of `net` alone."""
    from tflite_micro.python.tflite_micro import runtime

    step, writer = net.legal.steps[-1], GraphWriter()

    def grid(name: str) -> Grid:
        scale, zero = net.parameters_of(name)
        return float(scale), int(zero)

    tensors = [
        writer.activation(x.shape, *grid(name)) for name, x in zip(step.inputs, inputs, strict=True)
    ]
    writer.graph.inputs = list(tensors)
    output, fused = writer.activation(shape, *grid(step.name)), FUSED[step.activation]
    if step.has_weights:
        layer, scales = net.legal.layers[step.name], net.weight_scales_of(step)
        weight = integer_weights(layer.weight.detach().numpy(), scales)
        bias = integer_bias(layer.bias.detach().numpy(), grid(step.inputs[0])[0], scales)
        if step.operator == "linear":
            writer.fully_connected(tensors[0], weight, scales[:1].tolist(), bias, output, fused)
        else:
            order = (0, 2, 3, 1) if step.operator == "conv" else (1, 2, 3, 0)
            write = writer.conv if step.operator == "conv" else writer.depthwise
            stride, channels_last = (step.stride, step.stride), weight.transpose(order)
            write(
                tensors[0], channels_last, scales.tolist(), bias, output, stride, activation=fused
            )
    elif step.operator in ("add", "mul"):
        writer.pair(step.operator.upper(), tensors[0], tensors[1], output, fused)
    elif step.operator == "mean":
        writer.mean(tensors[0], output)
    else:
        writer.hard_swish(tensors[0], output)
    arena_bytes = (1 << 17) + 2 * (sum(x.size for x in inputs) + int(np.prod(shape)))
    interpreter = runtime.Interpreter.from_bytes(writer.finish(output), arena_size=arena_bytes)
    for number, x in enumerate(inputs):
        interpreter.set_input(np.ascontiguousarray(x), number)
    interpreter.invoke()
    answer: Int8s = interpreter.get_output(0)
    return answer


def on_grids(draw: np.random.Generator, **scales: float) -> dict[str, Grid]:
    """Tensors' scales, and a zero point for each."""
    return {name: (scale, int(draw.integers(-100, 100))) for name, scale in scales.items()}


# Scales in sixty-fourths: sums and products of their steps then fall on halves again and again.
HALVES = ((3, 1, 2), (1, 3, 6), (2, 2, 4), (5, 3, 7), (1, 1, 3))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("operator", ["add", "mul"])
def test_every_pair_is_added_and_multiplied_as_on_the_board(operator: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    if seed < len(HALVES):
        first, second, third = (n / 64 for n in HALVES[seed])
        third = third if operator == "add" else third / 2
    else:
        first, second = draw.uniform(0.005, 0.1, 2)
        usual = max(first, second) if operator == "add" else 90 * first * second
        third = draw.uniform(0.7, 2) * usual
    step = NetStep("y", operator, (INPUT, OTHER), ("none", "relu", "relu6")[seed % 3])
    net = one_step(step, on_grids(draw, image=first, other=second, y=third))
    pairs = np.meshgrid(EVERY, EVERY)
    assert differing(net, *(side[None, :, :, None] for side in pairs)) == 0


@pytest.mark.parametrize("side", [(1, 1), (2, 3), (3, 3), (5, 5), (6, 6), (7, 7)])
def test_every_mean_is_the_boards(side: tuple[int, int]) -> None:
    """Over all sums there are, a channel each; ratios of scales that fall on halves, and others."""
    count, draw = side[0] * side[1], np.random.default_rng(side)
    level, rest = np.divmod(np.arange(-128 * count, 127 * count + 1), count)
    pixels = level + (np.arange(count)[:, None] < rest)
    pixels = pixels.reshape(1, *side, -1).astype(np.int8)
    for ratio in (1.0, 1.5, *draw.uniform(0.5, 2, 6)):
        net = one_step(NetStep("y", "mean", (INPUT,)), on_grids(draw, image=ratio / 64, y=1 / 64))
        assert differing(net, pixels) == 0


@pytest.mark.parametrize("operator", ["conv", "depthwise", "linear"])
def test_accumulators_beside_a_half_round_as_on_the_board(operator: str) -> None:
    """Accumulators of 2^30 by the bias, so that a factor's last bits decide; inputs sweep by ones.

    A product of scales in float32, as older TFLite Micros had it in FULLY_CONNECTED, moves a half
    by up to 64.
    """
    draw = np.random.default_rng(3)
    for _ in range(8):
        scale, output_scale = draw.uniform(0.005, 0.1, 2)
        grids = {INPUT: (scale, int(draw.integers(-50, 50))), "y": (output_scale, 5)}
        halves = np.concatenate([np.arange(-120, -60), np.arange(60, 120)]) + 0.5
        biases = halves * np.float32(output_scale)
        # The least weight that is not 0: the bias alone sets the scale (scheme.weight_scales).
        weight = np.full((len(biases), 1), np.abs(biases).max() / 2**30 / scale)
        depthwise, linear = operator == "depthwise", operator == "linear"
        step = NetStep("y", operator, (INPUT,), groups=len(biases) if depthwise else 1)
        net = weighted(step, grids, weight if linear else weight[..., None, None], biases)
        sweep = EVERY.reshape((256, 1) if linear else (1, 16, 16, 1))
        fed = np.repeat(sweep, len(biases), axis=3) if depthwise else sweep
        assert differing(net, fed) == 0


@pytest.mark.parametrize("operator", ["conv", "depthwise", "linear"])
def test_weighted_layers_are_the_boards(operator: str) -> None:
    draw = np.random.default_rng(4)
    for number in range(12):
        depth, channels = draw.integers(2, 30, 2)
        side, groups = (1, 3, 5)[number % 3], channels if operator == "depthwise" else 1
        window = () if operator == "linear" else (side, side)
        weight = draw.normal(size=(channels, 1 if operator == "depthwise" else depth, *window))
        activation = ("none", "relu", "relu6")[number // 2 % 3]
        step = NetStep("y", operator, (INPUT,), activation, 1 + number % 2, groups)
        output_scale = 0.02 * weight[0].size ** 0.5
        grids = on_grids(draw, image=0.02, y=output_scale)
        net = weighted(step, grids, weight, draw.normal(size=channels))
        last = channels if operator == "depthwise" else depth
        shape = (50, last) if operator == "linear" else (1, 9, 8, last)
        assert differing(net, draw.integers(-128, 128, shape).astype(np.int8)) == 0


def test_factors_above_one_are_shifted_as_on_the_board() -> None:
    """Channels that shift to the left, to the right and not at all, in one convolution."""
    draw = np.random.default_rng(5)
    scales = 2.0 ** draw.uniform(-3, 3, 64)
    weight = scales[:, None] * [127.0, 1.0]  # the second sweeps, the first is fed zeros
    grids = {INPUT: (0.05, -7), "y": (0.05, 3)}
    net = weighted(NetStep("y", "conv", (INPUT,)), grids, weight[..., None, None], 0.4 * scales)
    fed = np.stack([np.full(256, -7, np.int8), EVERY], axis=1).reshape(1, 16, 16, 2)
    assert differing(net, fed) == 0


def test_relu6_ends_where_the_boards_ends() -> None:
    """Among the scales are those of which 6 is so many steps and a half."""
    draw, halves = np.random.default_rng(6), 0
    for steps in range(1, 200):
        scale = draw.uniform(0.03, 1) if steps % 4 == 0 else 12 / (2 * steps + 1)
        grids = {INPUT: (8.0, 0), OTHER: (8.0, 0), "y": (scale, int(draw.integers(-128, 100)))}
        net = one_step(NetStep("y", "add", (INPUT, OTHER), "relu6"), grids)
        halves += np.float32(6) / net.parameters_of("y")[0] % 1 == 0.5
        fed = np.array([-128, -1, 0, 1, 127], np.int8).reshape(1, 5, 1, 1)
        assert differing(net, fed, fed) == 0
    assert halves > 50


def test_hard_swish_is_the_boards() -> None:
    draw = np.random.default_rng(7)
    for _ in range(60):
        scale = np.exp(draw.uniform(-6, -1.5))
        grids = on_grids(draw, image=scale, y=scale * draw.uniform(0.5, 1.5))
        net = one_step(NetStep("y", "hard_swish", (INPUT,)), grids)
        assert differing(net, EVERY.reshape(1, 16, 16, 1)) == 0


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
    from pytorch_side.int8 import integer_net as integer

    original = integer._requantizer

    def spying(*arguments: object) -> object:
        finish = original(*arguments)  # type: ignore[arg-type]

        def spy(acc: torch.Tensor) -> torch.Tensor:
            seen.append(acc.clone())
            return finish(acc)

        return spy

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(integer, "_requantizer", spying)
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

    def seconds(run: Callable[[torch.Tensor], object]) -> float:
        start = time.process_time()
        with torch.inference_mode():
            run(batch)
        return time.process_time() - start

    tries = [(seconds(exact), seconds(net.legal)) for _ in range(6)]
    assert min(own for own, _ in tries) <= 10 * min(real for _, real in tries)
