"""A program's constants as C: packed weights, requantization, tables. They form model_data.h."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from tinyml.aot.ir import Add, Conv, Mean, Mul, Node, Pad, Pool, Program, Softmax, Window
from tinyml.aot.pack import pack_elementwise, pack_weights
from tinyml.aot.quantize import Table


class Constants:
    """Collects definitions. A table is written only once, even if several nodes use it."""

    def __init__(self, program: Program, core: str) -> None:
        self.program = program
        self.core = core
        self.tables: dict[bytes, str] = {}
        self.lines: list[str] = []
        # Upper bounds of what they take in a firmware: what lies where weights lie, and the rest.
        self.weights_bytes = 0
        self.other_bytes = 0

    def text(self) -> str:
        return "".join(self.lines)

    def add(self, index: int, node: Node) -> None:
        work = node.work
        name = f"{node.kind}{index}"
        match work:
            case Conv():
                self._conv_constants(index, node, work)
            case Mean():
                self._struct(
                    "MeanParams", name, work.bias, work.multiplier, work.shift, work.zero_point,
                    self.table(work.table),
                )  # fmt: skip
            case Add():
                # These tuples have the order of the fields of the C struct.
                a, b, (zero_point, multiplier, shift) = work.a, work.b, work.out
                self._struct(
                    "AddParams",
                    name,
                    *a,
                    *b,
                    multiplier,
                    shift,
                    zero_point,
                    self.table(work.table),
                    self.packed(name, node),
                )
            case Mul():
                zero_point, multiplier, shift = work.out
                self._struct(
                    "MulParams", name, work.a_zero_point, work.b_zero_point, multiplier, shift,
                    zero_point, self.table(work.table), self.packed(name, node),
                )  # fmt: skip
            case Pool():
                self._window(index, node, work.window)
                self.table(work.table)
            case Pad():
                source, out = node.inputs[0].shape, self.program.values[node.output].shape
                self._struct(
                    "PadParams", name, source.width, source.channels, out.width, out.channels,
                    work.window.pad_left, work.front, work.window.pad_value,
                )  # fmt: skip
            case Softmax():
                self.other_bytes += 4 * 256
                self.lines.append(
                    f"static const int32_t {name}[256] = {{\n{c_numbers(work.exponentials)}}};\n"
                )

    def _conv_constants(self, index: int, node: Node, work: Conv) -> None:
        requant, window = work.requant, work.window
        weights = pack_weights(node, self.core)
        self.weights_bytes += aligned(weights.size) + aligned(4 * requant.bias.size)
        self.other_bytes += 4 * requant.multiplier.size + aligned(requant.shift.size)
        self.lines.append(
            f"\n/* {title(self.program, node)} */\n"
            f"static const int8_t weights{index}[{weights.size}] "
            f"__attribute__((aligned(16))) MODEL_WEIGHTS_SECTION =\n{c_bytes(weights)};\n"
        )
        for kind, name, numbers in (
            ("int32_t", "bias", requant.bias),
            ("int32_t", "multiplier", requant.multiplier),
            ("int8_t", "shift", requant.shift),
        ):
            section = " MODEL_WEIGHTS_SECTION" if name == "bias" else ""
            self.lines.append(
                f"static const {kind} {name}{index}[{numbers.size}]{section} = {{\n"
                f"{c_numbers(numbers)}}};\n"
            )
        self._struct(
            "Requant", f"requant{index}", f"bias{index}", f"multiplier{index}", f"shift{index}",
            self.table(requant.table), requant.zero_point, requant.simple,
        )  # fmt: skip
        if node.kind in ("conv", "depthwise"):
            self._window(index, node, window)

    def _window(self, index: int, node: Node, window: Window) -> None:
        source, out = node.inputs[0].shape, self.program.values[node.output].shape
        self._struct(
            "Window", f"window{index}", source.width, out.width, source.channels, out.channels,
            window.kernel_height, window.kernel_width, window.stride_width, window.pad_left,
            window.pad_value,
        )  # fmt: skip

    def _struct(self, kind: str, name: str, *fields: int | str) -> None:
        self.other_bytes += 4 * len(fields)  # no field is larger than an int
        self.lines.append(
            f"static const {kind} {name} = {{{', '.join(str(f) for f in fields)}}};\n"
        )

    def packed(self, name: str, node: Node) -> str:
        """The name of an elementwise node's packed constants, which some kernels need."""
        values = pack_elementwise(node, self.core)
        if values is None:
            return "0"
        self.other_bytes += aligned(values.size)
        self.lines.append(
            f"static const int8_t {name}_packed[{values.size}] __attribute__((aligned(16))) = {{\n"
            f"{c_bytes(values)}}};\n"
        )
        return f"{name}_packed"

    def table(self, table: Table | None) -> str:
        """The name of a table; the table is written at its first use."""
        if table is None:
            return "0"
        key = table.tobytes()
        if key not in self.tables:
            self.tables[key] = f"table{len(self.tables)}"
            self.other_bytes += len(key)
            self.lines.append(
                f"static const int8_t {self.tables[key]}[256] = {{\n{c_numbers(table)}}};\n"
            )
        return self.tables[key]


def aligned(size: int) -> int:
    """`size` up to the next multiple of 16, to which weights are aligned."""
    return -(-size // 16) * 16


def title(program: Program, node: Node) -> str:
    """A node's operators, tensor and sizes, for a C comment. Names from the file are sanitized."""
    shape = program.values[node.output].shape
    sizes = f"{shape.height}x{shape.width}x{shape.channels}"
    name = re.sub(r"[^A-Za-z0-9_/:.;-]", "_", program.values[node.output].name)[-60:]
    return f"{' + '.join(node.operators)} -> {name} {sizes}"


def c_numbers(numbers: npt.NDArray[np.integer]) -> str:
    """Comma-separated numbers in lines of at most 100 columns."""
    lines, line = [], ""
    for number in numbers.tolist():
        # In C, -2147483648 is a minus sign and a long.
        text = "INT32_MIN," if number == -(1 << 31) else f"{number},"
        if len(line) + len(text) > 98:
            lines.append(line)
            line = ""
        line += text
    return "\n".join([*lines, line])


_ESCAPED = [
    chr(b) if chr(b).isascii() and (chr(b).isalnum() or chr(b) in " _+-*/=<>.,;:!#()[]{}|~^&@$")
    else f"\\{b:03o}"
    for b in range(256)
]  # fmt: skip


def c_bytes(values: npt.NDArray[np.int8]) -> str:
    """Bytes as string literals: compilers read them a hundred times faster than numbers."""
    data = values.tobytes()
    chunks = (data[i : i + 40].decode("latin-1") for i in range(0, len(data), 40))
    return "\n".join(f'"{chunk.translate(_ESCAPED)}"' for chunk in chunks)


def c_string(text: str) -> str:
    """A C string literal of UTF-8, with escapes for the bytes of a name that are no valid text."""
    return '"' + "".join(_ESCAPED[b] for b in text.encode(errors="backslashreplace")) + '"'
