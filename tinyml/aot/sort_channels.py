"""Reorder channels inside the network, so that similar ones are neighbors.

The lanes of firmware/lib/kernels/pie round sixteen neighbors with one shift, and as many digits as
the widest sum needs. The order of channels inside the network does not change its output. So the
channels of a depthwise convolution are sorted by their requantization factors, and the weights of
the convolutions around it are reordered to match.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tinyml.aot.ir import Conv, Node, Program, Requant
from tinyml.aot.pad_channels import free_channels

Order = npt.NDArray[np.intp]


def sort_channels(program: Program) -> None:
    """Sort the channels of every depthwise convolution whose order is not fixed."""
    orders: dict[int, Order] = {}
    for values in free_channels(program):
        for node in program.nodes:
            if node.kind == "depthwise" and node.output in values:
                orders.update(dict.fromkeys(values, _order(node)))
    program.nodes = [_reordered(node, orders) for node in program.nodes]


def _order(node: Node) -> Order:
    """By rising factors. Channels with a constant output come last, as they fit any group."""
    assert isinstance(node.work, Conv)
    requant = node.work.requant
    factor = requant.multiplier * 2.0 ** (requant.shift - 31)
    constant = ~node.work.weights.any(axis=(0, 1))
    order: Order = np.argsort(np.where(constant, np.inf, factor), kind="stable")
    return order


def _reordered(node: Node, orders: dict[int, Order]) -> Node:
    work = node.work
    if not isinstance(work, Conv):
        return node
    weights, requant = work.weights, work.requant
    if node.output in orders:
        order = orders[node.output]
        weights = weights[..., order] if node.kind == "depthwise" else weights[order]
        requant = _in_order(requant, order)
    if node.kind != "depthwise" and node.inputs[0].value in orders:
        weights = weights[..., orders[node.inputs[0].value]]
    return replace(node, work=replace(work, weights=weights, requant=requant))


def _in_order(requant: Requant, order: Order) -> Requant:
    return replace(
        requant,
        bias=requant.bias[order],
        multiplier=requant.multiplier[order],
        shift=requant.shift[order],
    )
