"""Rewrite a trained MobileNetV3 with TFLite Micro's operators, without changing its function.

The result is a list of steps, each of which computes one named tensor. The names stay the same in
fake quantization, ONNX and the .tflite, so that ranges can be transferred between them.

    batch norm                   → folded into the convolution before it
    x · hardsigmoid(gate)        → x · relu6(gate + 3); the 3 goes into the gate's bias, the missing
                                   1/6 into the weights of the convolution that follows
    padding "same" of TensorFlow → an attribute of the convolution, never an operator of its own
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from swin2mcu.common.cli import UserError

Operator = Literal["conv", "depthwise", "linear", "add", "mul", "mean", "hard_swish"]
Activation = Literal["none", "relu", "relu6"]
T = TypeVar("T")
INPUT = "image"  # the name of the input tensor


@dataclass(frozen=True)
class NetStep:
    """One operator: reads the tensors named `inputs`, computes the tensor called `name`."""

    name: str
    operator: Operator
    inputs: tuple[str, ...]
    activation: Activation = "none"  # fused: the operator's own clamp
    stride: int = 1
    groups: int = 1  # depthwise: as many as channels

    @property
    def has_weights(self) -> bool:
        return self.operator in ("conv", "depthwise", "linear")


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME padding along one axis: (before, after); an odd pixel goes after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, step: NetStep) -> Tensor:
    """A convolution, padded SAME with zeros. x is (N, C, H, W), weight (O, C/groups, k, k)."""
    kernel = weight.shape[-1]
    (top, bottom), (left, right) = (same_padding(n, kernel, step.stride) for n in x.shape[-2:])
    if (top, left) == (bottom, right):
        return functional.conv2d(x, weight, bias, step.stride, (top, left), groups=step.groups)
    x = functional.pad(x, (left, right, top, bottom))
    return functional.conv2d(x, weight, bias, step.stride, groups=step.groups)


def compute(
    step: NetStep, inputs: list[Tensor], weight: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """The output of `step` in float arithmetic; images are (N, C, H, W)."""
    x = inputs[0]
    if step.operator in ("conv", "depthwise"):
        assert weight is not None
        y = convolve(x, weight, bias, step)
    elif step.operator == "linear":
        assert weight is not None
        y = functional.linear(x.flatten(1), weight, bias)
    elif step.operator == "add":
        y = x + inputs[1]
    elif step.operator == "mul":
        y = x * inputs[1]
    elif step.operator == "mean":
        y = x.mean((2, 3), keepdim=True)
    else:
        y = functional.hardswish(x)
    if step.activation == "relu":
        return functional.relu(y)
    return functional.relu6(y) if step.activation == "relu6" else y


class LegalNet(nn.Module):
    """The legalized network: `steps` in order, weights in `layers` under their step's name."""

    def __init__(self, steps: list[NetStep], layers: dict[str, nn.Module]) -> None:
        super().__init__()
        self.steps = tuple(steps)
        self.layers = nn.ModuleDict(layers)

    def forward(self, images: Tensor) -> Tensor:
        return self.run(images)

    def run(
        self, images: Tensor, visit: Callable[[str, Tensor], Tensor] = lambda name, x: x
    ) -> Tensor:
        """Logits. `visit(name, tensor)` returns a replacement for each tensor and the input."""

        def step_output(step: NetStep, inputs: list[Tensor]) -> Tensor:
            layer = self.layers[step.name] if step.has_weights else None
            y = compute(step, inputs, layer and layer.weight, layer and layer.bias)
            return visit(step.name, y)

        return walk(self.steps, visit(INPUT, images), step_output)


def walk(steps: tuple[NetStep, ...], start: T, compute_step: Callable[[NetStep, list[T]], T]) -> T:
    """Run `compute_step` over the steps in order. Each tensor is freed after its last reader."""
    last_reader = {name: step.name for step in steps for name in step.inputs}
    values = {INPUT: start}
    for step in steps:
        values[step.name] = compute_step(step, [values[name] for name in step.inputs])
        for name in set(step.inputs):
            if last_reader[name] == step.name:
                del values[name]
    return values[steps[-1].name]


def legalize(student: nn.Module) -> LegalNet:
    """A trained timm MobileNetV3 → the same function in legal steps. `student` is not changed.

    Raises UserError naming the part that has no legal form.
    """
    builder = _Builder()
    with torch.no_grad():
        x = builder.conv_norm(INPUT, "conv_stem", student.conv_stem, student.bn1)
        for i, stage in enumerate(student.blocks):
            for j, block in enumerate(stage):
                x = _block(builder, x, f"blocks_{i}_{j}", block)
        if getattr(student.global_pool, "pool_type", "") != "avg":
            raise UserError("global_pool: only average pooling is supported")
        x = builder.add("global_pool", "mean", (x,))
        if not isinstance(student.norm_head, nn.Identity):
            raise UserError("norm_head: a norm in the head is not supported")
        x = builder.conv(x, "conv_head", student.conv_head, student.act2)
        builder.linear(x, "classifier", student.classifier)
    return LegalNet(builder.steps, builder.layers).eval()


def _block(builder: _Builder, x: str, name: str, block: nn.Module) -> str:
    kind, start = type(block).__name__, x
    if kind == "ConvBnAct":
        x = builder.conv_norm(x, f"{name}_conv", block.conv, block.bn1)
    elif kind == "DepthwiseSeparableConv":
        x = builder.conv_norm(x, f"{name}_conv_dw", block.conv_dw, block.bn1)
        x, scale = _squeeze_excite(builder, x, name, block.se)
        x = builder.conv_norm(x, f"{name}_conv_pw", block.conv_pw, block.bn2, scale)
    elif kind == "InvertedResidual":
        x = builder.conv_norm(x, f"{name}_conv_pw", block.conv_pw, block.bn1)
        x = builder.conv_norm(x, f"{name}_conv_dw", block.conv_dw, block.bn2)
        x, scale = _squeeze_excite(builder, x, name, block.se)
        x = builder.conv_norm(x, f"{name}_conv_pwl", block.conv_pwl, block.bn3, scale)
    else:
        raise UserError(f"{name}: a {kind} is not supported; use a tf_mobilenetv3_* student")
    return builder.add(f"{name}_add", "add", (start, x)) if block.has_skip else x


def _squeeze_excite(builder: _Builder, x: str, name: str, se: nn.Module) -> tuple[str, float]:
    """Returns the gated tensor and the factor for the next convolution's weights."""
    if isinstance(se, nn.Identity):
        return x, 1.0
    if "hardsigmoid" not in type(se.gate).__name__.lower():
        raise UserError(f"{name}.se: the gate {type(se.gate).__name__} is not supported")
    pooled = builder.add(f"{name}_se_mean", "mean", (x,))
    squeezed = builder.conv(pooled, f"{name}_se_reduce", se.conv_reduce, se.act1)
    gate = builder.conv(squeezed, f"{name}_se_gate", se.conv_expand, nn.ReLU6(), bias_shift=3.0)
    return builder.add(f"{name}_se_mul", "mul", (x, gate)), 1 / 6


class _Builder:
    """Collects steps and their weights."""

    def __init__(self) -> None:
        self.steps: list[NetStep] = []
        self.layers: dict[str, nn.Module] = {}

    def add(self, name: str, operator: Operator, inputs: tuple[str, ...]) -> str:
        self.steps.append(NetStep(name, operator, inputs))
        return name

    def conv_norm(
        self, x: str, name: str, conv: nn.Module, norm: nn.Module, scale: float = 1.0
    ) -> str:
        """One convolution that multiplies its inputs by `scale`, with the batch norm folded in."""
        if not isinstance(norm, nn.BatchNorm2d):
            raise UserError(f"{name}: the norm {type(norm).__name__} cannot be folded")
        # In float64: the only error is the rounding to float32 at the end.
        factor = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        bias = torch.zeros_like(factor) if conv.bias is None else conv.bias
        folded = copy.deepcopy(conv)
        folded.weight.copy_(conv.weight * (factor * scale).view(-1, 1, 1, 1))
        shifted = (bias - norm.running_mean) * factor + norm.bias
        folded.bias = nn.Parameter(shifted.to(conv.weight.dtype))
        return self.conv(x, name, folded, getattr(norm, "act", nn.Identity()))

    def conv(
        self, x: str, name: str, conv: nn.Module, activation: nn.Module, bias_shift: float = 0.0
    ) -> str:
        if conv.groups not in (1, conv.in_channels) or conv.dilation not in (1, (1, 1)):
            raise UserError(f"{name}: grouped or dilated convolutions are not supported")
        symmetric = type(conv).__name__ == "Conv2d" and conv.kernel_size[0] > 1
        if symmetric and (conv.stride[0] > 1 or conv.padding[0] != conv.kernel_size[0] // 2):
            raise UserError(
                f"{name}: its padding is not TensorFlow's SAME and would need a PAD operator; "
                "use a tf_mobilenetv3_* student or pad_type='same'"
            )
        depthwise = conv.groups > 1
        if depthwise and conv.out_channels != conv.in_channels:
            raise UserError(f"{name}: a depth multiplier is not supported")
        layer = nn.Conv2d(
            conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, groups=conv.groups
        )
        layer.weight.copy_(conv.weight)
        layer.bias.copy_((0 if conv.bias is None else conv.bias) + bias_shift)
        kind = type(activation).__name__.lower()
        known: dict[str, Activation] = {
            "identity": "none", "hardswish": "none", "relu": "relu", "relu6": "relu6"
        }  # fmt: skip
        if kind not in known:
            raise UserError(f"{name}: the activation {type(activation).__name__} is not supported")
        operator: Operator = "depthwise" if depthwise else "conv"
        self.steps.append(NetStep(name, operator, (x,), known[kind], conv.stride[0], conv.groups))
        self.layers[name] = layer
        return self.add(f"{name}_act", "hard_swish", (name,)) if kind == "hardswish" else name

    def linear(self, x: str, name: str, linear: nn.Module) -> None:
        if not isinstance(linear, nn.Linear):
            raise UserError(f"{name}: a {type(linear).__name__} is not supported")
        layer = nn.Linear(linear.in_features, linear.out_features)
        layer.weight.copy_(linear.weight)
        layer.bias.copy_(torch.zeros(()) if linear.bias is None else linear.bias)
        self.steps.append(NetStep(name, "linear", (x,)))
        self.layers[name] = layer
