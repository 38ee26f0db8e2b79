"""Variants of an int8 .tflite, for runtimes without int8 inputs and for comparison.

with_float_ends:  QUANTIZE → the int8 model, unchanged → DEQUANTIZE  (for browsers)
dequantized:      the same operators and weights in float32          (to compare cost with int8)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from swin2mcu.common.cli import UserError
from tinyml.format.writer import pack, schema

QUANTIZE_VERSION, DEQUANTIZE_VERSION = 1, 2


def with_float_ends(model: bytes) -> bytes:
    """The int8 model with float32 input and output; the operators between them are unchanged."""
    parsed = _parse(model)
    graph = parsed.subgraphs[0]
    taken, given = int(graph.inputs[0]), int(graph.outputs[0])
    first = _add_float_tensor(graph, taken, b"float_input")
    last = _add_float_tensor(graph, given, b"float_output")
    quantize = _operator(parsed, schema.BuiltinOperator.QUANTIZE, QUANTIZE_VERSION, first, taken)
    dequantize = _operator(
        parsed, schema.BuiltinOperator.DEQUANTIZE, DEQUANTIZE_VERSION, given, last
    )
    graph.operators = [quantize, *graph.operators, dequantize]
    graph.inputs, graph.outputs = np.array([first], np.int32), np.array([last], np.int32)
    return pack(parsed)


def dequantized(model: bytes) -> bytes:
    """An int8 model as a float model: real weights = scale · (stored - zero point)."""
    parsed = _parse(model)
    graph = parsed.subgraphs[0]
    for tensor in graph.tensors:
        if tensor.type not in (schema.TensorType.INT8, schema.TensorType.INT32):
            continue
        if tensor.type == schema.TensorType.INT32 and not _has_scale(tensor):
            continue  # a shape, axes of MEAN or sizes of PAD, which stay whole numbers
        stored = parsed.buffers[tensor.buffer].data
        if stored is not None and len(stored):
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(_real_values(tensor, bytes(stored)).tobytes(), np.uint8)
            parsed.buffers.append(buffer)  # a new buffer, because tensors may share one
            tensor.buffer = len(parsed.buffers) - 1
        tensor.type = schema.TensorType.FLOAT32
        tensor.quantization = None
    return pack(parsed)


def _real_values(tensor: Any, stored: bytes) -> np.ndarray[Any, np.dtype[np.float32]]:
    kind = np.int8 if tensor.type == schema.TensorType.INT8 else np.int32
    quantization = tensor.quantization
    if not _has_scale(tensor):
        raise UserError(f"tensor {tensor.name!r} has no scale: not a fully quantized int8 model")
    values = np.frombuffer(stored, kind).reshape(tensor.shape).astype(np.float64)
    scale = np.asarray(quantization.scale, np.float64)
    zero = np.asarray(quantization.zeroPoint, np.float64)
    if len(scale) > 1:  # one per output channel
        along = [1] * values.ndim
        along[quantization.quantizedDimension] = len(scale)
        scale, zero = scale.reshape(along), zero.reshape(along)
    return ((values - zero) * scale).astype(np.float32)


def _has_scale(tensor: Any) -> bool:
    scale = None if tensor.quantization is None else tensor.quantization.scale
    return scale is not None and len(scale) > 0


def _parse(model: bytes) -> Any:
    try:
        parsed = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
        graph = parsed.subgraphs[0]
        ends = [graph.tensors[int(i)] for i in (*graph.inputs, *graph.outputs)]
    except Exception as error:  # a malformed flatbuffer fails in many ways
        raise UserError(f"not a .tflite model: {error}") from error
    if len(ends) != 2 or any(end.type != schema.TensorType.INT8 for end in ends):
        raise UserError("not an int8 model with one input and one output")
    parsed.signatureDefs = None  # they name the old input and output
    return parsed


def _add_float_tensor(graph: Any, like: int, name: bytes) -> int:
    tensor = schema.TensorT()
    tensor.shape = graph.tensors[like].shape
    tensor.type = schema.TensorType.FLOAT32
    tensor.buffer = 0  # the empty one
    tensor.name = name
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _operator(model: Any, builtin: int, since: int, source: int, target: int) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = since
    model.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs = np.array([source], np.int32)
    operator.outputs = np.array([target], np.int32)
    return operator
