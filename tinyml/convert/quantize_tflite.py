"""Write QAT's ranges into a .tflite: match its tensors by value, then rewrite the file as int8.

The converter renames, reorders and transposes tensors. But each activation of its float file still
has the values of a tensor of the ONNX graph. So both graphs run on the same image and tensors with
equal values are matched; a tensor without a match is an error. Then every scale, zero point, weight
and bias is written from QAT's values. All data stays inside the flatbuffer: TFLite Micro treats
buffers outside it as not constant and computes wrong results.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytorch_side.int8.qparams import integer_bias, integer_weights
from swin2mcu.common.cli import UserError
from tinyml.format.schema_names import WEIGHTED
from tinyml.format.tflite import Graph, Operator
from tinyml.format.writer import AlignedBuffer, pack, schema

Arrays = dict[str, npt.NDArray[Any]]

# The supported operators, each with its version that has the int8 kernel.
OPERATOR_VERSIONS = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "ADD": 2,
    "MUL": 2,
    "MEAN": 2,
    "HARD_SWISH": 1,
    "RESHAPE": 1,
}
MATCH_TOLERANCE = 1e-3  # of a tensor's largest value; float kernels differ by about 1e-6


def require_supported(graph: Graph) -> None:
    """Raises UserError naming the first operator that is not supported in the int8 file."""
    for operator in graph.operators:
        if operator.op not in OPERATOR_VERSIONS:
            raise UserError(
                f"operator {operator.op} is not supported in int8 (known: "
                f"{', '.join(OPERATOR_VERSIONS)}): change the network or legalize that part"
            )


def match_tensors(
    graph: Graph, values: dict[int, npt.NDArray[Any]], named: Arrays
) -> dict[int, str]:
    """Activations of the float .tflite → names of ONNX tensors that hold the same values.

    `values` holds the tensors of the .tflite by index, `named` those of the ONNX file, for the same
    input. The output of a RESHAPE gets the name of its input. Raises UserError for a tensor without
    a match.
    """
    names: dict[int, str] = {}
    free = dict(named)
    reshaped = {o.outputs[0]: o.inputs[0] for o in graph.operators if o.op == "RESHAPE"}
    for index in (*graph.inputs, *(o.outputs[0] for o in graph.operators)):
        if index in reshaped:
            names[index] = names[reshaped[index]]
            continue
        value = values[index]
        distances = {n: _distance(value, v) for n, v in free.items() if v.size == value.size}
        name = min(distances, key=lambda n: distances[n], default="")
        if not name or distances[name] > MATCH_TOLERANCE:
            raise UserError(
                f"tensor {graph.tensors[index].name!r} of the converted file equals no tensor of "
                f"model.onnx (closest: {name or 'none'}, {distances.get(name, np.inf):.1e} off): "
                "the converter changed the network, so its ranges cannot be transferred"
            )
        names[index] = name
        del free[name]
    return names


def quantize_file(
    model: bytes, graph: Graph, names: dict[int, str], weights: Arrays, ranges: dict[str, Any]
) -> bytes:
    """A float .tflite → an int8 .tflite: the same operators on new tensors.

    `graph` is the parsed `model`, `weights` are those of model.onnx, `ranges` is the record of
    ranges.json. Raises UserError when a weight of the file differs from the ONNX file.
    """
    old = schema.ModelT.InitFromPackedBuf(model, 0)
    writer = _Writer()
    made = {index: writer.activation(graph, index, name, ranges) for index, name in names.items()}
    for operator, source in zip(graph.operators, old.subgraphs[0].operators, strict=True):
        inputs = [made[index] for index in operator.inputs if index in made]
        if operator.op in WEIGHTED:
            inputs += _weights(writer, graph, operator, names, weights, ranges)
        elif len(inputs) < len(operator.inputs):  # MEAN's axes, RESHAPE's shape
            constant = graph.tensors[operator.inputs[-1]]
            inputs.append(writer.tensor(constant.name, constant.data))
        writer.operator(operator.op, source, inputs, [made[operator.outputs[0]]])
    return writer.packed([made[i] for i in graph.inputs], [made[i] for i in graph.outputs])


def _weights(
    writer: _Writer,
    graph: Graph,
    operator: Operator,
    names: dict[int, str],
    weights: Arrays,
    ranges: dict[str, Any],
) -> list[int]:
    """New weight and bias tensors of a convolution or fully connected operator."""
    name = names[operator.outputs[0]]
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    for wanted, index in zip(
        (_layout(weight, operator.op), bias), operator.inputs[1:], strict=True
    ):
        # The float file has no tensor for a bias of zeros.
        found = graph.tensors[index].data if index >= 0 else np.zeros_like(wanted)
        if found is None or found.size != wanted.size or _distance(found, wanted) > MATCH_TOLERANCE:
            raise UserError(f"the converter changed the weights of {name}: QAT's do not fit")
    scales = np.array(ranges["weights"][name]["scales"], np.float32)
    input_scale = ranges["activations"][names[operator.inputs[0]]]["scale"]
    integers = _layout(integer_weights(weight, scales), operator.op)
    kept = scales[:1] if operator.op == "FULLY_CONNECTED" else scales
    dimension = 3 if operator.op == "DEPTHWISE_CONV_2D" else 0
    bias_scales = np.float32(input_scale) * kept
    return [
        writer.tensor(f"{name}.weight", integers, kept, dimension),
        writer.tensor(f"{name}.bias", integer_bias(bias, input_scale, scales), bias_scales),
    ]


def _layout(weight: npt.NDArray[Any], op: str) -> npt.NDArray[Any]:
    """torch's (out, in / groups, h, w) → TFLite's (out, h, w, in); depthwise (1, h, w, out)."""
    if weight.ndim == 2:
        return weight
    return weight.transpose((1, 2, 3, 0) if op == "DEPTHWISE_CONV_2D" else (0, 2, 3, 1))


def _distance(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Largest difference as a share of the largest value."""
    largest = max(float(np.abs(b).max()), 1e-12)
    return float(np.abs(a.reshape(-1) - b.reshape(-1)).max()) / largest


class _Writer:
    """Collects the tensors and operators of a new file."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        # Part of the published files, so its spelling is kept.
        self.model.description = "int8, ranges of quantisation-aware training"
        self.model.buffers = [AlignedBuffer()]  # the schema keeps the first one empty
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]

    def activation(self, graph: Graph, index: int, name: str, ranges: dict[str, Any]) -> int:
        tensor = schema.TensorT()
        tensor.name = name
        tensor.shape = np.array(graph.tensors[index].shape, np.int32)
        tensor.type = schema.TensorType.INT8
        entry = ranges["activations"][name]
        tensor.quantization = _quantization([entry["scale"]], [entry["zero_point"]], 0)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def tensor(
        self, name: str, data: npt.NDArray[Any] | None, scales: Any = (), dimension: int = 0
    ) -> int:
        """A constant: int8 or int32."""
        assert data is not None
        tensor = schema.TensorT()
        tensor.name = name
        tensor.shape = np.array(data.shape, np.int32)
        kinds = {"int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32}
        tensor.type = kinds[data.dtype.name]
        if len(scales):
            tensor.quantization = _quantization(scales, [0] * len(scales), dimension)
        buffer = AlignedBuffer()
        buffer.data = np.ascontiguousarray(data).tobytes()
        self.model.buffers.append(buffer)
        tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, op: str, source: Any, inputs: list[int], outputs: list[int]) -> None:
        """An operator with the options of `source`."""
        number = getattr(schema.BuiltinOperator, op)
        known = [code.builtinCode for code in self.model.operatorCodes]
        if number not in known:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = number
            code.version = OPERATOR_VERSIONS[op]
            self.model.operatorCodes.append(code)
            known.append(number)
        source.opcodeIndex = known.index(number)
        source.inputs, source.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        self.graph.operators.append(source)

    def packed(self, inputs: list[int], outputs: list[int]) -> bytes:
        self.graph.inputs = np.array(inputs, np.int32)
        self.graph.outputs = np.array(outputs, np.int32)
        return pack(self.model)


def _quantization(scales: Any, zero_points: Any, dimension: int) -> Any:
    parameters = schema.QuantizationParametersT()
    parameters.scale = np.array(scales, np.float32)
    parameters.zeroPoint = np.array(zero_points, np.int64)
    parameters.quantizedDimension = dimension
    return parameters
