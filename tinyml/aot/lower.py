"""From a .tflite graph to the compiler's nodes, refusing by name what the kernels cannot carry."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tinyml.aot import quantize
from tinyml.aot.ir import (
    Add,
    Conv,
    Lookup,
    Mean,
    Mul,
    Node,
    Operand,
    Program,
    Shape,
    Sum,
    Value,
    Window,
)
from tinyml.aot.requant import requantization
from tinyml.cli import UserError
from tinyml.tflite import Graph, Operator, Tensor

# Above this a multiplier would shift an int32 accumulator out of its register.
LARGEST_FACTOR = float(1 << 30)
LARGEST_WEIGHTS = 64 << 20


class Lowering:
    """The program so far, and where each tensor of the graph went."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.values: dict[int, Value] = {}
        self.nodes: list[Node] = []
        self.operands: dict[int, Operand] = {}  # tensor → value and shape
        self.next_value = len(graph.tensors)

    def operand(self, operator: Operator, position: int) -> tuple[Tensor, Operand]:
        """An activation that some operator before this one wrote."""
        tensor = self.tensor(operator, position)
        if tensor.index not in self.operands:
            raise refusal(operator, tensor, "is read before anything writes it")
        return tensor, self.operands[tensor.index]

    def constant(self, operator: Operator, position: int, dtype: str) -> Tensor:
        tensor = self.tensor(operator, position)
        if tensor.data is None:
            raise refusal(
                operator, tensor, "must be a constant, but its buffer is missing or empty"
            )
        if tensor.dtype != dtype:
            raise refusal(operator, tensor, f"is {tensor.dtype}; {dtype} is needed here")
        if tensor.dynamic or any(n < 1 for n in tensor.shape):
            raise refusal(operator, tensor, f"has the impossible shape {tensor.shape}")
        return tensor

    def tensor(self, operator: Operator, position: int) -> Tensor:
        if position >= len(operator.inputs) or operator.inputs[position] < 0:
            raise UserError(f"{operator}: input {position} is missing; export the model again")
        return self.graph.tensors[operator.inputs[position]]

    def output(self, operator: Operator) -> Tensor:
        if len(operator.outputs) != 1:
            raise UserError(f"{operator} has {len(operator.outputs)} outputs; one is supported")
        tensor = self.graph.tensors[operator.outputs[0]]
        if tensor.index in self.operands:
            raise refusal(operator, tensor, "is written twice")
        return tensor

    def new_value(self, value: Value) -> int:
        self.values[self.next_value] = value
        self.next_value += 1
        return self.next_value - 1

    def define(self, tensor: Tensor, shape: Shape) -> int:
        self.values[tensor.index] = Value(tensor.name, shape)
        self.operands[tensor.index] = Operand(tensor.index, shape)
        return tensor.index


def lower(graph: Graph) -> Program:
    """Raises UserError naming the operator and the tensor that stand in the way."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UserError(
            f"the model has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
            "export it with one of each"
        )
    state = Lowering(graph)
    source, result = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    if len(source.shape) != 4:
        raise UserError(
            f"input {source} has shape {source.shape}; [1, height, width, channels] is needed"
        )
    state.define(source, _shape("the graph", source))
    for operator in graph.operators:
        if operator.op not in _LOWERINGS:
            raise UserError(
                f"{operator} is not supported (supported: {', '.join(sorted(_LOWERINGS))}); "
                "legalize and export the model again"
            )
        _LOWERINGS[operator.op](state, operator)
    if result.index not in state.operands or not state.nodes:
        raise UserError(f"output {result} is computed by no operator; export the model again")
    out = state.operands[result.index]
    return Program(state.values, state.nodes, source.index, out.value, out.shape)


def refusal(operator: Operator | str, tensor: Tensor, what: str) -> UserError:
    return UserError(f"{operator}: {tensor} {what}")


def _shape(operator: Operator | str, tensor: Tensor) -> Shape:
    """The shape of an int8 activation, checked."""
    if tensor.dtype != "int8":
        raise refusal(
            operator, tensor, f"is {tensor.dtype}; only int8 runs here: quantise the model"
        )
    if tensor.dynamic:
        raise refusal(operator, tensor, "has a dynamic shape; export with a fixed batch of 1")
    if not tensor.shape or any(n < 1 for n in tensor.shape):
        raise refusal(operator, tensor, f"has the impossible shape {tensor.shape}")
    _affine(operator, tensor)
    if len(tensor.shape) > 4 or (len(tensor.shape) == 4 and tensor.shape[0] != 1):
        raise refusal(operator, tensor, f"has shape {tensor.shape}; only a batch of 1 runs here")
    height, width, channels = (1, 1, 1, *tensor.shape)[-3:]
    if max(height, width, channels) > 65535 or math.prod(tensor.shape) > 1 << 28:
        raise refusal(operator, tensor, f"with shape {tensor.shape} is too large for a board")
    return Shape(height, width, channels)


def _affine(operator: Operator | str, tensor: Tensor) -> tuple[float, int]:
    """Scale and zero point of an activation."""
    if tensor.scales.size != 1:
        raise refusal(
            operator, tensor, f"needs one scale and has {tensor.scales.size}: quantise it"
        )
    scale, zero_point = float(tensor.scales[0]), int(tensor.zero_points[0])
    if scale <= 0 or not -128 <= zero_point <= 127:
        raise refusal(operator, tensor, f"has scale {scale} and zero point {zero_point}")
    return scale, zero_point


def _multiplier(operator: Operator, result: Tensor, factor: float) -> tuple[int, int]:
    if factor >= LARGEST_FACTOR:
        raise refusal(operator, result, "has a scale too small for the interpreter's arithmetic")
    return quantize.quantize_multiplier(factor)


def _output_clamp(operator: Operator, tensor: Tensor) -> quantize.Table | None:
    scale, zero_point = _affine(operator, tensor)
    activation = operator.options["activation"]
    limits = quantize.activation_range(activation, scale, zero_point)
    if limits is None:
        raise UserError(f"{operator}: fused activation {activation} is not supported")
    return quantize.clamp_table(*limits)


def _weight_factors(
    operator: Operator, source: Tensor, weights: Tensor, result: Tensor, axis: int
) -> list[float]:
    """Per output channel: what an accumulator is worth in steps of the output."""
    if weights.zero_points.any():
        raise refusal(operator, weights, "has a zero point; symmetric weights are needed")
    channels = weights.shape[axis]
    if weights.scales.size != channels or (channels > 1 and weights.quantized_dimension != axis):
        raise refusal(
            operator,
            weights,
            f"needs one scale per output channel ({channels}) and has {weights.scales.size}",
        )
    in_scale, out_scale = _affine(operator, source)[0], _affine(operator, result)[0]
    factors = [in_scale * float(s) / out_scale for s in weights.scales]
    _multiplier(operator, result, max(factors))
    return factors


def _bias(lowering: Lowering, operator: Operator, channels: int) -> quantize.Int64Array:
    if len(operator.inputs) < 3 or operator.inputs[2] < 0:
        return np.zeros(channels, np.int64)
    tensor = lowering.constant(operator, 2, "int32")
    if tensor.shape != (channels,):
        raise refusal(operator, tensor, f"has shape {tensor.shape}; ({channels},) is needed")
    assert tensor.data is not None  # constant() saw to it
    return tensor.data.astype(np.int64)


def _padding(size: int, out: int, kernel: int, stride: int, padding: str) -> int:
    """Rows (or columns) outside the image before the first window."""
    return max((out - 1) * stride + kernel - size, 0) // 2 if padding == "SAME" else 0


def _window(
    operator: Operator, source: Shape, kernel: tuple[int, int], zero_point: int
) -> tuple[Window, int, int]:
    """The window, and the height and width of what it makes."""
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


def _dilated(operator: Operator, weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Weights [..., height, width, channels] with a dilation's gaps filled by zeros."""
    down, right = operator.options["dilation_height"], operator.options["dilation_width"]
    if (down, right) == (1, 1):
        return weights
    n, height, width, channels = weights.shape
    if not (1 <= down <= 64 and 1 <= right <= 64):
        raise UserError(f"{operator}: dilation {down}x{right} is not supported")
    wide = _zeros(operator, (n, (height - 1) * down + 1, (width - 1) * right + 1, channels))
    wide[:, ::down, ::right] = weights
    return wide


def _conv(lowering: Lowering, operator: Operator) -> None:
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


def _zeros(operator: Operator, shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """Room for weights written out with their zeros."""
    if math.prod(shape) > LARGEST_WEIGHTS:
        raise UserError(f"{operator}: its weights, written out as {shape}, do not fit any board")
    return np.zeros(shape, np.int8)


def _ungrouped(
    operator: Operator, weights: npt.NDArray[np.int8], groups: int
) -> npt.NDArray[np.int8]:
    """A grouped convolution's weights as a plain one's, zero across groups."""
    if groups == 1:
        return weights
    out, height, width, each = weights.shape
    dense = _zeros(operator, (out, height, width, each * groups))
    for channel in range(out):
        group = channel // (out // groups)
        dense[channel, :, :, group * each : (group + 1) * each] = weights[channel]
    return dense


def _convolution(
    lowering: Lowering,
    operator: Operator,
    operand: Operand,
    weights: npt.NDArray[np.int8],
    factors: list[float],
    source: Tensor,
    result: Tensor,
) -> None:
    zero_point = _affine(operator, source)[1]
    window, height, width = _window(
        operator, operand.shape, (weights.shape[1], weights.shape[2]), zero_point
    )
    out_shape = Shape(height, width, weights.shape[0])
    _check_shape(operator, result, out_shape)
    flat = weights.reshape(weights.shape[0], -1)
    requant = requantization(
        flat,
        _bias(lowering, operator, weights.shape[0]),
        zero_point,
        factors,
        _affine(operator, result)[1],
        _output_clamp(operator, result),
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


def _check_shape(operator: Operator, result: Tensor, shape: Shape) -> None:
    if _shape(operator, result) != shape:
        raise refusal(operator, result, f"has shape {result.shape}, but the operator makes {shape}")


def _depthwise(lowering: Lowering, operator: Operator) -> None:
    source, operand = lowering.operand(operator, 0)
    weights, result = lowering.constant(operator, 1, "int8"), lowering.output(operator)
    assert weights.data is not None
    channels = operand.shape.channels
    if len(weights.shape) != 4 or weights.shape[0] != 1 or weights.shape[3] % channels:
        raise refusal(operator, weights, f"{weights.shape} does not fit {operand.shape}")
    factors = _weight_factors(operator, source, weights, result, 3)
    wide = _dilated(operator, weights.data)
    if wide.shape[3] != channels:
        # Several filters per channel: as a grouped, and that as a plain convolution.
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
    zero_point = _affine(operator, source)[1]
    window, height, width = _window(operator, operand.shape, wide.shape[1:3], zero_point)
    out_shape = Shape(height, width, channels)
    _check_shape(operator, result, out_shape)
    requant = requantization(
        wide.reshape(-1, channels).T,
        _bias(lowering, operator, channels),
        zero_point,
        factors,
        _affine(operator, result)[1],
        _output_clamp(operator, result),
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


def _fully_connected(lowering: Lowering, operator: Operator) -> None:
    source, operand = lowering.operand(operator, 0)
    weights, result = lowering.constant(operator, 1, "int8"), lowering.output(operator)
    assert weights.data is not None
    if operator.options["weights_format"] != 0:
        raise refusal(operator, weights, "is shuffled; export it in the default format")
    if len(weights.shape) != 2 or operand.shape.size % weights.shape[1]:
        raise refusal(operator, weights, f"{weights.shape} does not fit {operand.shape}")
    outputs, depth = weights.shape
    if weights.scales.size == 1:
        # One scale for all: the interpreter multiplies in float32 here, and only here.
        if weights.zero_points.any():
            raise refusal(operator, weights, "has a zero point; symmetric weights are needed")
        with np.errstate(over="ignore"):
            product = np.float32(source.scales[0]) * np.float32(weights.scales[0])
        factors = [float(product) / _affine(operator, result)[0]] * outputs
        _multiplier(operator, result, factors[0])
    else:
        factors = _weight_factors(operator, source, weights, result, 0)
    shape = operand.shape
    if shape.channels != depth:
        shape = Shape(1, shape.size // depth, depth)
    out_shape = _shape(operator, result)
    if out_shape.channels != outputs or out_shape.pixels != shape.pixels:
        raise refusal(operator, result, f"has shape {result.shape}, which does not fit the weights")
    zero_point = _affine(operator, source)[1]
    requant = requantization(
        weights.data,
        _bias(lowering, operator, outputs),
        zero_point,
        factors,
        _affine(operator, result)[1],
        _output_clamp(operator, result),
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


def _mean(lowering: Lowering, operator: Operator) -> None:
    source, operand = lowering.operand(operator, 0)
    axes, result = lowering.constant(operator, 1, "int32"), lowering.output(operator)
    assert axes.data is not None
    if len(source.shape) != 4 or {int(a) % 4 for a in axes.data.ravel() if -4 <= a < 4} != {1, 2}:
        raise refusal(operator, axes, "must name height and width (1, 2) of a rank 4 tensor")
    shape = operand.shape
    _check_shape(operator, result, Shape(1, 1, shape.channels))
    (in_scale, in_zero_point), (out_scale, out_zero_point) = (
        _affine(operator, source),
        _affine(operator, result),
    )
    multiplier, shift = _multiplier(operator, result, in_scale / out_scale)
    # The division by the number of pixels becomes part of the multiplier.
    extra = min(shape.pixels.bit_length() - 1, 32, 31 + shift)
    multiplier, shift = (multiplier << extra) // shape.pixels, shift - extra
    sums = lowering.new_value(
        Value(f"sums of {source.name}", Shape(1, 1, shape.channels), item_bytes=4)
    )
    lowering.nodes.append(Node("sum", (str(operator),), (operand,), sums, Sum()))
    lowering.nodes.append(
        Node(
            "mean",
            (str(operator),),
            (Operand(sums, Shape(1, 1, shape.channels)),),
            lowering.define(result, Shape(1, 1, shape.channels)),
            Mean(
                int(quantize.wrap32(-in_zero_point * shape.pixels)),
                multiplier,
                shift,
                out_zero_point,
                None,
            ),
        )
    )


def _hard_swish(lowering: Lowering, operator: Operator) -> None:
    source, operand = lowering.operand(operator, 0)
    result = lowering.output(operator)
    _check_shape(operator, result, _shape(operator, source))
    table = quantize.hard_swish_table(*_affine(operator, source), *_affine(operator, result))
    if table is None:
        raise refusal(operator, result, "has a scale too small for the interpreter's arithmetic")
    _lookup(lowering, operator, operand, result, table)


def _lookup(
    lowering: Lowering, operator: Operator, operand: Operand, result: Tensor, table: quantize.Table
) -> None:
    output = lowering.define(result, operand.shape)
    lowering.nodes.append(Node("lookup", (str(operator),), (operand,), output, Lookup(table)))


def _reshape(lowering: Lowering, operator: Operator) -> None:
    source, operand = lowering.operand(operator, 0)
    result = lowering.output(operator)
    shape = _shape(operator, result)
    if shape.size != operand.shape.size or _affine(operator, source) != _affine(operator, result):
        raise refusal(operator, result, "differs from its input in more than the shape")
    lowering.operands[result.index] = Operand(operand.value, shape)


def _add(lowering: Lowering, operator: Operator) -> None:
    result = lowering.output(operator)
    tensors = [lowering.tensor(operator, 0), lowering.tensor(operator, 1)]
    affine = [_affine(operator, t) for t in tensors]
    out_scale, out_zero_point = _affine(operator, result)
    twice_max = 2 * max(scale for scale, _ in affine)
    a, b = ((z, *quantize.quantize_multiplier(s / twice_max)) for s, z in affine)
    factor = twice_max / ((1 << 20) * out_scale)
    if factor >= 1:
        raise refusal(operator, result, "has a scale too small for the interpreter's arithmetic")
    out = (out_zero_point, *quantize.quantize_multiplier(factor))
    clamp = _output_clamp(operator, result)

    def compute(x: quantize.Int64Array, y: quantize.Int64Array) -> quantize.Table:
        scaled = [
            quantize.multiply((v - zero) << 20, multiplier, shift)
            for v, (zero, multiplier, shift) in ((x, a), (y, b))
        ]
        q = quantize.to_int8(quantize.multiply(scaled[0] + scaled[1], *out[1:]) + out[0])
        return q if clamp is None else clamp[q.astype(np.int64) + 128]

    if _constant_operand(lowering, operator, tensors, result, compute):
        return
    operands = [lowering.operand(operator, i)[1] for i in range(2)]
    shape = _shape(operator, result)
    if not operands[0].shape == operands[1].shape == shape:
        raise refusal(operator, result, "broadcasts; ADD takes two tensors of one shape")
    node = Node(
        "add",
        (str(operator),),
        tuple(operands),
        lowering.define(result, shape),
        Add(a, b, out, clamp),
    )
    lowering.nodes.append(node)


def _mul(lowering: Lowering, operator: Operator) -> None:
    result = lowering.output(operator)
    tensors = [lowering.tensor(operator, 0), lowering.tensor(operator, 1)]
    (a_scale, a_zero), (b_scale, b_zero) = (_affine(operator, t) for t in tensors)
    out_scale, out_zero = _affine(operator, result)
    out = (out_zero, *_multiplier(operator, result, a_scale * b_scale / out_scale))
    clamp = _output_clamp(operator, result)

    def compute(x: quantize.Int64Array, y: quantize.Int64Array) -> quantize.Table:
        product = quantize.multiply((x - a_zero) * (y - b_zero), *out[1:])
        q = quantize.to_int8(quantize.wrap32(product + out[0]))
        return q if clamp is None else clamp[q.astype(np.int64) + 128]

    if _constant_operand(lowering, operator, tensors, result, compute):
        return
    operands = [lowering.operand(operator, i)[1] for i in range(2)]
    shape, zeros = _shape(operator, result), [a_zero, b_zero]
    if operands[0].shape != shape:  # multiplication commutes, exactly
        operands.reverse()
        zeros.reverse()
    same = operands[0].shape == operands[1].shape == shape
    if not same and operands[1].shape != Shape(1, 1, shape.channels):
        raise refusal(operator, result, "broadcasts in a way other than one value per channel")
    if operands[0].shape != shape:
        raise refusal(operator, result, f"has shape {result.shape}, which is neither input's")
    node = Node(
        "mul" if same else "gate",
        (str(operator),),
        tuple(operands),
        lowering.define(result, shape),
        Mul(zeros[0], zeros[1], out, clamp),
    )
    lowering.nodes.append(node)


def _constant_operand(
    lowering: Lowering,
    operator: Operator,
    tensors: list[Tensor],
    result: Tensor,
    compute: Callable[[quantize.Int64Array, quantize.Int64Array], quantize.Table],
) -> bool:
    """Lower an operation with one constant number to a table; False if neither input is one."""
    for position, tensor in enumerate(tensors):
        if tensor.data is None:
            continue
        if tensor.data.size != 1 or tensor.dtype != "int8":
            raise refusal(operator, tensor, "is a constant of more than one int8 number")
        number = np.full(256, int(tensor.data.ravel()[0]), np.int64)
        pair = (number, quantize.ALL_INT8) if position == 0 else (quantize.ALL_INT8, number)
        _, operand = lowering.operand(operator, 1 - position)
        _check_shape(operator, result, operand.shape)
        _lookup(lowering, operator, operand, result, compute(*pair))
        return True
    return False


_LOWERINGS: dict[str, Callable[[Lowering, Operator], None]] = {
    "ADD": _add,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "HARD_SWISH": _hard_swish,
    "MEAN": _mean,
    "MUL": _mul,
    "RESHAPE": _reshape,
}
