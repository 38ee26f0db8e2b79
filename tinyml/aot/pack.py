"""Weights and scratch as each variant of the kernels wants them; firmware/lib/kernels/kernels.h is
the contract that this follows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tinyml.aot.ir import Conv, Node

CORES = ("portable", "dsp", "helium")


def round4(n: int) -> int:
    return (n + 3) // 4 * 4


def pack_weights(node: Node, core: str) -> npt.NDArray[np.int8]:
    """The bytes of a convolution's weights in the order `core` reads them."""
    assert isinstance(node.work, Conv)
    weights = node.work.weights
    if node.kind == "depthwise" or core != "dsp":
        return weights.ravel()
    rows = weights.reshape(weights.shape[0], -1)
    outputs, depth = rows.shape
    padded = np.zeros((-(-outputs // 2) * 2, round4(depth)), np.int8)
    padded[:outputs, :depth] = rows
    pairs = padded.reshape(-1, 2, round4(depth) // 4, 4).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(pairs).ravel()


def scratch_bytes(node: Node, core: str) -> int:
    """What the node's kernel needs besides its operands, for any pointer size up to 8 bytes."""
    if not isinstance(node.work, Conv):
        return 0
    weights = node.work.weights
    if node.kind == "depthwise":
        return round4(weights.shape[2]) + 4 + 8 * weights.shape[0] * weights.shape[1]
    depth = round4(int(weights[0].size))
    if core == "dsp":
        return 8 * depth
    return 0 if node.kind == "conv1x1" else depth
