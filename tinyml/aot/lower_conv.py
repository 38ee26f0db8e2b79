"""Convolutions and fully connected layers: weights, windows and requantization."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from swin2mcu.common.cli import UserError
from tinyml.aot import quantize
from tinyml.aot.ir import Conv, Node, Operand, Shape, Window
from tinyml.aot.lowering import (
    Lowering,
    activation_shape,
    affine,
    check_shape,
    multiplier_of,
    output_clamp,
    refusal,
)
from tinyml.aot.requant import requantization
from tinyml.format.tflite import Operator, Tensor

LARGEST_WEIGHTS = 64 << 20


def lower_conv(lowering: Lowering, operator: Operator) -> None:
    source, operand = lowering.operand(operator, 0)
    weights, result = lowering.constant(operator, 1, "int8"), lowering.output(operator)
    assert weights.data is not None
    if len(weights.shape) != 4 or operand.shape.channels % weights.shape[3]:
        raise refusal(operator, weights, f"{weights.shape} does not fit {operand.shape}")
    groups = operand.shape.channels // weights.shape[3]
    if weights.shape[0] % groups:
        raise refusal(operator, weights, f"{weights.shape} does not fit {groups} groups")
    factors = _weight_factors(operator, source, weights, result, 0)
    dense = _ungrouped(operator, _dilated(operator, weights.data), groups)
    _convolution(lowering, operator, operand, dense, factors, source, result)


def lower_depthwise(lowering: Lowering, operator: Operator) -> None:
    source, operand = lowering.operand(operator, 0)
    weights, result = lowering.constant(operator, 1, "int8"), lowering.output(operator)
    assert weights.data is not None
    channels = operand.shape.channels
    if len(weights.shape) != 4 or weights.shape[0] != 1 or weights.shape[3] % channels:
        raise refusal(operator, weights, f"{weights.shape} does not fit {operand.shape}")
    factors = _weight_factors(operator, source, weights, result, 3)
    wide = _dilated(operator, weights.data)
    if wide.shape[3] != channels:
        # Several filters per channel: rewritten as a grouped, then as a plain convolution.
        grouped = np.transpose(wide, (3, 1, 2, 0))
        _convolution(
            lowering,
            operator,
            operand,
            _ungrouped(operator, grouped, channels),
            factors,
            source,
            result,
        )
        return
    zero_point = affine(operator, source)[1]
    window, height, width = window_over(operator, operand.shape, wide.shape[1:3], zero_point)
    out_shape = Shape(height, width, channels)
    check_shape(operator, result, out_shape)
    requant = requantization(
        wide.reshape(-1, channels).T,
        _bias(lowering, operator, channels),
        zero_point,
        factors,
        affine(operator, result)[1],
        output_clamp(operator, result),
    )
    lowering.nodes.append(
        Node(
            "depthwise",
            (str(operator),),
            (operand,),
            lowering.define(result, out_shape),
            Conv(requant.weights.T.reshape(wide.shape[1:]), requant.requant, window),
            macs=out_shape.pixels * wide.size,
        )
    )


def lower_fully_connected(lowering: Lowering, operator: Operator) -> None:
    source, operand = lowering.operand(operator, 0)
    weights, result = lowering.constant(operator, 1, "int8"), lowering.output(operator)
    assert weights.data is not None
    if operator.options["weights_format"] != 0:
        raise refusal(operator, weights, "is shuffled; export it in the default format")
    if len(weights.shape) != 2 or operand.shape.size % weights.shape[1]:
        raise refusal(operator, weights, f"{weights.shape} does not fit {operand.shape}")
    outputs, depth = weights.shape
    if weights.scales.size == 1:
        if weights.zero_points.any():
            raise refusal(operator, weights, "has a zero point; symmetric weights are needed")
        # In float64, as in the pinned version of the interpreter; older versions used float32.
        product = affine(operator, source)[0] * float(weights.scales[0])
        factors = [product / affine(operator, result)[0]] * outputs
        multiplier_of(operator, result, factors[0])
    else:
        factors = _weight_factors(operator, source, weights, result, 0)
    shape = operand.shape
    if shape.channels != depth:
        shape = Shape(1, shape.size // depth, depth)
    out_shape = activation_shape(operator, result)
    if out_shape.channels != outputs or out_shape.pixels != shape.pixels:
        raise refusal(operator, result, f"has shape {result.shape}, which does not fit the weights")
    zero_point = affine(operator, source)[1]
    requant = requantization(
        weights.data,
        _bias(lowering, operator, outputs),
        zero_point,
        factors,
        affine(operator, result)[1],
        output_clamp(operator, result),
    )
    lowering.nodes.append(
        Node(
            "conv1x1",
            (str(operator),),
            (Operand(operand.value, shape),),
            lowering.define(result, Shape(shape.height, shape.width, outputs)),
            Conv(
                requant.weights.reshape(outputs, 1, 1, depth),
                requant.requant,
                Window(1, 1, 1, 1, 0, 0, zero_point),
            ),
            macs=shape.pixels * weights.data.size,
        )
    )
    lowering.operands[result.index] = Operand(result.index, out_shape)


def _convolution(
    lowering: Lowering,
    operator: Operator,
    operand: Operand,
    weights: npt.NDArray[np.int8],
    factors: list[float],
    source: Tensor,
    result: Tensor,
) -> None:
    zero_point = affine(operator, source)[1]
    window, height, width = window_over(
        operator, operand.shape, (weights.shape[1], weights.shape[2]), zero_point
    )
    out_shape = Shape(height, width, weights.shape[0])
    check_shape(operator, result, out_shape)
    flat = weights.reshape(weights.shape[0], -1)
    requant = requantization(
        flat,
        _bias(lowering, operator, weights.shape[0]),
        zero_point,
        factors,
        affine(operator, result)[1],
        output_clamp(operator, result),
    )
    pointwise = weights.shape[1:3] == (1, 1) and (window.stride_height, window.stride_width) == (
        1,
        1,
    )
    lowering.nodes.append(
        Node(
            "conv1x1" if pointwise else "conv",
            (str(operator),),
            (operand,),
            lowering.define(result, out_shape),
            Conv(requant.weights.reshape(weights.shape), requant.requant, window),
            macs=out_shape.pixels * weights.size,
        )
    )


def _weight_factors(
    operator: Operator, source: Tensor, weights: Tensor, result: Tensor, axis: int
) -> list[float]:
    """Per output channel: one unit of the accumulator in steps of the output."""
    if weights.zero_points.any():
        raise refusal(operator, weights, "has a zero point; symmetric weights are needed")
    channels = weights.shape[axis]
    scales = weights.scales
    if scales.size == 1:
        scales = np.repeat(scales, channels)  # older converters write one for all
    elif scales.size != channels or weights.quantized_dimension != axis:
        raise refusal(
            operator,
            weights,
            f"needs one scale per output channel ({channels}) and has {weights.scales.size}",
        )
    in_scale, out_scale = affine(operator, source)[0], affine(operator, result)[0]
    factors = [in_scale * float(s) / out_scale for s in scales]
    multiplier_of(operator, result, max(factors))
    return factors


def _bias(lowering: Lowering, operator: Operator, channels: int) -> quantize.Int64Array:
    if len(operator.inputs) < 3 or operator.inputs[2] < 0:
        return np.zeros(channels, np.int64)
    tensor = lowering.constant(operator, 2, "int32")
    if tensor.shape != (channels,):
        raise refusal(operator, tensor, f"has shape {tensor.shape}; ({channels},) is needed")
    assert tensor.data is not None  # constant() has checked it
    return tensor.data.astype(np.int64)


def window_over(
    operator: Operator, source: Shape, kernel: tuple[int, int], zero_point: int
) -> tuple[Window, int, int]:
    """The window, and the height and width of its output."""
    options = operator.options
    sides = []
    for size, length, side in (
        (source.height, kernel[0], "height"),
        (source.width, kernel[1], "width"),
    ):
        stride = options[f"stride_{side}"]
        if not 1 <= stride <= 255 or not 1 <= length <= 255:
            raise UserError(f"{operator}: kernel {length} with stride {stride} is not supported")
        out = -(-(size - (0 if options["padding"] == "SAME" else length - 1)) // stride)
        if out < 1:
            raise UserError(f"{operator}: a {side} of {length} does not fit the input's {size}")
        sides.append((stride, _padding(size, out, length, stride, options["padding"]), out))
    (stride_h, top, height), (stride_w, left, width) = sides
    window = Window(kernel[0], kernel[1], stride_h, stride_w, top, left, zero_point)
    return window, height, width


def _padding(size: int, out: int, kernel: int, stride: int, padding: str) -> int:
    """Rows (or columns) outside the image before the first window."""
    return max((out - 1) * stride + kernel - size, 0) // 2 if padding == "SAME" else 0


def _dilated(operator: Operator, weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Weights [..., height, width, channels] with zeros in the gaps of a dilation."""
    down, right = operator.options["dilation_height"], operator.options["dilation_width"]
    if (down, right) == (1, 1):
        return weights
    n, height, width, channels = weights.shape
    if not (1 <= down <= 64 and 1 <= right <= 64):
        raise UserError(f"{operator}: dilation {down}x{right} is not supported")
    wide = _zeros(operator, (n, (height - 1) * down + 1, (width - 1) * right + 1, channels))
    wide[:, ::down, ::right] = weights
    return wide


def _ungrouped(
    operator: Operator, weights: npt.NDArray[np.int8], groups: int
) -> npt.NDArray[np.int8]:
    """The weights of a grouped convolution as those of a plain one, with zeros across groups."""
    if groups == 1:
        return weights
    out, height, width, each = weights.shape
    dense = _zeros(operator, (out, height, width, each * groups))
    for channel in range(out):
        group = channel // (out // groups)
        dense[channel, :, :, group * each : (group + 1) * each] = weights[channel]
    return dense


def _zeros(operator: Operator, shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """An array for weights with explicit zeros. Raises UserError if no board can hold it."""
    if math.prod(shape) > LARGEST_WEIGHTS:
        raise UserError(f"{operator}: its weights, written out as {shape}, do not fit any board")
    return np.zeros(shape, np.int8)
