"""MobileNetV3 as the chain exports it (batch norm folded, gate legalized), with random weights.

Cost and memory do not depend on the weights, so both can be planned, counted and tested before a
network is trained.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tinyml.format.writer import GraphWriter

# kernel, expanded channels, channels out, squeeze channels (0: none), hard-swish, stride
Block = tuple[int, int, int, int, bool, int]

SMALL: tuple[Block, ...] = (
    (3, 16, 16, 8, False, 2),
    (3, 72, 24, 0, False, 2),
    (3, 88, 24, 0, False, 1),
    (5, 96, 40, 24, True, 2),
    (5, 240, 40, 64, True, 1),
    (5, 240, 40, 64, True, 1),
    (5, 120, 48, 32, True, 1),
    (5, 144, 48, 40, True, 1),
    (5, 288, 96, 72, True, 2),
    (5, 576, 96, 144, True, 1),
    (5, 576, 96, 144, True, 1),
)
HALF: tuple[Block, ...] = (  # mobilenetv3_small_050
    (3, 16, 8, 8, False, 2),
    (3, 40, 16, 0, False, 2),
    (3, 56, 16, 0, False, 1),
    (5, 64, 24, 16, True, 2),
    (5, 144, 24, 40, True, 1),
    (5, 144, 24, 40, True, 1),
    (5, 72, 24, 24, True, 1),
    (5, 72, 24, 24, True, 1),
    (5, 144, 48, 40, True, 2),
    (5, 288, 48, 72, True, 1),
    (5, 288, 48, 72, True, 1),
)
LARGE: tuple[Block, ...] = (
    (3, 16, 16, 0, False, 1),
    (3, 64, 24, 0, False, 2),
    (3, 72, 24, 0, False, 1),
    (5, 72, 40, 24, False, 2),
    (5, 120, 40, 32, False, 1),
    (5, 120, 40, 32, False, 1),
    (3, 240, 80, 0, True, 2),
    (3, 200, 80, 0, True, 1),
    (3, 184, 80, 0, True, 1),
    (3, 184, 80, 0, True, 1),
    (3, 480, 112, 120, True, 1),
    (3, 672, 112, 168, True, 1),
    (5, 672, 160, 168, True, 2),
    (5, 960, 160, 240, True, 1),
    (5, 960, 160, 240, True, 1),
)
RELU, RELU6 = 1, 3


class MobileNet:
    """Builds the graph layer by layer; `side`, `channels` and `scale` describe the last tensor."""

    def __init__(
        self, size: int, blocks: tuple[Block, ...], features: int, legalized: bool = True
    ) -> None:
        self.noise = np.random.default_rng(0)
        self.legalized = legalized  # if not, every gate keeps its multiplication by 1/6
        self.writer = GraphWriter()
        self.side, self.channels, self.scale = size, 3, 1 / 128
        self.x = self.writer.input((1, size, size, 3), self.scale, 0)
        self.conv(3, 16, stride=2, swish=True)
        for block in blocks:
            self.block(*block)
        self.conv(1, blocks[-1][1], swish=True)
        pooled = self.activation(self.channels, side=1)
        self.x, self.side = self.writer.mean(self.x, pooled), 1
        self.conv(1, features, swish=True)
        self.x = self.writer.reshape(
            self.x, (1, features), self.writer.activation((1, features), self.scale, self.zero)
        )
        weights, scales = self.weights((10, features), features)
        self.x = self.writer.fully_connected(
            self.x,
            weights,
            scales,
            self.bias(10, scales),
            self.writer.activation((1, 10), 0.1, 3),
        )

    def bytes(self) -> bytes:
        return self.writer.finish(self.x)

    def activation(self, channels: int, side: int, scale: float = 0.05, zero: int = -10) -> int:
        self.scale, self.zero = scale, zero
        return self.writer.activation((1, side, side, channels), scale, zero)

    def weights(
        self, shape: tuple[int, ...], depth: int, axis: int = 0
    ) -> tuple[npt.NDArray[np.int8], list[float]]:
        weights = self.noise.integers(-127, 128, shape).astype(np.int8)
        # Outputs use about two thirds of the range, so that they neither saturate nor vanish.
        ordinary = 0.05 / self.scale / (60 * depth**0.5)
        scales = ordinary * (0.7 + 0.6 * self.noise.random(shape[axis]))
        return weights, [float(np.float32(s)) for s in scales]

    def bias(self, channels: int, scales: list[float]) -> npt.NDArray[np.int32]:
        bias = self.noise.normal(0, 0.3, channels) / self.scale / np.array(scales)
        whole: npt.NDArray[np.int32] = bias.astype(np.int32)
        return whole

    def conv(
        self, kernel: int, channels: int, stride: int = 1, swish: bool = False, activation: int = 0
    ) -> None:
        shape = (channels, kernel, kernel, self.channels)
        weights, scales = self.weights(shape, kernel * kernel * self.channels)
        bias = self.bias(channels, scales)
        self.side, self.channels = -(-self.side // stride), channels
        out = self.activation(channels, self.side)
        self.x = self.writer.conv(
            self.x, weights, scales, bias, out, (stride, stride), activation=activation
        )
        if swish:
            self.swish()

    def swish(self) -> None:
        self.x = self.writer.hard_swish(
            self.x, self.activation(self.channels, self.side, 0.03, -115)
        )

    def block(
        self, kernel: int, expanded: int, out: int, squeeze: int, swish: bool, stride: int
    ) -> None:
        source = (self.x, self.side, self.channels, self.scale)
        activation = 0 if swish else RELU
        if expanded != self.channels:
            self.conv(1, expanded, swish=swish, activation=activation)
        weights, scales = self.weights((1, kernel, kernel, expanded), kernel * kernel, axis=3)
        bias = self.bias(expanded, scales)
        self.side = -(-self.side // stride)
        deep = self.activation(expanded, self.side)
        self.x = self.writer.depthwise(
            self.x, weights, scales, bias, deep, (stride, stride), activation=activation
        )
        if swish:
            self.swish()
        if squeeze:
            self.gate(squeeze)
        self.conv(1, out)
        if stride == 1 and source[2] == out:
            pair = (source[0], self.x)
            self.x = self.writer.pair("ADD", *pair, self.activation(out, self.side, 0.08, 4))

    def gate(self, squeeze: int) -> None:
        features, side, channels = self.x, self.side, self.channels
        self.x, self.side = self.writer.mean(self.x, self.activation(channels, 1, 0.02)), 1
        self.conv(1, squeeze, activation=RELU)
        self.conv(1, channels, activation=RELU6)
        if not self.legalized:
            sixth = self.writer.tensor((), [1 / (6 * 127)], [0], data=np.array(127, np.int8))
            out = self.activation(channels, 1, self.scale / 6, self.zero)
            self.x = self.writer.pair("MUL", self.x, sixth, out)
        self.side = side
        self.x = self.writer.pair("MUL", features, self.x, self.activation(channels, side, 0.04))


def small(size: int, legalized: bool = True) -> bytes:
    return MobileNet(size, SMALL, 1024, legalized).bytes()


def tiny(size: int, legalized: bool = True) -> bytes:
    return MobileNet(size, HALF, 1024, legalized).bytes()


def large(size: int, legalized: bool = True) -> bytes:
    return MobileNet(size, LARGE, 1280, legalized).bytes()


def by_name(name: str, legalized: bool = True) -> bytes | None:
    """The network of a published model, by its name (tiny-96, small-96); None for other names."""
    family, _, size = name.partition("-")
    make = {"tiny": tiny, "small": small, "large": large}.get(family)
    return make(int(size), legalized) if make and size.isdecimal() else None
