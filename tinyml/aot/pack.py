"""Weights and scratch in the layout of each variant of the kernels, as defined by
firmware/lib/kernels/kernels.h."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tinyml.aot.ir import Add, Conv, Mul, Node, Program
from tinyml.aot.pack_elementwise import pack_add, pack_gate
from tinyml.aot.pack_pie import (
    depthwise_scratch_bytes,
    pack_conv1x1,
    pack_depthwise,
    rows_of_sixteens,
)
from tinyml.aot.pad_channels import rounded_up

CORES = ("portable", "vector", "dsp", "helium", "pie")

Bytes = npt.NDArray[np.int8]


def round4(n: int) -> int:
    return -(-n // 4) * 4


def pack_weights(node: Node, core: str) -> Bytes:
    """The bytes of a convolution's weights in the order `core` reads them."""
    assert isinstance(node.work, Conv)
    weights = node.work.weights
    match core, node.kind:
        case "dsp", "depthwise":
            return _paired_taps(weights)
        case "dsp", _:
            return _paired_rows(weights)
        case "helium", "depthwise":
            return _columns_of_taps(weights)
        case "pie", "depthwise":
            return pack_depthwise(weights, node.work.requant)
        case "pie", "conv1x1":
            return pack_conv1x1(weights.reshape(len(weights), -1), node.work.requant)
        case "pie", _:
            return rows_of_sixteens(weights.reshape(len(weights), -1))
    return weights.ravel()


def _paired_rows(weights: Bytes) -> Bytes:
    """[ceil(out / 2)][round4(depth) / 4][2][4]: alternately four weights of each of two outputs."""
    outputs, depth = weights.shape[0], weights[0].size
    padded = np.zeros((-(-outputs // 2) * 2, round4(depth)), np.int8)
    padded[:outputs, :depth] = weights.reshape(outputs, depth)
    pairs: Bytes = padded.reshape(-1, 2, round4(depth) // 4, 4).transpose(0, 2, 1, 3)
    return pairs.ravel()


def _paired_taps(weights: Bytes) -> Bytes:
    """[channels][ceil(entries / 2)][4]. An entry holds two taps, a word two entries.

    The two taps are one above the other; in the last row of an odd number they are side by side.
    """
    height, width, channels = weights.shape
    nothing = np.zeros(channels, np.int8)
    entries: list[tuple[Bytes, Bytes]] = []
    for y in range(0, height - 1, 2):
        entries += [(weights[y, x], weights[y + 1, x]) for x in range(width)]
    if height % 2:
        last = [*weights[-1], nothing]
        entries += [(last[x], last[x + 1]) for x in range(0, width, 2)]
    if len(entries) % 2:
        entries.append((nothing, nothing))
    words = [
        np.stack([a[0], b[0], a[1], b[1]]) for a, b in zip(entries[::2], entries[1::2], strict=True)
    ]
    packed: Bytes = np.stack(words).transpose(2, 0, 1)  # from [words][4][channels]
    return packed.ravel()


def _columns_of_taps(weights: Bytes) -> Bytes:
    """[channels][round16(width * height)]: the taps column by column."""
    return rows_of_sixteens(weights.transpose(2, 1, 0).reshape(weights.shape[2], -1))


def pack_elementwise(node: Node, core: str) -> Bytes | None:
    """The constants of `core` for a gate or a sum, or None."""
    if core == "pie" and isinstance(node.work, Add):
        return pack_add(node.work)
    if core == "pie" and isinstance(node.work, Mul) and node.kind == "gate":
        return pack_gate(node.work)
    return None


def scratch_bytes(program: Program, node: Node, core: str) -> int:
    """Scratch bytes that the node's kernel needs, for any pointer size up to 8 bytes."""
    if not isinstance(node.work, Conv):
        return 0
    weights, window = node.work.weights, node.work.window
    if core == "pie":
        return _pie_scratch_bytes(program, node)
    if node.kind == "depthwise":
        if core == "vector":
            return 0
        out_width = program.values[node.output].shape.width
        if core == "helium":  # computes planes of this many outputs at a time
            out_width = min(out_width, 16)
        columns = (out_width - 1) * window.stride_width + window.kernel_width
        if core == "dsp":
            pairs, last_row = divmod(window.kernel_height, 2)
            return 16 * (pairs * columns + last_row * ((columns + 1) // 2))
        if core == "helium":
            return 16 * window.kernel_height * columns + 32
        taps = window.kernel_height * window.kernel_width
        return round4(program.values[node.output].shape.channels) + 8 * taps
    shape = program.values[node.output].shape
    pixels = shape.width if node.kind == "conv" else shape.pixels
    if core == "vector":
        return 2 * rounded_up(int(weights[0].size)) * (round4(min(pixels, 16)) + 2)
    depth = round4(int(weights[0].size))
    if core == "dsp":
        most, column_bytes = (24, 8192) if node.kind == "conv" else (48, 10240)
        return 4 * depth + 2 * depth * max(3, min(pixels, most, column_bytes // depth)) + 16
    if core == "helium" and node.kind == "conv":
        return (16 if depth <= 64 else 8) * depth  # kernel_conv_row's columns
    return depth if node.kind == "conv" else 0


def _pie_scratch_bytes(program: Program, node: Node) -> int:
    assert isinstance(node.work, Conv)
    weights, shape = node.work.weights, program.values[node.output].shape
    if node.kind == "depthwise":
        return depthwise_scratch_bytes(node.work.window, shape)
    depth = int(weights[0].size)
    pixels = shape.width if node.kind == "conv" else shape.pixels
    if node.kind == "conv" or depth % 16:
        return 128 + rounded_up(depth) * min(pixels, 16)
    return 0 if depth <= 96 else 8 * min(pixels, 64)
