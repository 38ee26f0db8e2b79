"""Fusions: they save work or memory and keep the output bytes. Each can be switched off to measure.

pads     a PAD with zeros becomes padding of the window that reads it
tables   a table-driven operator (hard-swish, …) becomes part of the node that computes its input
sums     the sum for a mean is computed while the depthwise convolution before it writes its output
in_place a pointwise node overwrites its input if no later node reads it
stream   expansion, depthwise and projection run row by row through ring buffers (schedule.py)
overlay  a step's output may grow into the input it is consuming (memory.py)
"""

from __future__ import annotations

from dataclasses import replace

from tinyml.aot.ir import (
    Add,
    Conv,
    Lookup,
    Mean,
    Mul,
    Node,
    Operand,
    Pad,
    Pool,
    Program,
    Shape,
    Window,
    Work,
)
from tinyml.aot.quantize import Table, compose

FUSIONS = ("pads", "tables", "sums", "in_place", "stream", "overlay")


def fuse(program: Program, fusions: frozenset[str]) -> None:
    """Apply the chosen ones of `pads`, `tables`, `sums` and `in_place` to `program`."""
    if "pads" in fusions:
        _fuse_pads(program)
    if "tables" in fusions:
        _fuse_tables(program)
    if "sums" in fusions:
        _fuse_sums(program)
    if "in_place" in fusions:
        _share_places(program)


def _fuse_pads(program: Program) -> None:
    """Replace a PAD with zeros before a convolution by the padding of the convolution's window."""
    nodes: list[Node] = []
    for node in program.nodes:
        source = node.inputs[0]
        framed = next((i for i, n in enumerate(nodes) if n.output == source.value), None)
        if framed is not None and isinstance(node.work, Conv) and source.value != program.output:
            frame, shape = nodes[framed], program.values[source.value].shape
            alone = len(program.consumers(source.value)) == 1 and source.shape == shape
            if isinstance(frame.work, Pad) and alone:
                out = program.values[node.output].shape
                window = _padded_window(node.work.window, frame.work, frame.inputs[0], shape, out)
                if window is not None:
                    del nodes[framed]
                    node = replace(
                        node,
                        operators=frame.operators + node.operators,
                        inputs=frame.inputs,
                        work=replace(node.work, window=window),
                    )
        nodes.append(node)
    program.nodes = nodes


def _padded_window(
    window: Window, frame: Pad, inner: Operand, framed: Shape, out: Shape
) -> Window | None:
    """`window` over the unpadded input; None if the kernels do not support such padding."""
    if frame.window.pad_value != window.pad_value or framed.channels != inner.shape.channels:
        return None
    top, left = window.pad_top + frame.window.pad_top, window.pad_left + frame.window.pad_left
    last_row = (out.height - 1) * window.stride_height - top
    last_column = (out.width - 1) * window.stride_width - left
    # Every window must overlap the image.
    if top >= window.kernel_height or left >= window.kernel_width:
        return None
    if last_row >= inner.shape.height or last_column >= inner.shape.width:
        return None
    return replace(window, pad_top=top, pad_left=left)


def _fuse_tables(program: Program) -> None:
    """Merge every lookup into the node before it, unless other nodes read that node's output."""
    nodes: list[Node] = []
    made_by: dict[int, int] = {}  # value → position in `nodes`
    for node in program.nodes:
        source = node.inputs[0].value
        if (
            isinstance(node.work, Lookup)
            and source in made_by
            and len(program.consumers(source)) == 1
            and source != program.output
        ):
            position = made_by[source]
            producer = nodes[position]
            work = _with_table(producer.work, node.work.table)
            if work is not None:
                operators = producer.operators + node.operators
                output = _adopt_shape(program, node.output, producer.output)
                nodes[position] = replace(producer, operators=operators, output=output, work=work)
                made_by[output] = position
                continue
        made_by[node.output] = len(nodes)
        nodes.append(node)
    program.nodes = nodes


def _adopt_shape(program: Program, value: int, made: int) -> int:
    """Give `value` the shape that the producer writes; a RESHAPE in between changes no byte."""
    program.values[value] = replace(program.values[value], shape=program.values[made].shape)
    return value


def _with_table(work: Work, table: Table) -> Work | None:
    """The same work followed by `table`; None where the work has no int8 output."""
    match work:
        case Conv():
            return replace(
                work, requant=replace(work.requant, table=compose(work.requant.table, table))
            )
        case Mean() | Add() | Mul() | Pool():
            return replace(work, table=compose(work.table, table))
        case Lookup():
            composed = compose(work.table, table)
            assert composed is not None  # because neither of the two tables is None
            return Lookup(composed)
    return None


def _fuse_sums(program: Program) -> None:
    """Let a depthwise convolution add up its own output if a mean reads it."""
    nodes: list[Node] = []
    for node in program.nodes:
        producer = next((i for i, n in enumerate(nodes) if n.output == node.inputs[0].value), None)
        if node.kind == "sum" and producer is not None:
            maker = nodes[producer]
            same = program.values[maker.output].shape == node.inputs[0].shape
            if maker.kind == "depthwise" and maker.sums is None and same:
                nodes[producer] = replace(
                    maker, operators=maker.operators + node.operators, sums=node.output
                )
                continue
        nodes.append(node)
    program.nodes = nodes


def _share_places(program: Program) -> None:
    """Let pointwise nodes overwrite an input if they are its last reader."""
    last_reader = {o.value: i for i, node in enumerate(program.nodes) for o in node.inputs}
    for index, node in enumerate(program.nodes):
        if node.kind not in ("add", "mul", "gate", "lookup"):
            continue
        shape = program.values[node.output].shape
        # The newest input is the one whose producer can run in step with this node.
        for operand in sorted(node.inputs, key=lambda o: _birth(program, o), reverse=True):
            place = program.stored(operand.value)
            aliases = [v for v in program.values if program.stored(v) == place]
            if (
                operand.shape == shape == program.values[operand.value].shape
                and program.values[place].size == shape.size
                and program.output not in aliases
                and all(last_reader.get(v, -1) <= index for v in aliases)
                and sum(o.value in aliases for o in node.inputs) == 1
            ):
                program.storage[node.output] = place
                break


def _birth(program: Program, operand: Operand) -> int:
    return next((i for i, n in enumerate(program.nodes) if n.output == operand.value), -1)
