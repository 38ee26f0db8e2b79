"""MLPerf Tiny's two vision networks, int8. Weights are random, as cost does not depend on them.

    mlperf-vww   visual wake words: MobileNetV1 0.25 at 96 x 96, 2 classes, 7.49 M MACs
    mlperf-ic    image classification: ResNet with 9 convolutions at 32 x 32, 10 classes, 12.5 M

Layers, sizes and quantization of the inputs are those of the reference models in
github.com/mlcommons/tiny (benchmark/training).
"""

from __future__ import annotations

import numpy as np

from tinyml.format.writer import GraphWriter

RELU = 1
ZERO = -128  # of an activation after RELU
# (channels out, stride) of MobileNetV1's thirteen blocks at width 0.25
BLOCKS = (
    (16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)
)  # fmt: skip
PUBLISHED = ("mlperf-vww", "mlperf-ic")


class _Net:
    """Builds a network layer by layer; holds the last tensor with its shape and scale."""

    def __init__(self, side: int, scale: float) -> None:
        self.noise = np.random.default_rng(0)
        self.writer = GraphWriter()
        self.side, self.channels, self.scale = side, 3, scale
        self.x = self.writer.input((1, side, side, 3), scale, -128)

    def _out(self, side: int, channels: int, zero_point: int = ZERO) -> int:
        self.side, self.channels, self.scale = side, channels, 0.02
        return self.writer.activation((1, side, side, channels), self.scale, zero_point)

    def conv(self, channels: int, size: int, stride: int = 1, activation: int = RELU) -> None:
        depth = size * size * self.channels
        weights = self.noise.integers(-127, 128, (channels, size, size, self.channels))
        bias = self.noise.integers(-4000, 4000, channels).astype(np.int32)
        scales = [0.02 / self.scale / (60 * depth**0.5)] * channels
        source, zero = self.x, ZERO if activation else 0
        out = self._out(-(-self.side // stride), channels, zero)
        self.x = self.writer.conv(
            source, weights.astype(np.int8), scales, bias, out, (stride, stride), 0, activation
        )

    def depthwise(self, stride: int) -> None:
        weights = self.noise.integers(-127, 128, (1, 3, 3, self.channels)).astype(np.int8)
        bias = self.noise.integers(-4000, 4000, self.channels).astype(np.int32)
        scales = [0.02 / self.scale / 180] * self.channels
        source = self.x
        out = self._out(-(-self.side // stride), self.channels)
        self.x = self.writer.depthwise(
            source, weights, scales, bias, out, (stride, stride), 0, RELU
        )

    def residual(self, channels: int, stride: int) -> None:
        """Two 3x3 convolutions beside a shortcut, which is a 1x1 one where shapes differ."""
        source = (self.x, self.side, self.channels, self.scale)
        self.conv(channels, 3, stride)
        self.conv(channels, 3, activation=0)
        branch, shape = self.x, (self.side, self.channels, self.scale)
        self.x, self.side, self.channels, self.scale = source
        if stride > 1:
            self.conv(channels, 1, stride, activation=0)
        shortcut = self.x
        self.side, self.channels, self.scale = shape
        out = self._out(self.side, channels)
        self.x = self.writer.pair("ADD", shortcut, branch, out, RELU)

    def head(self, classes: int) -> bytes:
        """Average over the image, a fully connected layer, softmax."""
        side, channels, scale = self.side, self.channels, self.scale
        pooled = self._out(1, channels)
        self.writer.pool("AVERAGE_POOL_2D", self.x, (side, side), pooled, (side, side), 1)
        flat = self.writer.activation((1, channels), scale, ZERO)
        self.writer.reshape(pooled, (1, channels), flat)
        weights = self.noise.integers(-127, 128, (classes, channels)).astype(np.int8)
        logits = self.writer.activation((1, classes), 0.05, 3)
        bias = np.zeros(classes, np.int32)
        self.writer.fully_connected(flat, weights, [0.01], bias, logits)
        return self.writer.finish(
            self.writer.softmax(logits, self.writer.activation((1, classes), 1 / 256, -128))
        )


def visual_wake_words() -> bytes:
    net = _Net(96, 1 / 255)
    net.conv(8, 3, 2)
    for channels, stride in BLOCKS:
        net.depthwise(stride)
        net.conv(channels, 1)
    return net.head(2)


def image_classification() -> bytes:
    net = _Net(32, 1.0)
    net.conv(16, 3)
    net.residual(16, 1)
    net.residual(32, 2)
    net.residual(64, 2)
    return net.head(10)


def by_name(name: str) -> bytes | None:
    """The network with a name in PUBLISHED; None for other names."""
    make = {"mlperf-vww": visual_wake_words, "mlperf-ic": image_classification}.get(name)
    return make() if make else None
