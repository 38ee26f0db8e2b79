"""Rewrites that keep the bytes and save work or memory; each can be switched off to measure it.

tables   a table-driven operator (hard-swish, …) becomes part of the node that makes its input
sums     the sum under a mean is taken while the depthwise convolution before it writes its output
in_place a pointwise node writes over its input where nobody needs that any more
stream   expansion, depthwise and projection run row by row through ring buffers (schedule.py)
overlay  a step's output may grow into the input it is consuming (memory.py)
"""

from __future__ import annotations

from dataclasses import replace

from tinyml.aot.ir import Add, Conv, Lookup, Mean, Mul, Node, Operand, Program, Work
from tinyml.aot.quantize import Table, compose

FUSIONS = ("tables", "sums", "in_place", "stream", "overlay")


def fuse(program: Program, fusions: frozenset[str]) -> None:
    """Apply the chosen ones of `tables`, `sums` and `in_place` to `program`."""
    if "tables" in fusions:
        _fuse_tables(program)
    if "sums" in fusions:
        _fuse_sums(program)
    if "in_place" in fusions:
        _share_places(program)


def _fuse_tables(program: Program) -> None:
    """Merge every lookup into the node before it, unless others read what lies between."""
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
    """`value` as the producer writes it; a RESHAPE in between changes no byte."""
    program.values[value] = replace(program.values[value], shape=program.values[made].shape)
    return value


def _with_table(work: Work, table: Table) -> Work | None:
    """The same work followed by `table`; None where the work has no int8 output."""
    match work:
        case Conv():
            return replace(
                work, requant=replace(work.requant, table=compose(work.requant.table, table))
            )
        case Mean() | Add() | Mul():
            return replace(work, table=compose(work.table, table))
        case Lookup():
            composed = compose(work.table, table)
            assert composed is not None  # of two tables
            return Lookup(composed)
    return None


def _fuse_sums(program: Program) -> None:
    """Let a depthwise convolution add up its own output where a mean wants it."""
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
    """Let pointwise nodes write over an input that they are the last to read."""
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
