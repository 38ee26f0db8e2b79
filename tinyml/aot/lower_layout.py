"""Pooling, softmax, and operators that only move bytes: pads and concatenations."""

from __future__ import annotations

import math

from swin2mcu.common.cli import UserError
from tinyml.aot.ir import Concat, Node, Operand, Pad, Pool, Shape, Softmax, Window
from tinyml.aot.lower_conv import window_over
from tinyml.aot.lowering import (
    Lowering,
    affine,
    check_shape,
    output_clamp,
    refusal,
)
from tinyml.aot.tables import softmax_exponentials
from tinyml.format.tflite import Operator

MOST_CLASSES = 4095  # of a SOFTMAX: more would overflow its sum
MAX_INPUTS = 10  # of a CONCATENATION, as in the interpreter


def lower_pool(lowering: Lowering, operator: Operator) -> None:
    source, operand = lowering.operand(operator, 0)
    result, options = lowering.output(operator), operator.options
    (in_scale, in_zero), (out_scale, out_zero) = affine(operator, source), affine(operator, result)
    if abs(in_scale - out_scale) > 1e-6 or in_zero != out_zero:
        raise refusal(operator, result, "must have its input's scale and zero point")
    kernel = (options["filter_height"], options["filter_width"])
    window, height, width = window_over(operator, operand.shape, kernel, 0)
    shape = Shape(height, width, operand.shape.channels)
    check_shape(operator, result, shape)
    kind = "average" if operator.op == "AVERAGE_POOL_2D" else "maximum"
    work = Pool(window, output_clamp(operator, result))
    output = lowering.define(result, shape)
    lowering.nodes.append(Node(kind, (str(operator),), (operand,), output, work))


def lower_softmax(lowering: Lowering, operator: Operator) -> None:
    source, operand = lowering.operand(operator, 0)
    result = lowering.output(operator)
    check_shape(operator, result, operand.shape)
    if affine(operator, result) != (1 / 256, -128):
        raise refusal(operator, result, "must have scale 1/256 and zero point -128")
    if operand.shape.channels > MOST_CLASSES:
        raise refusal(operator, source, f"has more than {MOST_CLASSES} classes")
    exponentials = softmax_exponentials(operator.options["beta"], affine(operator, source)[0])
    if exponentials is None:
        raise refusal(operator, source, "has a scale too small for the interpreter's arithmetic")
    output = lowering.define(result, operand.shape)
    work = Softmax(exponentials)
    lowering.nodes.append(Node("softmax", (str(operator),), (operand,), output, work))


def lower_pad(lowering: Lowering, operator: Operator) -> None:
    """Lower PAD and PADV2. The third input of PADV2 is the number to pad with."""
    _, operand = lowering.operand(operator, 0)
    sizes, result = lowering.constant(operator, 1, "int32"), lowering.output(operator)
    assert sizes.data is not None
    source = lowering.tensor(operator, 0)
    rank = len(source.shape)
    if sizes.shape != (rank, 2) or (sizes.data < 0).any() or (sizes.data > 65535).any():
        raise refusal(
            operator, sizes, f"is not a pair of sizes for each dimension of {source.shape}"
        )
    before = [0] * (4 - rank) + [int(n) for n in sizes.data[:, 0]]
    after = [0] * (4 - rank) + [int(n) for n in sizes.data[:, 1]]
    if before[0] or after[0]:
        raise refusal(operator, sizes, "pads the batch; only a batch of 1 runs here")
    value = affine(operator, result)[1]
    if len(operator.inputs) > 2:
        number = lowering.constant(operator, 2, "int8")
        assert number.data is not None
        if number.data.size != 1 or affine(operator, number) != affine(operator, result):
            raise refusal(operator, number, "must be one number of the output's scale")
        value = int(number.data.ravel()[0])
    inner = operand.shape
    shape = Shape(
        before[1] + inner.height + after[1],
        before[2] + inner.width + after[2],
        before[3] + inner.channels + after[3],
    )
    check_shape(operator, result, shape)
    work = Pad(Window(1, 1, 1, 1, before[1], before[2], value), before[3])
    output = lowering.define(result, shape)
    lowering.nodes.append(Node("pad", (str(operator),), (operand,), output, work))


def lower_concatenation(lowering: Lowering, operator: Operator) -> None:
    result = lowering.output(operator)
    if not 1 <= len(operator.inputs) <= MAX_INPUTS:
        raise UserError(f"{operator} has {len(operator.inputs)} inputs; 1 to {MAX_INPUTS} run here")
    if operator.options["activation"] != "NONE":
        raise refusal(operator, result, "is clamped by the operator, which the interpreter refuses")
    operands: list[Operand] = []
    for position in range(len(operator.inputs)):
        tensor, operand = lowering.operand(operator, position)
        if affine(operator, tensor) != affine(operator, result):
            raise refusal(operator, tensor, "must have the output's scale and zero point")
        if len(tensor.shape) != len(result.shape):
            raise refusal(operator, tensor, "has another rank than the output")
        operands.append(operand)
    rank, axis = len(result.shape), operator.options["axis"]
    if not -rank <= axis < rank or (rank == 4 and axis % rank == 0):
        raise refusal(operator, result, f"is joined along axis {axis} of {rank}")
    along = ("channels", "width", "height")[rank - 1 - axis % rank]
    sizes = [(o.shape.height, o.shape.width, o.shape.channels) for o in operands]
    index = ("height", "width", "channels").index(along)
    joined = list(sizes[0])
    joined[index] = sum(size[index] for size in sizes)
    shape = Shape(*joined)
    if any(size[i] != joined[i] for size in sizes for i in range(3) if i != index):
        raise refusal(operator, result, "joins tensors of different shapes")
    check_shape(operator, result, shape)
    if math.prod(joined) > 1 << 28:
        raise refusal(operator, result, "is too large for a board")
    output = lowering.define(result, shape)
    node = Node("concat", (str(operator),), tuple(operands), output, Concat(along))
    lowering.nodes.append(node)
