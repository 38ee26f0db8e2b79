"""The compiler's representation of a network: values (data in the arena) and nodes (kernel calls).

It has only integers: scales became multipliers, activations became tables, and zero points were
folded into biases.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tinyml.aot.quantize import Int64Array, Table


@dataclass(frozen=True)
class Shape:
    """The shape of one image: NHWC without N."""

    height: int
    width: int
    channels: int

    @property
    def row_bytes(self) -> int:
        return self.width * self.channels

    @property
    def pixels(self) -> int:
        return self.height * self.width

    @property
    def size(self) -> int:
        return self.height * self.row_bytes


@dataclass(frozen=True)
class Value:
    """The output of a node: int8, or int32 for the sums of a mean."""

    name: str
    shape: Shape
    item_bytes: int = 1

    @property
    def row_bytes(self) -> int:
        return self.shape.row_bytes * self.item_bytes

    @property
    def size(self) -> int:
        return self.shape.size * self.item_bytes


@dataclass(frozen=True, eq=False)
class Requant:
    """From accumulator to int8, per output channel; see Requant in kernels.h."""

    bias: Int64Array
    multiplier: Int64Array
    shift: Int64Array
    zero_point: int
    table: Table | None
    simple: int


@dataclass(frozen=True)
class Window:
    """Kernel size, stride and padding. Padding on the right and below follows from the shapes."""

    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    pad_top: int
    pad_left: int
    pad_value: int


@dataclass(frozen=True, eq=False)
class Conv:
    """A convolution, weights [out, height, width, in], or a depthwise convolution, weights
    [height, width, channel]."""

    weights: npt.NDArray[np.int8]
    requant: Requant
    window: Window


@dataclass(frozen=True, eq=False)
class Mean:
    bias: int
    multiplier: int
    shift: int
    zero_point: int
    table: Table | None


@dataclass(frozen=True, eq=False)
class Add:
    a: tuple[int, int, int]  # zero point, multiplier, shift
    b: tuple[int, int, int]
    out: tuple[int, int, int]
    table: Table | None


@dataclass(frozen=True, eq=False)
class Mul:
    a_zero_point: int
    b_zero_point: int
    out: tuple[int, int, int]
    table: Table | None


@dataclass(frozen=True, eq=False)
class Lookup:
    table: Table


@dataclass(frozen=True)
class Sum:
    """Adds its input's pixels to the sums it writes."""


@dataclass(frozen=True, eq=False)
class Pool:
    """The average or maximum in a window; positions outside the image are ignored."""

    window: Window
    table: Table | None


@dataclass(frozen=True, eq=False)
class Softmax:
    exponentials: Int64Array  # [256], Q0.31, indexed by maximum - value


@dataclass(frozen=True)
class Pad:
    """Pads its input with window.pad_value: pad_top rows, pad_left columns and `front` channels
    before it, and after it as much as the output's shape needs."""

    window: Window  # of one row and column
    front: int


@dataclass(frozen=True)
class Concat:
    """Concatenates its inputs along "height", "width" or "channels"."""

    axis: str


Work = Conv | Mean | Add | Mul | Lookup | Sum | Pool | Softmax | Pad | Concat

WINDOWED = ("conv", "depthwise", "average", "maximum", "pad")  # kinds that run row by row


def window_of(work: Work) -> Window | None:
    """The window from which a row of the node's output is computed, if it has one."""
    return work.window if isinstance(work, (Conv, Pool, Pad)) else None


@dataclass(frozen=True)
class Operand:
    """A value with the shape in which a node reads it; a RESHAPE only changes the shape."""

    value: int
    shape: Shape


@dataclass(frozen=True, eq=False)
class Node:
    """One kernel call per row, or for a whole tensor."""

    kind: str  # conv1x1 conv depthwise sum mean add mul gate lookup average maximum softmax pad …
    operators: tuple[str, ...]  # the operators of the .tflite that it computes
    inputs: tuple[Operand, ...]
    output: int
    work: Work
    sums: int | None = None  # the int32 value a depthwise convolution adds its output to
    macs: int = 0


@dataclass(eq=False)
class Program:
    """A network ready to be scheduled. Nodes are in an order in which they can run."""

    values: dict[int, Value]
    nodes: list[Node]
    input: int
    output: int
    output_shape: Shape
    output_scale: float
    output_zero_point: int
    storage: dict[int, int] = field(default_factory=dict)  # value → the value whose bytes it shares

    def stored(self, value: int) -> int:
        """The value whose place in the arena `value` shares."""
        while self.storage.get(value, value) != value:
            value = self.storage[value]
        return value

    def consumers(self, value: int) -> list[int]:
        return [i for i, n in enumerate(self.nodes) if any(o.value == value for o in n.inputs)]
