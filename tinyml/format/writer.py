"""Write .tflite files: GraphWriter makes int8 ones operator by operator, for networks without
training or conversion; `pack` makes the bytes of any model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated

schema = schema_py_generated  # of .tflite files; other modules import it from here
INT8, INT32 = schema.TensorType.INT8, schema.TensorType.INT32
UINT8 = schema.TensorType.UINT8
ACTIVATIONS = (0, 1, 2, 3)  # NONE, RELU, RELU_N1_TO_1, RELU6
_OPS = schema.BuiltinOperator
BUFFER_ALIGNMENT = 16  # required by the schema; Cortex-M faults on words that are not aligned


def pack(model: Any) -> bytes:
    """The file of a schema.ModelT."""
    builder = flatbuffers.Builder(1 << 16)  # where it begins; it grows
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class AlignedBuffer(schema_py_generated.BufferT):  # type: ignore[misc]
    """A buffer on a 16-byte boundary; the generated class does not align buffers."""

    def Pack(self, builder: flatbuffers.Builder) -> int:
        if not self.data:
            schema.BufferStart(builder)
            return int(schema.BufferEnd(builder))
        builder.StartVector(1, len(self.data), BUFFER_ALIGNMENT)
        builder.head -= len(self.data)
        builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return int(schema.BufferEnd(builder))


class GraphWriter:
    """Collects tensors and operators; activations are tensor indices."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []
        self.model.subgraphs = [self.graph]

    def tensor(
        self,
        shape: Sequence[int],
        scales: Sequence[float] = (),
        zero_points: Sequence[int] = (),
        dtype: int = INT8,
        data: npt.NDArray[Any] | None = None,
        dimension: int = 0,
    ) -> int:
        """Add a tensor and return its number. Without `data` it is an activation."""
        tensor = schema.TensorT()
        tensor.shape, tensor.type = list(shape), dtype
        tensor.name = f"t{len(self.graph.tensors)}".encode()
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        if len(scales):
            quantization = schema.QuantizationParametersT()
            quantization.scale = [float(s) for s in scales]
            quantization.zeroPoint = [int(z) for z in zero_points]
            quantization.quantizedDimension = dimension
            tensor.quantization = quantization
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def activation(self, shape: Sequence[int], scale: float, zero_point: int) -> int:
        return self.tensor(shape, [scale], [zero_point])

    def input(self, shape: Sequence[int], scale: float, zero_point: int) -> int:
        tensor = self.activation(shape, scale, zero_point)
        self.graph.inputs = [tensor]
        return tensor

    def constant(
        self, data: npt.NDArray[Any], scales: Sequence[float] = (), dimension: int = 0
    ) -> int:
        dtype = {np.dtype("int8"): INT8, np.dtype("int32"): INT32}[data.dtype]
        return self.tensor(data.shape, scales, [0] * len(scales), dtype, data, dimension)

    def operator(
        self, op: str, inputs: Sequence[int], output: int, options: Any = None, kind: int = 0
    ) -> int:
        number = getattr(_OPS, op)
        codes = [code.builtinCode for code in self.model.operatorCodes]
        if number not in codes:
            code = schema.OperatorCodeT()
            code.builtinCode = number
            code.deprecatedBuiltinCode = min(number, 127)
            code.version = 1
            self.model.operatorCodes.append(code)
            codes.append(number)
        operator = schema.OperatorT()
        operator.opcodeIndex = codes.index(number)
        operator.inputs, operator.outputs = list(inputs), [output]
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self.graph.operators.append(operator)
        return output

    def conv(
        self,
        x: int,
        weights: npt.NDArray[np.int8],
        scales: Sequence[float],
        bias: npt.NDArray[Any] | None,
        output: int,
        stride: tuple[int, int] = (1, 1),
        padding: int = 0,
        activation: int = 0,
        dilation: int = 1,
    ) -> int:
        """`weights` [out, height, width, in]; stride (down, right); padding 0 SAME, 1 VALID."""
        options = schema.Conv2DOptionsT()
        self._window(options, stride, padding, activation, dilation)
        return self._weighted("CONV_2D", x, weights, scales, bias, output, options, 1, 0)

    def depthwise(
        self,
        x: int,
        weights: npt.NDArray[np.int8],
        scales: Sequence[float],
        bias: npt.NDArray[Any] | None,
        output: int,
        stride: tuple[int, int] = (1, 1),
        padding: int = 0,
        activation: int = 0,
        multiplier: int = 1,
        dilation: int = 1,
    ) -> int:
        """`weights` [1, height, width, channels * multiplier]."""
        options = schema.DepthwiseConv2DOptionsT()
        self._window(options, stride, padding, activation, dilation)
        options.depthMultiplier = multiplier
        return self._weighted("DEPTHWISE_CONV_2D", x, weights, scales, bias, output, options, 2, 3)

    def fully_connected(
        self,
        x: int,
        weights: npt.NDArray[np.int8],
        scales: Sequence[float],
        bias: npt.NDArray[Any] | None,
        output: int,
        activation: int = 0,
    ) -> int:
        """`weights` [out, in]."""
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = activation
        return self._weighted("FULLY_CONNECTED", x, weights, scales, bias, output, options, 8, 0)

    def _window(
        self, options: Any, stride: tuple[int, int], padding: int, activation: int, dilation: int
    ) -> None:
        options.strideH, options.strideW = stride
        options.padding, options.fusedActivationFunction = padding, activation
        options.dilationHFactor = options.dilationWFactor = dilation

    def _weighted(
        self,
        op: str,
        x: int,
        weights: npt.NDArray[np.int8],
        scales: Sequence[float],
        bias: npt.NDArray[Any] | None,
        output: int,
        options: Any,
        kind: int,
        dimension: int,
    ) -> int:
        inputs = [x, self.constant(weights, scales, dimension)]
        if bias is not None:
            in_scale = self.graph.tensors[x].quantization.scale[0]
            inputs.append(self.constant(bias, [in_scale * s for s in scales]))
        return self.operator(op, inputs, output, options, kind)

    def pair(self, op: str, a: int, b: int, output: int, activation: int = 0) -> int:
        """ADD or MUL."""
        kind = {"ADD": 11, "MUL": 21}[op]
        options = {"ADD": schema.AddOptionsT, "MUL": schema.MulOptionsT}[op]()
        options.fusedActivationFunction = activation
        return self.operator(op, [a, b], output, options, kind)

    def mean(self, x: int, output: int, keep_dims: bool = True) -> int:
        options = schema.ReducerOptionsT()
        options.keepDims = keep_dims
        axes = self.constant(np.array([1, 2], np.int32))
        return self.operator("MEAN", [x, axes], output, options, 27)

    def hard_swish(self, x: int, output: int) -> int:
        return self.operator("HARD_SWISH", [x], output, schema.HardSwishOptionsT(), 91)

    def reshape(self, x: int, shape: Sequence[int], output: int) -> int:
        options = schema.ReshapeOptionsT()
        options.newShape = list(shape)
        target = self.constant(np.array(shape, np.int32))
        return self.operator("RESHAPE", [x, target], output, options, 17)

    def pool(
        self,
        op: str,
        x: int,
        kernel: tuple[int, int],
        output: int,
        strides: tuple[int, int] = (1, 1),
        padding: int = 0,
        activation: int = 0,
    ) -> int:
        """AVERAGE_POOL_2D or MAX_POOL_2D."""
        options = schema.Pool2DOptionsT()
        options.filterHeight, options.filterWidth = kernel
        options.strideH, options.strideW = strides
        options.padding, options.fusedActivationFunction = padding, activation
        return self.operator(op, [x], output, options, 5)

    def softmax(self, x: int, output: int, beta: float = 1.0) -> int:
        options = schema.SoftmaxOptionsT()
        options.beta = beta
        return self.operator("SOFTMAX", [x], output, options, 9)

    def pad(self, x: int, sizes: Sequence[tuple[int, int]], output: int) -> int:
        """`sizes` are (before, after) of each dimension."""
        amounts = self.constant(np.array(sizes, np.int32))
        return self.operator("PAD", [x, amounts], output, schema.PadOptionsT(), 22)

    def concatenation(self, parts: Sequence[int], axis: int, output: int) -> int:
        options = schema.ConcatenationOptionsT()
        options.axis = axis
        return self.operator("CONCATENATION", parts, output, options, 10)

    def leaky_relu(self, x: int, alpha: float, output: int) -> int:
        options = schema.LeakyReluOptionsT()
        options.alpha = alpha
        return self.operator("LEAKY_RELU", [x], output, options, 75)

    def pointwise(self, op: str, x: int, output: int) -> int:
        """LOGISTIC, QUANTIZE, RELU: operators without options."""
        return self.operator(op, [x], output)

    def finish(self, output: int, change: Callable[[Any], None] | None = None) -> bytes:
        """The bytes of the file. `change` may modify the model first, for tests of bad input."""
        self.graph.outputs = [output]
        if change is not None:
            change(self.model)
        return pack(self.model)
