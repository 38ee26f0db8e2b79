"""The exact mode: a quantized network in TFLite Micro's own integers, byte for byte.

Tensors between the steps are float32 and hold integers, q - zero_point. A float32 convolution of
them is exact while Σ|q - zero_point|·|w| < 2^24, so fast float kernels compute the accumulators;
only requantization needs 64-bit integers. If a layer exceeds this bound, its weights are split into
two halves that do not. The results differ from TFLite's only where its 32-bit accumulator overflows
(activations of hundreds of thousands, never seen in a trained network).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pytorch_side.int8.fakequant import QuantNet
from pytorch_side.int8.fixed_point import (
    activation_limits,
    hard_swish_table,
    mean_multiplier,
    multiply,
    quantize_multiplier,
)
from pytorch_side.int8.legalize import INPUT, LegalNet, NetStep, compute, walk
from pytorch_side.int8.qparams import integer_bias, integer_weights

Compute = Callable[[list[Tensor]], Tensor]
Valued = tuple[Tensor, Tensor]  # a tensor's real values, and its q - zero_point
CARRIED_MAX = 2.0**24  # float32 holds every integer up to this
ADD_SHIFT = 20  # bits by which ADD scales its inputs up
CHUNK = 8  # images at a time: their 64-bit accumulators fit the CPU cache


class IntegerNet(nn.Module):
    """`net` in integers, with its present weights and ranges. No gradients."""

    def __init__(self, net: QuantNet) -> None:
        super().__init__()
        self.net = net
        self._steps = {step.name: _PREPARE[step.operator](net, step) for step in net.legal.steps}
        self._last = net.legal.steps[-1].name

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Logits as real values, (N, classes)."""
        scale, _ = self.net.parameters_of(self._last)
        chunks = [self.run(chunk) for chunk in images.split(CHUNK)]
        return torch.cat(chunks) * float(scale)

    @torch.no_grad()
    def logits(self, images: Tensor) -> npt.NDArray[np.int8]:
        """Logits as the int8 model gives them, (N, classes)."""
        _, zero_point = self.net.parameters_of(self._last)
        centered = torch.cat([self.run(chunk) for chunk in images.split(CHUNK)])
        return (centered + int(zero_point)).to(torch.int8).cpu().numpy()

    def step(self, name: str, inputs: list[Tensor]) -> Tensor:
        """One step on its inputs' q - zero_point."""
        return self._steps[name](inputs)

    def run(self, images: Tensor, visit: Callable[[str, Tensor], None] | None = None) -> Tensor:
        """The last tensor. `visit(name, q - zero_point)` is called for every tensor."""
        start = (images * 128).round().clamp(-128, 127)  # the input contract

        def step_output(step: NetStep, inputs: list[Tensor]) -> Tensor:
            y = self.step(step.name, inputs)
            if visit:
                visit(step.name, y)
            return y

        if visit:
            visit(INPUT, start)
        return walk(self.net.legal.steps, start, step_output)


class ExactNet(QuantNet):
    """A QuantNet that scores in exact integers, and after `exact_after` batches trains on them.

    From then on each tensor has the board's value, with the gradient of its fake-quantized value.
    """

    def __init__(
        self, legal: LegalNet, freeze_after: int = 2**62, exact_after: int = 2**62
    ) -> None:
        super().__init__(legal, freeze_after=freeze_after)
        self.exact_after = exact_after

    def forward(self, images: Tensor) -> Tensor:
        if not self.training:
            return cast(Tensor, IntegerNet(self)(images))
        if int(self.seen) < self.exact_after:
            return super().forward(images)
        integers = IntegerNet(self)

        def step_output(step: NetStep, inputs: list[Valued]) -> Valued:
            weight, bias = self.rounded_weights(step) if step.has_weights else (None, None)
            y = self.rounded(step.name, compute(step, [real for real, _ in inputs], weight, bias))
            with torch.no_grad():
                centered = integers.step(step.name, [counted for _, counted in inputs])
                scale, _ = self.parameters_of(step.name)
                correction = centered * float(scale) - y
            return y + correction, centered

        start = images, (images * 128).round().clamp(-128, 127)
        logits, _ = walk(self.legal.steps, start, step_output)
        self.seen += 1
        return logits


def _requantizer(
    multiplier: npt.ArrayLike, shift: npt.ArrayLike, limits: tuple[int, int], zero_point: int
) -> Callable[[Tensor], Tensor]:
    """int64 accumulators, changed in place → clamped q - zero_point as float32.

    MultiplyByQuantizedMultiplier (see fixed_point.multiply) with few passes over the data. Arrays
    hold one value per channel. Works for images and for vectors.
    """
    multipliers, shifts = np.atleast_1d(multiplier), np.atleast_1d(shift)
    left, right = np.maximum(shifts, 0), np.maximum(-shifts, 0)
    half = (1 << right) >> 1
    low, high = limits[0] - zero_point, limits[1] - zero_point

    def shaped(values: npt.NDArray[np.int64], like: Tensor) -> Tensor:
        row = torch.from_numpy(np.ascontiguousarray(values)).to(like.device)
        return row.view(1, -1, *[1] * (like.ndim - 2))

    def requantize(acc: Tensor) -> Tensor:
        if left.any():
            acc <<= shaped(left, acc)
        acc *= shaped(multipliers, acc)
        acc += 1 << 30
        acc >>= 31
        # Halves are rounded away from zero: one less for negative values, if bits are shifted out.
        sign = acc >> 63
        if not half.all():
            sign &= shaped(-(half > 0).astype(np.int64), acc)
        acc += sign
        acc += shaped(half, acc)
        acc >>= shaped(right, acc)
        return acc.clamp_(low, high).to(torch.float32)

    return requantize


def _prepare_weighted(net: QuantNet, step: NetStep) -> Compute:
    layer = net.legal.layers[step.name]
    input_scale, input_zero = net.parameters_of(step.inputs[0])
    output_scale, output_zero = net.parameters_of(step.name)
    scales, bias = net.weight_scales_of(step), layer.bias.detach().cpu().numpy()
    device = layer.weight.device
    stored = integer_weights(layer.weight.detach().cpu().numpy(), scales)
    weight = torch.from_numpy(stored).to(device, torch.float32)
    biases = torch.from_numpy(integer_bias(bias, float(input_scale), scales))
    biases = biases.to(device, torch.int64).view(1, -1, *[1] * (weight.ndim - 2))
    product = np.float64(input_scale) * scales.astype(np.float64)
    limits = activation_limits(step.activation, output_scale, int(output_zero))
    finish = _requantizer(
        *quantize_multiplier(product / np.float64(output_scale)), limits, int(output_zero)
    )
    largest = max(127 - int(input_zero), 128 + int(input_zero))
    bound = largest * float(weight.abs().flatten(1).sum(1).max())
    high = (weight / 16).round() * 16 if bound >= CARRIED_MAX else None
    plain = NetStep(step.name, step.operator, step.inputs, "none", step.stride, step.groups)

    def run(inputs: list[Tensor]) -> Tensor:
        if high is None:
            acc = compute(plain, inputs, weight).to(torch.int64)
        else:
            acc = compute(plain, inputs, high / 16).to(torch.int64) * 16
            acc += compute(plain, inputs, weight - high).to(torch.int64)
        acc += biases
        return finish(acc)

    return run


def _prepare_add(net: QuantNet, step: NetStep) -> Compute:
    scales, zeros = zip(*(net.parameters_of(name) for name in step.inputs), strict=True)
    output_scale, output_zero = net.parameters_of(step.name)
    twice = 2 * np.float64(max(scales))
    tables = []
    for scale, zero in zip(scales, zeros, strict=True):
        values = (np.arange(-128, 128, dtype=np.int64) - int(zero)) << ADD_SHIFT
        scaled = multiply(values, *quantize_multiplier(np.float64(scale) / twice))
        tables.append((torch.from_numpy(scaled), 128 + int(zero)))
    real = twice / ((1 << ADD_SHIFT) * np.float64(output_scale))
    limits = activation_limits(step.activation, output_scale, int(output_zero))
    finish = _requantizer(*quantize_multiplier(real), limits, int(output_zero))

    def run(inputs: list[Tensor]) -> Tensor:
        (first, a), (second, b) = tables
        return finish(_looked_up(first, inputs[0], a) + _looked_up(second, inputs[1], b))

    return run


def _prepare_mul(net: QuantNet, step: NetStep) -> Compute:
    first, second = (np.float64(net.parameters_of(name)[0]) for name in step.inputs)
    output_scale, output_zero = net.parameters_of(step.name)
    limits = activation_limits(step.activation, output_scale, int(output_zero))
    real = first * second / np.float64(output_scale)
    finish = _requantizer(*quantize_multiplier(real), limits, int(output_zero))
    return lambda inputs: finish((inputs[0] * inputs[1]).to(torch.int64))


def _prepare_mean(net: QuantNet, step: NetStep) -> Compute:
    input_scale, _ = net.parameters_of(step.inputs[0])
    output_scale, output_zero = net.parameters_of(step.name)
    real = float(np.float64(input_scale) / np.float64(output_scale))

    def run(inputs: list[Tensor]) -> Tensor:
        count = inputs[0].shape[2] * inputs[0].shape[3]
        factor = mean_multiplier(real, count)
        finish = _requantizer(*factor, (-128, 127), int(output_zero))
        return finish(inputs[0].to(torch.int64).sum((2, 3), keepdim=True))

    return run


def _prepare_hard_swish(net: QuantNet, step: NetStep) -> Compute:
    input_scale, input_zero = net.parameters_of(step.inputs[0])
    output_scale, output_zero = net.parameters_of(step.name)
    table = hard_swish_table(input_scale, int(input_zero), output_scale, int(output_zero))
    centered = torch.from_numpy(table.astype(np.float32) - np.float32(output_zero))
    return lambda inputs: _looked_up(centered, inputs[0], 128 + int(input_zero))


def _looked_up(table: Tensor, x: Tensor, offset: int) -> Tensor:
    """A 256-entry table applied to each element; x + offset is the index."""
    return table.to(x.device)[(x + offset).to(torch.int32)]


_PREPARE: dict[str, Callable[[QuantNet, NetStep], Compute]] = {
    "conv": _prepare_weighted,
    "depthwise": _prepare_weighted,
    "linear": _prepare_weighted,
    "add": _prepare_add,
    "mul": _prepare_mul,
    "mean": _prepare_mean,
    "hard_swish": _prepare_hard_swish,
}
