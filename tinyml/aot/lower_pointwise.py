"""Lower means, tables, sums and products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinyml.aot import quantize
from tinyml.aot.ir import Add, Lookup, Mean, Mul, Node, Operand, Shape, Sum, Value
from tinyml.aot.lowering import (
    Lowering,
    activation_shape,
    affine,
    check_factor,
    check_shape,
    multiplier_of,
    output_clamp,
    refusal,
)
from tinyml.format.tflite import Operator, Tensor


def lower_mean(lowering: Lowering, operator: Operator) -> None:
    source, operand = lowering.operand(operator, 0)
    axes, result = lowering.constant(operator, 1, "int32"), lowering.output(operator)
    assert axes.data is not None
    if len(source.shape) != 4 or {int(a) % 4 for a in axes.data.ravel() if -4 <= a < 4} != {1, 2}:
        raise refusal(operator, axes, "must name height and width (1, 2) of a rank 4 tensor")
    shape = operand.shape
    check_shape(operator, result, Shape(1, 1, shape.channels))
    (in_scale, in_zero_point), (out_scale, out_zero_point) = (
        affine(operator, source),
        affine(operator, result),
    )
    check_factor(operator, result, in_scale / out_scale)
    multiplier, shift = quantize.mean_multiplier(in_scale / out_scale, shape.pixels)
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


def lower_hard_swish(lowering: Lowering, operator: Operator) -> None:
    source, operand = lowering.operand(operator, 0)
    result = lowering.output(operator)
    check_shape(operator, result, activation_shape(operator, source))
    table = quantize.hard_swish_table(*affine(operator, source), *affine(operator, result))
    if table is None:
        raise refusal(operator, result, "has a scale too small for the interpreter's arithmetic")
    lower_lookup(lowering, operator, operand, result, table)


def lower_reshape(lowering: Lowering, operator: Operator) -> None:
    source, operand = lowering.operand(operator, 0)
    result = lowering.output(operator)
    shape = activation_shape(operator, result)
    if shape.size != operand.shape.size or affine(operator, source) != affine(operator, result):
        raise refusal(operator, result, "differs from its input in more than the shape")
    lowering.operands[result.index] = Operand(operand.value, shape)


def lower_add(lowering: Lowering, operator: Operator) -> None:
    result = lowering.output(operator)
    tensors = [lowering.tensor(operator, 0), lowering.tensor(operator, 1)]
    parameters = [affine(operator, t) for t in tensors]
    out_scale, out_zero_point = affine(operator, result)
    twice_max = 2 * max(scale for scale, _ in parameters)
    a, b = ((z, *quantize.quantize_multiplier(s / twice_max)) for s, z in parameters)
    factor = twice_max / ((1 << 20) * out_scale)
    if factor >= 1:
        raise refusal(operator, result, "has a scale too small for the interpreter's arithmetic")
    out = (out_zero_point, *quantize.quantize_multiplier(factor))
    clamp = output_clamp(operator, result)

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
    shape = activation_shape(operator, result)
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


def lower_mul(lowering: Lowering, operator: Operator) -> None:
    result = lowering.output(operator)
    tensors = [lowering.tensor(operator, 0), lowering.tensor(operator, 1)]
    (a_scale, a_zero), (b_scale, b_zero) = (affine(operator, t) for t in tensors)
    out_scale, out_zero = affine(operator, result)
    out = (out_zero, *multiplier_of(operator, result, a_scale * b_scale / out_scale))
    clamp = output_clamp(operator, result)

    def compute(x: quantize.Int64Array, y: quantize.Int64Array) -> quantize.Table:
        product = quantize.multiply((x - a_zero) * (y - b_zero), *out[1:])
        q = quantize.to_int8(quantize.wrap32(product + out[0]))
        return q if clamp is None else clamp[q.astype(np.int64) + 128]

    if _constant_operand(lowering, operator, tensors, result, compute):
        return
    operands = [lowering.operand(operator, i)[1] for i in range(2)]
    shape, zeros = activation_shape(operator, result), [a_zero, b_zero]
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
    """Lower an operation with one constant number to a table. False if no input is a constant."""
    for position, tensor in enumerate(tensors):
        if tensor.data is None:
            continue
        if tensor.data.size != 1 or tensor.dtype != "int8":
            raise refusal(operator, tensor, "is a constant of more than one int8 number")
        number = np.full(256, int(tensor.data.ravel()[0]), np.int64)
        pair = (number, quantize.ALL_INT8) if position == 0 else (quantize.ALL_INT8, number)
        _, operand = lowering.operand(operator, 1 - position)
        check_shape(operator, result, operand.shape)
        lower_lookup(lowering, operator, operand, result, compute(*pair))
        return True
    return False


def lower_lookup(
    lowering: Lowering, operator: Operator, operand: Operand, result: Tensor, table: quantize.Table
) -> None:
    """Lower a pointwise function of one operand."""
    output = lowering.define(result, operand.shape)
    lowering.nodes.append(Node("lookup", (str(operator),), (operand,), output, Lookup(table)))
