"""Shared by all lowerings: the values of tensors, and checks with clear errors."""

from __future__ import annotations

import math
from dataclasses import replace

from swin2mcu.common.cli import UserError
from tinyml.aot import quantize
from tinyml.aot.ir import Node, Operand, Shape, Value
from tinyml.format.tflite import Graph, Operator, Tensor

# A larger factor would shift an int32 accumulator out of its register.
LARGEST_FACTOR = float(1 << 30)


class Lowering:
    """The program so far, and the operand of each tensor of the graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.values: dict[int, Value] = {}
        self.nodes: list[Node] = []
        self.operands: dict[int, Operand] = {}  # tensor → value and shape
        self.next_value = len(graph.tensors)

    def operand(self, operator: Operator, position: int) -> tuple[Tensor, Operand]:
        """An activation that an earlier operator wrote."""
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


def signed(graph: Graph) -> Graph:
    """`graph` with its uint8 inputs and outputs as int8: values and zero points minus 128.

    Raises UserError, as the interpreter does, if an operator other than QUANTIZE uses uint8.
    """
    unsigned = {t.index for t in graph.tensors if t.dtype == "uint8" and t.data is None}
    if not unsigned:
        return graph
    for operator in graph.operators:
        for index in unsigned & {*operator.inputs, *operator.outputs}:
            if operator.op != "QUANTIZE":
                raise refusal(
                    operator, graph.tensors[index], "is uint8; only int8 runs here: convert again"
                )
    tensors = tuple(
        replace(t, dtype="int8", zero_points=t.zero_points - 128) if t.index in unsigned else t
        for t in graph.tensors
    )
    return replace(graph, tensors=tensors)


def refusal(operator: Operator | str, tensor: Tensor, what: str) -> UserError:
    """The error that names an operator, a tensor and what is wrong with it."""
    return UserError(f"{operator}: {tensor} {what}")


def activation_shape(operator: Operator | str, tensor: Tensor) -> Shape:
    """The shape of an int8 activation, checked."""
    if tensor.dtype != "int8":
        raise refusal(
            operator, tensor, f"is {tensor.dtype}; only int8 runs here: quantize the model"
        )
    if tensor.dynamic:
        raise refusal(operator, tensor, "has a dynamic shape; export with a fixed batch of 1")
    if not tensor.shape or any(n < 1 for n in tensor.shape):
        raise refusal(operator, tensor, f"has the impossible shape {tensor.shape}")
    affine(operator, tensor)
    if len(tensor.shape) > 4 or (len(tensor.shape) == 4 and tensor.shape[0] != 1):
        raise refusal(operator, tensor, f"has shape {tensor.shape}; only a batch of 1 runs here")
    height, width, channels = (1, 1, 1, *tensor.shape)[-3:]
    if max(height, width, channels) > 65535 or math.prod(tensor.shape) > 1 << 28:
        raise refusal(operator, tensor, f"with shape {tensor.shape} is too large for a board")
    return Shape(height, width, channels)


def affine(operator: Operator | str, tensor: Tensor) -> tuple[float, int]:
    """Scale and zero point of an activation. UserError for more than one, or impossible ones."""
    if tensor.scales.size != 1:
        raise refusal(
            operator, tensor, f"needs one scale and has {tensor.scales.size}: quantize it"
        )
    scale, zero_point = float(tensor.scales[0]), int(tensor.zero_points[0])
    if scale <= 0 or not -128 <= zero_point <= 127:
        raise refusal(operator, tensor, f"has scale {scale} and zero point {zero_point}")
    return scale, zero_point


def check_shape(operator: Operator, result: Tensor, shape: Shape) -> None:
    """Raise UserError unless `shape`, which the operator makes, is what its result says."""
    if activation_shape(operator, result) != shape:
        raise refusal(operator, result, f"has shape {result.shape}, but the operator makes {shape}")


def multiplier_of(operator: Operator, result: Tensor, factor: float) -> tuple[int, int]:
    """A positive real factor as TFLite's (31-bit multiplier, shift). UserError if too large."""
    check_factor(operator, result, factor)
    return quantize.quantize_multiplier(factor)


def check_factor(operator: Operator, result: Tensor, factor: float) -> None:
    """Raise UserError for a factor that no multiplier and shift can state."""
    if factor >= LARGEST_FACTOR:
        raise refusal(operator, result, "has a scale too small for the interpreter's arithmetic")


def output_clamp(operator: Operator, tensor: Tensor) -> quantize.Table | None:
    """The table that clamps to the operator's fused activation; None if it changes nothing.

    Raises UserError for an activation that is not supported.
    """
    scale, zero_point = affine(operator, tensor)
    activation = operator.options["activation"]
    limits = quantize.activation_limits(activation, scale, zero_point)
    if limits is None:
        raise UserError(f"{operator}: fused activation {activation} is not supported")
    return quantize.clamp_table(*limits)
