"""Fake quantization: a legalized network simulates int8 in float, with straight-through gradients.

Every tensor is rounded to its TFLite grid (see qparams.py): weights before they are used,
activations after their fused clamp. Rounding passes gradients on unchanged; clipped values get no
gradient.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pytorch_side.int8.fixed_point import kernels_differ
from pytorch_side.int8.legalize import INPUT, LegalNet, NetStep, compute, walk
from pytorch_side.int8.qparams import WEIGHT_MAX, activation_parameters, weight_scales

# TFLite Micro refuses a HARD_SWISH unless its output scale is above 1/128 of its input scale. So
# this is the smallest output range, in input scales; a thousandth is added for float32 rounding.
SWISH_SPAN = 255 / 128 * 1.001
# The share by which a range grows where kernels differ: one to two steps of the 16-bit factor.
SWISH_NUDGE = 2.0**-14
# Few values lie far outside of the others. A range without them has finer steps for all others:
# percentile calibration, Wu et al. 2020 (arXiv 2004.09602).
CLIPPED = 2e-4
INPUT_RANGE = (-1.0, 127 / 128)  # the input contract: scale exactly 1/128, zero point 0


class QuantNet(nn.Module):
    """`legal` under fake quantization.

    `low` and `high` hold the ranges of the tensors in `names`. `calibrate` sets them first. During
    the first `freeze_after` batches of training they follow each batch's usual range.
    """

    low: Tensor
    high: Tensor
    seen: Tensor

    def __init__(self, legal: LegalNet, momentum: float = 0.02, freeze_after: int = 2**62) -> None:
        super().__init__()
        self.legal = legal
        self.momentum = momentum
        self.freeze_after = freeze_after
        self.names = (INPUT, *(step.name for step in legal.steps))
        self.index = {name: i for i, name in enumerate(self.names)}
        self.swished = {s.name: s.inputs[0] for s in legal.steps if s.operator == "hard_swish"}
        self.register_buffer("low", torch.zeros(len(self.names)))
        self.register_buffer("high", torch.zeros(len(self.names)))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.low[0], self.high[0] = INPUT_RANGE

    def forward(self, images: Tensor) -> Tensor:
        observing = self.training and int(self.seen) < self.freeze_after

        def step_output(step: NetStep, inputs: list[Tensor]) -> Tensor:
            weight, bias = self.rounded_weights(step) if step.has_weights else (None, None)
            y = compute(step, inputs, weight, bias)
            if observing:
                self.follow(step.name, y, self.momentum)
                if _is_identity(step, y, inputs):
                    self.share_range(step.name, step.inputs[0])
            return self.rounded(step.name, y)

        logits = walk(self.legal.steps, self.rounded(INPUT, images), step_output)
        if self.training:
            self.seen += 1
        return logits

    def with_rounded_weights(self, images: Tensor) -> Tensor:
        """Logits with weights on their int8 grids, biases and activations in float, as in ONNX."""

        def step_output(step: NetStep, inputs: list[Tensor]) -> Tensor:
            if not step.has_weights:
                return compute(step, inputs)
            weight, _ = self.rounded_weights(step)
            return compute(step, inputs, weight, self.legal.layers[step.name].bias)

        return walk(self.legal.steps, images, step_output)

    def parameters_of(self, name: str) -> tuple[np.float32, np.int32]:
        """Scale and zero point of a tensor."""
        scale, zero_point = activation_parameters(*map(np.float32, self._range(name)))
        return np.float32(scale), np.int32(zero_point)

    def _range(self, name: str) -> tuple[float, float]:
        """A tensor's range; a hard-swish's is widened until all kernels take it and agree."""
        i = self.index[name]
        low, high = float(self.low[i].item()), float(self.high[i].item())
        source = self.swished.get(name)
        if source is not None:
            low, high = min(low, 0.0), max(high, 0.0)
            source_scale = self.parameters_of(source)[0]
            high = max(high, low + SWISH_SPAN * float(source_scale))
            while kernels_differ(source_scale, _scale_of(low, high)):
                high += SWISH_NUDGE * (high - low)
        return low, high

    def weight_scales_of(self, step: NetStep) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Scales of a step's weights, one per channel; all equal in a fully connected layer."""
        layer = self.legal.layers[step.name]
        return weight_scales(
            layer.weight.detach().cpu().numpy(),
            layer.bias.detach().cpu().numpy(),
            float(self.parameters_of(step.inputs[0])[0]),
            per_channel=step.operator != "linear",
        )

    def rounded(self, name: str, y: Tensor) -> Tensor:
        """An activation on its int8 grid."""
        scale, zero_point = self.parameters_of(name)
        rounded: Tensor = torch.fake_quantize_per_tensor_affine(
            y, float(scale), int(zero_point), -128, 127
        )
        return rounded

    def rounded_weights(self, step: NetStep) -> tuple[Tensor, Tensor]:
        """A step's weights and biases on their int8 and int32 grids."""
        layer = self.legal.layers[step.name]
        scales = torch.from_numpy(self.weight_scales_of(step)).to(layer.weight.device)
        with torch.no_grad():
            wide = scales.view(-1, *[1] * (layer.weight.ndim - 1))
            # A division, as in qparams.integer_weights: torch's own fake quantization multiplies by
            # 1/scale, which rounds some weights to a different integer.
            steps = (layer.weight / wide).round().clamp(-WEIGHT_MAX, WEIGHT_MAX)
            weight_error = steps * wide - layer.weight
            unit = scales * float(self.parameters_of(step.inputs[0])[0])
            bias_error = (layer.bias / unit).round() * unit - layer.bias
        return layer.weight + weight_error, layer.bias + bias_error

    @torch.no_grad()
    def follow(self, name: str, y: Tensor, weight: float) -> None:
        """Move the range of tensor `name` towards the usual range of `y`, by the share `weight`."""
        i = self.index[name]
        # The largest logits are the answer: none of them is clipped.
        low, high = usual_range(y, 0.0 if name == self.names[-1] else CLIPPED)
        self.low[i] = torch.lerp(self.low[i], low, weight)
        self.high[i] = torch.lerp(self.high[i], high, weight)

    @torch.no_grad()
    def share_range(self, name: str, other: str) -> None:
        """Give tensor `name` the range of tensor `other`."""
        i = self.index[name]
        self.low[i], self.high[i] = self._range(other)

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Set the ranges to the mean of the batches' usual ranges in float arithmetic."""
        identities: dict[str, str] = {}
        for number, images in enumerate(batches, start=1):

            def step_output(
                step: NetStep, inputs: list[Tensor], weight: float = 1 / number
            ) -> Tensor:
                layer = self.legal.layers[step.name] if step.has_weights else None
                y = compute(step, inputs, layer and layer.weight, layer and layer.bias)
                self.follow(step.name, y, weight)
                if _is_identity(step, y, inputs):
                    identities[step.name] = step.inputs[0]
                return y

            walk(self.legal.steps, images, step_output)
        for name, source in identities.items():
            self.share_range(name, source)


def usual_range(y: Tensor, clipped: float) -> tuple[Tensor, Tensor]:
    """The range of `y` without the share `clipped` of its values at each end."""
    values = y.flatten()
    count = 1 + int(clipped * len(values))
    low = values.topk(count, largest=False, sorted=False).values.max()
    return low, values.topk(count, sorted=False).values.min()


def _scale_of(low: float, high: float) -> np.float32:
    scale, _ = activation_parameters(np.float32(low), np.float32(high))
    return np.float32(scale)


def _is_identity(step: NetStep, y: Tensor, inputs: list[Tensor]) -> bool:
    """Whether a step is a mean over one pixel: it equals its input, so the converter removes it."""
    return step.operator == "mean" and y.shape == inputs[0].shape


def ranges_record(net: QuantNet) -> dict[str, Any]:
    """The content of ranges.json: each activation's range, scale and zero point; weight scales."""
    activations = {}
    for name, low, high in zip(net.names, net.low.tolist(), net.high.tolist(), strict=True):
        scale, zero_point = net.parameters_of(name)
        activations[name] = {
            "min": low,
            "max": high,
            "scale": float(scale),
            "zero_point": int(zero_point),
        }
    weights = {
        step.name: {"scales": net.weight_scales_of(step).astype(float).tolist()}
        for step in net.legal.steps
        if step.has_weights
    }
    return {"activations": activations, "weights": weights}
