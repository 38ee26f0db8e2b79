"""From a .tflite graph to the compiler's nodes; unsupported operators are refused by name."""

from __future__ import annotations

from collections.abc import Callable

from swin2mcu.common.cli import UserError
from tinyml.aot.ir import Program
from tinyml.aot.lower_conv import lower_conv, lower_depthwise, lower_fully_connected
from tinyml.aot.lower_layout import lower_concatenation, lower_pad, lower_pool, lower_softmax
from tinyml.aot.lower_pointwise import (
    lower_add,
    lower_hard_swish,
    lower_mean,
    lower_mul,
    lower_reshape,
)
from tinyml.aot.lower_tables import (
    lower_leaky_relu,
    lower_logistic,
    lower_quantize,
    lower_relu,
)
from tinyml.aot.lowering import Lowering, activation_shape, signed
from tinyml.format.tflite import Graph, Operator

_LOWERINGS: dict[str, Callable[[Lowering, Operator], None]] = {
    "ADD": lower_add,
    "AVERAGE_POOL_2D": lower_pool,
    "CONCATENATION": lower_concatenation,
    "CONV_2D": lower_conv,
    "DEPTHWISE_CONV_2D": lower_depthwise,
    "FULLY_CONNECTED": lower_fully_connected,
    "HARD_SWISH": lower_hard_swish,
    "LEAKY_RELU": lower_leaky_relu,
    "LOGISTIC": lower_logistic,
    "MAX_POOL_2D": lower_pool,
    "MEAN": lower_mean,
    "MUL": lower_mul,
    "PAD": lower_pad,
    "PADV2": lower_pad,
    "QUANTIZE": lower_quantize,
    "RELU": lower_relu,
    "RESHAPE": lower_reshape,
    "SOFTMAX": lower_softmax,
    "SQUEEZE": lower_reshape,
}
# Operators that compute the shape for a RESHAPE. With a batch of 1 the output tensor's own shape
# is enough.
_SHAPE_ARITHMETIC = ("PACK", "SHAPE", "STRIDED_SLICE")


def lower(graph: Graph) -> Program:
    """Lower a graph. Raises UserError naming the operator and the tensor that are not supported."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UserError(
            f"the model has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
            "export it with one of each"
        )
    graph = signed(graph)
    state = Lowering(graph)
    source, result = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    if len(source.shape) != 4:
        raise UserError(
            f"input {source} has shape {source.shape}; [1, height, width, channels] is needed"
        )
    state.define(source, activation_shape("the graph", source))
    for operator in graph.operators:
        if operator.op in _SHAPE_ARITHMETIC and all(
            graph.tensors[i].dtype == "int32" for i in operator.outputs
        ):
            continue
        if operator.op not in _LOWERINGS:
            raise UserError(
                f"{operator} is not supported (supported: {', '.join(sorted(_LOWERINGS))}); "
                "legalize and export the model again"
            )
        _LOWERINGS[operator.op](state, operator)
    if result.index not in state.operands or not state.nodes:
        raise UserError(f"output {result} is computed by no operator; export the model again")
    out = state.operands[result.index]
    scale, zero_point = float(result.scales[0]), int(result.zero_points[0])
    return Program(state.values, state.nodes, source.index, out.value, out.shape, scale, zero_point)
