"""Round channel counts up, for kernels that work on sixteen bytes at a time.

A value with 24 channels gets 32, so that every pixel starts at a multiple of sixteen bytes. The
content of the added bytes is undefined and has no effect, because their weights are zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from tinyml.aot.ir import Conv, Node, Operand, Program, Requant, Shape

MULTIPLE = 16
# Nodes whose inputs and outputs have the same channels, unlike those of a convolution.
_TIED = ("depthwise", "sum", "mean", "add", "mul", "gate", "lookup")
_FREE = ("conv", "conv1x1")


def rounded_up(channels: int) -> int:
    return -(-channels // MULTIPLE) * MULTIPLE


def pad_channels(program: Program) -> None:
    """Round up the channels of every value inside the network for which they are not fixed."""
    for values in free_channels(program):
        for value in values:
            old = program.values[value]
            program.values[value] = replace(old, shape=_padded(old.shape))
    program.nodes = [_adapted(program, node) for node in program.nodes]


def free_channels(program: Program) -> list[list[int]]:
    """Groups of values that must have the same channels.

    Left out are values whose channels are fixed: the network's input and output, and values that a
    node does not process channel by channel.
    """
    leaders = {value: value for value in program.values}

    def leader(value: int) -> int:
        while leaders[value] != value:
            value = leaders[value]
        return value

    def tie(values: Iterable[int]) -> None:
        first, *others = values
        for other in others:
            leaders[leader(other)] = leader(first)

    fixed = {program.input, program.output}
    for node in program.nodes:
        values = _values_of(node)
        fixed.update(o.value for o in node.inputs if o.shape != program.values[o.value].shape)
        if node.kind in _TIED:
            tie(values)
        elif node.kind not in _FREE:
            fixed.update(values)
    for value in program.values:
        tie((program.stored(value), value))
    stay = {leader(value) for value in fixed}
    groups: dict[int, list[int]] = {}
    for value in program.values:
        if leader(value) not in stay:
            groups.setdefault(leader(value), []).append(value)
    return list(groups.values())


def _values_of(node: Node) -> list[int]:
    sums = [] if node.sums is None else [node.sums]
    return [node.output, *sums, *(operand.value for operand in node.inputs)]


def _padded(shape: Shape) -> Shape:
    return replace(shape, channels=rounded_up(shape.channels))


def _adapted(program: Program, node: Node) -> Node:
    """The node with the new shapes of its operands, and zero weights for added channels."""
    inputs = tuple(
        Operand(o.value, program.values[o.value].shape)
        if _padded(o.shape) == program.values[o.value].shape
        else o
        for o in node.inputs
    )
    work = node.work
    if isinstance(work, Conv):
        outputs = program.values[node.output].shape.channels
        weights = work.weights
        if node.kind == "depthwise":
            added = [(0, 0), (0, 0), (0, outputs - weights.shape[2])]
        else:
            more_inputs = inputs[0].shape.channels - weights.shape[3]
            added = [(0, outputs - weights.shape[0]), (0, 0), (0, 0), (0, more_inputs)]
        work = replace(
            work, weights=np.pad(weights, added), requant=_more_channels(work.requant, outputs)
        )
    return replace(node, inputs=inputs, work=work)


def _more_channels(requant: Requant, channels: int) -> Requant:
    """`requant` with added channels that keep Requant.simple true."""
    added = (0, channels - len(requant.bias))
    return replace(
        requant,
        bias=np.pad(requant.bias, added),
        multiplier=np.pad(requant.multiplier, added, constant_values=1 << 30),
        shift=np.pad(requant.shift, added, constant_values=-1),
    )
