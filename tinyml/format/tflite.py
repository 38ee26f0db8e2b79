"""Read a .tflite file into plain values. The file is untrusted: everything is checked."""

from __future__ import annotations

import math
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from swin2mcu.common.cli import UserError
from tinyml.format.flatbuffer import NO_TABLE, MalformedError, Table, root
from tinyml.format.schema_names import DTYPES, OPERATORS, OPTIONAL, OPTIONS, TRANSLATIONS, WEIGHTED

MAX_FILE_BYTES = 256 << 20
MAX_ITEMS = 1 << 16  # tensors, buffers or operators; real networks have a few hundred
MAX_RANK = 8
MAX_OPERANDS = 64


# eq=False: comparing arrays does not give one bool.
@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor. Quantized: real = scale * (value - zero_point), per tensor or per channel."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str  # numpy's name
    scales: npt.NDArray[np.float32]  # none, one, or one per index of `quantized_dimension`
    zero_points: npt.NDArray[np.int64]  # as many as there are scales
    quantized_dimension: int
    data: npt.NDArray[Any] | None  # of a constant, in its shape; a view of the file
    dynamic: bool  # a dimension other than the batch is unknown until run time

    def __str__(self) -> str:
        return f"tensor {self.index} {self.name!r}"


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator. Inputs and outputs are tensor indices, or -1 for an absent optional input."""

    index: int
    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.op} {self.index}"


@dataclass(frozen=True, eq=False)
class Graph:
    """The first subgraph of a file."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read(path: Path) -> Graph:
    """Read a .tflite file. Raises UserError for any other or malformed file."""
    try:
        check_plain(path, MAX_FILE_BYTES, "a model for this")
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    try:
        return parse(data)
    except MalformedError as error:
        raise UserError(f"{path} is not a usable .tflite file: {error}; export it again") from error


def check_plain(path: Path, most: int, what: str) -> None:
    """Raise UserError for a file of more than `most` bytes, and for a pipe or a device: reading one
    may never end. Raises OSError for a missing file."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"cannot read {path}: it is not a plain file")
    if found.st_size > most:
        raise UserError(f"{path} is larger than {most / 2**20:.0f} MiB: not {what}")


def parse(data: bytes) -> Graph:
    """Read a .tflite file's bytes. Raises MalformedError naming operator or tensor."""
    if data[4:8] != b"TFL3":
        raise MalformedError("the identifier TFL3 is missing")
    model = root(data)
    subgraphs = model.tables(2, MAX_ITEMS)
    if len(subgraphs) != 1:
        raise MalformedError(f"{len(subgraphs)} subgraphs where one is expected")
    main = subgraphs[0]
    buffers = model.tables(4, MAX_ITEMS)
    codes = [_operator_name(code) for code in model.tables(1, MAX_ITEMS)]
    tensors = tuple(
        _named(f"tensor {i}", _tensor, i, table, buffers)
        for i, table in enumerate(main.tables(0, MAX_ITEMS))
    )
    operators = tuple(
        _named(f"operator {i}", _operator, i, table, codes, len(tensors))
        for i, table in enumerate(main.tables(3, MAX_ITEMS))
    )
    inputs = _named("the graph's inputs", _indices, main, 1, len(tensors), 0)
    outputs = _named("the graph's outputs", _indices, main, 2, len(tensors), 0)
    return Graph(tensors, operators, inputs, outputs)


def _named(subject: str, reader: Any, *arguments: Any) -> Any:
    """Call `reader`, and add `subject` to the message of its errors."""
    try:
        return reader(*arguments)
    except MalformedError as error:
        raise MalformedError(f"{subject}: {error}") from error


def _operator_name(code: Table) -> str:
    # The older field is a byte and became too small; the larger number is the right one.
    number = max(code.scalar(0, "<b", 0), code.scalar(3, "<i", 0))
    return OPERATORS.get(number, f"BUILTIN_{number}")


def _indices(table: Table, slot: int, count: int, lowest: int) -> tuple[int, ...]:
    raw = table.vector(slot, "<i4", MAX_OPERANDS)
    indices = () if raw is None else tuple(int(i) for i in raw)
    if any(not lowest <= i < count for i in indices):
        raise MalformedError(f"refers to a tensor outside 0…{count - 1}")
    return indices


def _tensor(index: int, table: Table, buffers: list[Table]) -> Tensor:
    raw_shape = table.vector(0, "<i4", MAX_RANK)
    shape = () if raw_shape is None else tuple(int(n) for n in raw_shape)
    signature = table.vector(7, "<i4", MAX_RANK)
    # An unknown batch is 1, as in `shape` and as the interpreter runs it.
    dynamic = any(n < 0 for n in shape) or (
        signature is not None and bool((signature[1:] < 0).any())
    )
    if table.table(6) is not None:
        raise MalformedError("is sparse, which nothing here reads")
    number = table.scalar(1, "<b", 0)
    dtype = DTYPES.get(number, f"type {number}")
    scales, zero_points, dimension = _quantization(table.table(4), shape)
    data = _buffer(table, buffers)
    if data is not None:
        data = _shaped(data, shape, dtype)
    return Tensor(index, table.text(3), shape, dtype, scales, zero_points, dimension, data, dynamic)


def _quantization(
    table: Table | None, shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], int]:
    scales = None if table is None else table.vector(2, "<f4")
    if table is None or scales is None or not scales.size:
        return np.zeros(0, np.float32), np.zeros(0, np.int64), 0
    zero_points = table.vector(3, "<i8")
    if zero_points is None or not zero_points.size:
        zero_points = np.broadcast_to(np.int64(0), scales.shape)
    # For a bias, older converters store the dimension of the weights, but a vector has only one.
    dimension = 0 if len(shape) == 1 else table.scalar(6, "<i", 0)
    if scales.size > 1 and not (0 <= dimension < len(shape) and shape[dimension] == scales.size):
        raise MalformedError(f"{scales.size} scales do not match dimension {dimension} of {shape}")
    if zero_points.size != scales.size:
        raise MalformedError(f"{zero_points.size} zero points for {scales.size} scales")
    if not (np.isfinite(scales).all() and (scales >= 0).all()):
        raise MalformedError("a scale that is not a finite positive number")
    return scales, zero_points, dimension


def _buffer(table: Table, buffers: list[Table]) -> npt.NDArray[np.uint8] | None:
    """The tensor's bytes, inside the flatbuffer or after it; None if it has no data."""
    index = table.scalar(2, "<I", 0)
    if table.scalar(10, "<I", 0):
        raise MalformedError("its data lies in another file")
    if index >= max(len(buffers), 1):
        raise MalformedError(f"buffer {index} is missing")
    if not buffers:
        return None
    inline = buffers[index].vector(0, "u1")
    offset, size = buffers[index].scalar(1, "<Q", 0), buffers[index].scalar(2, "<Q", 0)
    if offset > 1:  # in the schema, 1 means "to be filled in"
        if offset + size > len(table.data):
            raise MalformedError(f"buffer {index} lies outside the file: it was cut off")
        return np.frombuffer(table.data, "u1", size, offset)
    return inline if inline is not None and inline.size else None


def _shaped(data: npt.NDArray[np.uint8], shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    if dtype.startswith("type") or any(n < 0 for n in shape):
        return data
    expected = math.prod(shape) * np.dtype(dtype).itemsize
    if data.size != expected:
        raise MalformedError(f"holds {data.size} bytes where {dtype} {shape} needs {expected}")
    return data.view(np.dtype(dtype).newbyteorder("<")).reshape(shape)


def _operator(index: int, table: Table, codes: list[str], tensor_count: int) -> Operator:
    code = table.scalar(0, "<I", 0)
    if code >= len(codes):
        raise MalformedError(f"operator code {code} is missing")
    op = codes[code]
    inputs = _named(op, _indices, table, 1, tensor_count, -1)
    outputs = _named(op, _indices, table, 2, tensor_count, 0)
    if op in WEIGHTED and (len(inputs) < 2 or min(inputs[:2]) < 0 or not outputs):
        raise MalformedError(f"{op}: its input, weights or output are missing")
    return Operator(index, op, inputs, outputs, _named(op, _operator_options, op, table))


def _operator_options(op: str, table: Table) -> dict[str, Any]:
    if op not in OPTIONS:
        return {}
    kind, layout = OPTIONS[op]
    options, found = table.table(4), table.scalar(3, "<B", 0)
    if options is None and found == 0 and op in OPTIONAL:
        options, found = NO_TABLE, kind
    if options is None or found != kind:
        raise MalformedError("its options are missing or of another operator")
    values: dict[str, Any] = {}
    for name, (slot, form, default) in layout.items():
        if form == "<f":
            values[name] = options.real(slot, default)
            continue
        value = options.scalar(slot, form, int(default))
        if name in TRANSLATIONS:
            if value not in TRANSLATIONS[name]:
                raise MalformedError(f"unknown {name} {value}")
            values[name] = TRANSLATIONS[name][value]
        else:
            values[name] = value
    return values
