"""Random int8 graphs of the operators we compile: odd shapes, extreme scales, saturating values.

Every choice is one call of `choose(low, high)`, so that the same code is driven by a seeded
generator and by hypothesis, which then shrinks a failing graph to a minimal one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinyml.format.writer import GraphWriter

Choose = Callable[[int, int], int]  # both ends included; lower is simpler

CHANNELS = (1, 3, 4, 8, 16, 5, 7, 17, 24, 33, 72)


def seeded(seed: int) -> Choose:
    return random.Random(seed).randint


@dataclass(frozen=True)
class Activation:
    """A tensor of the graph under construction."""

    tensor: int
    shape: tuple[int, int, int]
    scale: float
    zero_point: int


class RandomGraph:
    def __init__(self, choose: Choose) -> None:
        self.choose = choose
        self.writer = GraphWriter()
        self.noise = np.random.default_rng(choose(0, 1 << 16))

    def build(self) -> bytes:
        """A .tflite file of one to eight blocks."""
        choose = self.choose
        shape = (choose(1, 13), choose(1, 13), self.pick(CHANNELS))
        x = self.activation_like(shape)
        x = Activation(
            self.writer.input((1, *shape), x.scale, x.zero_point), shape, x.scale, x.zero_point
        )
        # Short graphs show small differences that long ones round away.
        for _ in range((1, 1, 1, 2, 3, 4, 5, 6)[choose(0, 7)]):
            blocks = (
                self.conv,
                self.depthwise,
                self.hard_swish,
                self.residual,
                self.squeeze,
                self.square,
                self.inverted_residual,
                self.echo,
                self.turn,
                self.pool,
                self.framed,
                self.pointwise,
                self.joined,
            )
            x = blocks[choose(0, len(blocks) - 1)](x)
        if choose(0, 3) == 3:
            x = self.head(x)
        if choose(0, 7) == 7:
            x = self.softmax(x)
        return self.writer.finish(x.tensor)

    def pick(self, options: tuple) -> int:
        return options[self.choose(0, len(options) - 1)]

    def rarely(self) -> bool:
        """Extremes everywhere would only make constant outputs."""
        return self.choose(0, 15) == 15

    def activation(self) -> int:
        return (3, 2, 1, 0)[min(self.choose(0, 12), 3)]

    def scale(self) -> float:
        """Mostly ordinary, now and then extreme."""
        exponent = self.choose(-14, 3) if self.rarely() else self.choose(-7, -3)
        return float(np.float32((1 + self.noise.random()) * 2.0**exponent))

    def zero_point(self) -> int:
        return (0, -128, 127, self.choose(-100, 100))[min(self.choose(0, 9), 3)]

    def activation_like(self, shape: tuple[int, int, int]) -> Activation:
        return Activation(-1, shape, self.scale(), self.zero_point())

    def out(
        self,
        shape: tuple[int, int, int],
        scale: float | None = None,
        flat: bool = False,
    ) -> Activation:
        like = self.activation_like(shape)
        # Products of products would leave what any quantizer makes.
        scale = like.scale if scale is None else float(np.float32(min(max(scale, 2e-7), 200.0)))
        dims = (1, shape[2]) if flat else (1, *shape)
        return Activation(
            self.writer.activation(dims, scale, like.zero_point), shape, scale, like.zero_point
        )

    def weights(
        self, shape: tuple[int, ...], channels: int, depth: int
    ) -> tuple[np.ndarray, list[float]]:
        low = -128 if self.rarely() else -127
        weights = self.noise.integers(low, 128, shape).astype(np.int8)
        if self.rarely():
            weights[...] = low  # the largest sums there are
        base = 2.0 ** self.choose(-1, 1) / (73 * depth**0.5)  # keeps scales where they are
        scales = np.float32(base * (0.5 + self.noise.random(channels)))
        if self.rarely():
            scales[self.choose(0, channels - 1)] *= np.float32(1e-6)  # a dead channel
        return weights, [float(s) for s in scales]

    def bias(self, channels: int, depth: int) -> np.ndarray | None:
        if self.choose(0, 7) == 7:
            return None
        reach = self.choose(0, (1 << 31) - 1) if self.rarely() else int(2000 * depth**0.5)
        return self.noise.integers(-reach, reach, channels, endpoint=True).astype(np.int32)

    def window(self, shape: tuple[int, int, int]) -> tuple[int, int, tuple[int, int], int]:
        """Kernel, stride and padding that fit `shape`, and no larger than 5."""
        choose = self.choose
        padding = choose(0, 1)
        sides = (1, 3, 3, 5, 5, 2)
        height, width = sides[choose(0, 5)], sides[choose(0, 5)]
        if padding == 1:
            height, width = min(height, shape[0]), min(width, shape[1])
        return height, width, (choose(1, 2), choose(1, 2)), padding

    def fitting_scale(self, x: Activation, scales: list[float], depth: int) -> float:
        """An output scale that neither saturates everything nor flattens it."""
        return x.scale * float(np.median(scales)) * 73 * 73 * depth**0.5 / 90

    def conv(
        self, x: Activation, channels: int | None = None, size: int | None = None
    ) -> Activation:
        height, width, stride, padding = self.window(x.shape)
        if size == 1:
            height = width = 1
            stride = (1, 1)
        channels = self.pick(CHANNELS) if channels is None else channels
        depth = height * width * x.shape[2]
        weights, scales = self.weights((channels, height, width, x.shape[2]), channels, depth)
        result = self.out(
            (*strided(x.shape, (height, width), stride, padding), channels),
            self.maybe(self.fitting_scale(x, scales, depth)),
        )
        bias = self.bias(channels, depth)
        self.writer.conv(
            x.tensor, weights, scales, bias, result.tensor, stride, padding, self.activation()
        )
        return result

    def maybe(self, scale: float) -> float | None:
        return None if self.rarely() else scale

    def depthwise(self, x: Activation) -> Activation:
        height, width, stride, padding = self.window(x.shape)
        multiplier = 2 if self.choose(0, 7) == 7 and x.shape[2] < 9 else 1
        channels = x.shape[2] * multiplier
        weights, scales = self.weights((1, height, width, channels), channels, height * width)
        result = self.out(
            (*strided(x.shape, (height, width), stride, padding), channels),
            self.maybe(self.fitting_scale(x, scales, height * width)),
        )
        bias = self.bias(channels, height * width)
        if bias is None:  # the interpreter insists on one here
            bias = np.zeros(channels, np.int32)
        self.writer.depthwise(
            x.tensor,
            weights,
            scales,
            bias,
            result.tensor,
            stride,
            padding,
            self.activation(),
            multiplier,
        )
        return result

    def hard_swish(self, x: Activation) -> Activation:
        # Scales for which the interpreter's multiplier is at most one.
        result = self.out(x.shape, x.scale * (0.5 + self.noise.random()))
        self.writer.hard_swish(x.tensor, result.tensor)
        return result

    def residual(self, x: Activation) -> Activation:
        branch = self.conv(x, channels=x.shape[2], size=1)
        result = self.out(x.shape, max(x.scale, branch.scale) * (0.5 + self.noise.random()))
        pair = (x, branch) if self.choose(0, 1) else (branch, x)
        self.writer.pair("ADD", pair[0].tensor, pair[1].tensor, result.tensor, self.activation())
        return result

    def echo(self, x: Activation) -> Activation:
        """A tensor that two operators read, one of which could become its producer's table."""
        source = self.conv(x) if self.choose(0, 1) else x
        swished = self.hard_swish(source)
        result = self.out(source.shape, 1.5 * max(source.scale, swished.scale))
        self.writer.pair("ADD", source.tensor, swished.tensor, result.tensor, self.activation())
        return result

    def turn(self, x: Activation) -> Activation:
        """The same bytes as rows of another length, convolved."""
        shape = (x.shape[1], x.shape[0], x.shape[2])
        tensor = self.writer.activation((1, *shape), x.scale, x.zero_point)
        self.writer.reshape(x.tensor, (1, *shape), tensor)
        return self.conv(Activation(tensor, shape, x.scale, x.zero_point))

    def square(self, x: Activation) -> Activation:
        """The product of two tensors of one shape; now and then of a tensor with itself."""
        other = x if self.choose(0, 3) == 3 else self.conv(x, channels=x.shape[2], size=1)
        result = self.out(x.shape, x.scale * other.scale * 100)
        self.writer.pair("MUL", x.tensor, other.tensor, result.tensor, self.activation())
        return result

    def squeeze(self, x: Activation) -> Activation:
        """Mean, two convolutions, and the gate that multiplies every pixel."""
        gate = self.out((1, 1, x.shape[2]), self.maybe(x.scale))
        self.writer.mean(x.tensor, gate.tensor)
        gate = self.conv(gate, channels=self.pick((1, 8, 3)), size=1)
        gate = self.conv(gate, channels=x.shape[2], size=1)
        result = self.out(x.shape, x.scale * gate.scale * 100)
        pair = (x, gate) if self.choose(0, 1) == 0 else (gate, x)
        self.writer.pair("MUL", pair[0].tensor, pair[1].tensor, result.tensor, self.activation())
        return result

    def inverted_residual(self, x: Activation) -> Activation:
        y = self.hard_swish(self.conv(x, channels=self.pick(CHANNELS), size=1))
        y = self.depthwise(y)
        if self.choose(0, 1):
            y = self.hard_swish(y)
        if self.choose(0, 1):
            y = self.squeeze(y)
        y = self.conv(y, channels=x.shape[2], size=1)
        if y.shape != x.shape:
            return y
        result = self.out(x.shape, max(x.scale, y.scale))
        self.writer.pair("ADD", x.tensor, y.tensor, result.tensor)
        return result

    def like(self, x: Activation, shape: tuple[int, int, int]) -> Activation:
        """Another tensor with the quantization of `x`, where operators insist on that."""
        tensor = self.writer.activation((1, *shape), x.scale, x.zero_point)
        return Activation(tensor, shape, x.scale, x.zero_point)

    def pool(self, x: Activation) -> Activation:
        height, width, stride, padding = self.window(x.shape)
        if self.choose(0, 3) == 3:  # over the whole image, as before a classifier
            height, width, stride, padding = x.shape[0], x.shape[1], (1, 1), 1
        shape = (*strided(x.shape, (height, width), stride, padding), x.shape[2])
        result = self.like(x, shape)
        op = ("AVERAGE_POOL_2D", "MAX_POOL_2D")[self.choose(0, 1)]
        self.writer.pool(
            op, x.tensor, (height, width), result.tensor, stride, padding, self.activation()
        )
        return result

    def framed(self, x: Activation) -> Activation:
        """A pad, and mostly a convolution that could do it itself."""
        sizes = [(0, 0), *((self.choose(0, 2), self.choose(0, 2)) for _ in range(2)), (0, 0)]
        if self.rarely():
            sizes[3] = (self.choose(0, 2), self.choose(0, 3))
        shape = tuple(n + sum(size) for n, size in zip(x.shape, sizes[1:], strict=True))
        result = self.like(x, (shape[0], shape[1], shape[2]))
        self.writer.pad(x.tensor, sizes, result.tensor)
        return (self.conv, self.depthwise, lambda y: y)[self.choose(0, 2)](result)

    def pointwise(self, x: Activation) -> Activation:
        op = ("LEAKY_RELU", "LOGISTIC", "QUANTIZE", "RELU")[self.choose(0, 3)]
        if op == "LOGISTIC":
            tensor = self.writer.activation((1, *x.shape), 1 / 256, -128)
            result = Activation(tensor, x.shape, 1 / 256, -128)
        else:
            result = self.out(x.shape, self.maybe(x.scale * (0.5 + self.noise.random())))
        if op == "LEAKY_RELU":
            alpha = (0.1, 0.3, 1.5, 0.0)[self.choose(0, 3)]
            self.writer.leaky_relu(x.tensor, alpha, result.tensor)
        else:
            self.writer.pointwise(op, x.tensor, result.tensor)
        return result

    def joined(self, x: Activation) -> Activation:
        """A tensor beside one made from it, along any axis but the batch."""
        other = self.requantized(self.conv(x, channels=x.shape[2], size=1), x)
        parts = [(x, other), (other, x), (x, other, x), (x, x)][self.choose(0, 3)]
        axis = self.choose(1, 3)
        shape = [*x.shape]
        shape[axis - 1] *= len(parts)
        result = self.like(x, (shape[0], shape[1], shape[2]))
        named = axis - 4 if self.choose(0, 1) else axis
        self.writer.concatenation([p.tensor for p in parts], named, result.tensor)
        return result

    def requantized(self, x: Activation, target: Activation) -> Activation:
        result = self.like(target, x.shape)
        self.writer.pointwise("QUANTIZE", x.tensor, result.tensor)
        return result

    def softmax(self, x: Activation) -> Activation:
        dims = tuple(self.writer.graph.tensors[x.tensor].shape)
        tensor = self.writer.activation(dims, 1 / 256, -128)
        self.writer.softmax(x.tensor, tensor, (1.0, 1.0, 0.3, 4.0)[self.choose(0, 3)])
        return Activation(tensor, x.shape, 1 / 256, -128)

    def head(self, x: Activation) -> Activation:
        """What a classifier ends with: mean or reshape, then a fully connected layer."""
        if self.choose(0, 1):
            flat = self.out((1, 1, x.shape[2]), flat=True)
            self.writer.mean(x.tensor, flat.tensor, keep_dims=False)
        else:
            size = int(np.prod(x.shape))
            tensor = self.writer.activation((1, size), x.scale, x.zero_point)
            self.writer.reshape(x.tensor, (1, size), tensor)
            flat = Activation(tensor, (1, 1, size), x.scale, x.zero_point)
        outputs = self.choose(1, 12)
        weights, scales = self.weights((outputs, flat.shape[2]), outputs, flat.shape[2])
        weights = np.maximum(weights, -127).astype(np.int8)
        if self.choose(0, 1):
            scales = scales[:1]
        result = self.out(
            (1, 1, outputs), self.fitting_scale(flat, scales, flat.shape[2]), flat=True
        )
        bias = self.noise.integers(-4096, 4096, outputs).astype(np.int32)
        self.writer.fully_connected(flat.tensor, weights, scales, bias, result.tensor)
        return result


def strided(
    shape: tuple[int, int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: int
) -> tuple[int, int]:
    """Height and width after a window has passed."""
    cut = (0, 0) if padding == 0 else (kernel[0] - 1, kernel[1] - 1)
    return -(-(shape[0] - cut[0]) // stride[0]), -(-(shape[1] - cut[1]) // stride[1])
