"""What docs/ENGINE.md promises of other converters' files, and random graphs do not have."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from random_graphs import RandomGraph, seeded
from test_foreign_operators import answers_differ

from swin2mcu.common.paths import ROOT
from tinyml.format.tflite import parse
from tinyml.format.writer import GraphWriter, schema

SIZE, CHANNELS, SCALE, ZERO = 9, 6, 0.05, 7
Dice = np.random.Generator


def weights(dice: Dice, *shape: int) -> np.ndarray:
    return dice.integers(-127, 128, shape).astype(np.int8)


def bias(dice: Dice, channels: int) -> np.ndarray:
    return dice.integers(-2000, 2000, channels).astype(np.int32)


def begun() -> tuple[GraphWriter, int]:
    writer = GraphWriter()
    return writer, writer.input((1, SIZE, SIZE, CHANNELS), SCALE, ZERO)


def window_output(size: int, stride: int, padding: int) -> int:
    return -(-(SIZE - (size - 1) * padding) // stride)


def dilated_conv(dice: Dice, padding: int, dilation: int) -> bytes:
    writer, x = begun()
    side = window_output(1 + 2 * dilation, 1, padding)
    y = writer.activation((1, side, side, 4), 0.1, -3)
    kernel = weights(dice, 4, 3, 3, CHANNELS)
    scales = [0.002, 0.003, 0.001, 0.002]
    writer.conv(x, kernel, scales, bias(dice, 4), y, (1, 1), padding, 0, dilation)
    return writer.finish(y)


def dilated_depthwise(dice: Dice, padding: int, dilation: int, multiplier: int) -> bytes:
    writer, x = begun()
    side, out = window_output(1 + 2 * dilation, 1, padding), CHANNELS * multiplier
    y = writer.activation((1, side, side, out), 0.05, -3)
    kernel, some = weights(dice, 1, 3, 3, out), bias(dice, out)
    scales = [0.005] * out
    writer.depthwise(x, kernel, scales, some, y, (1, 1), padding, 0, multiplier, dilation)
    return writer.finish(y)


def grouped_conv(dice: Dice, groups: int) -> bytes:
    writer, x = begun()
    y = writer.activation((1, SIZE, SIZE, 2 * groups), 0.1, -3)
    kernel, some = weights(dice, 2 * groups, 3, 3, CHANNELS // groups), bias(dice, 2 * groups)
    writer.conv(x, kernel, [0.003] * (2 * groups), some, y)
    return writer.finish(y)


def padded_with(_: Dice, value: int) -> bytes:
    """PADV2 names the number to pad with."""
    writer, x = begun()
    sizes = writer.constant(np.array([(0, 0), (1, 2), (0, 3), (2, 0)], np.int32))
    number = writer.tensor((), [SCALE], [ZERO], data=np.array(value, np.int8))
    y = writer.activation((1, SIZE + 3, SIZE + 3, CHANNELS + 2), SCALE, ZERO)
    options, kind = schema.PadV2OptionsT(), schema.BuiltinOptions.PadV2Options
    return writer.finish(writer.operator("PADV2", [x, sizes, number], y, options, kind))


def squeezed(dice: Dice, named: bool) -> bytes:
    """SQUEEZE between a mean and a classifier; without named dimensions it drops every 1."""
    writer, x = begun()
    mean = writer.mean(x, writer.activation((1, 1, 1, CHANNELS), 0.03, 2))
    options, kind = schema.SqueezeOptionsT(), schema.BuiltinOptions.SqueezeOptions
    options.squeezeDims = [1, 2] if named else []
    flat = writer.activation((1, CHANNELS) if named else (CHANNELS,), 0.03, 2)
    writer.operator("SQUEEZE", [mean], flat, options, kind)
    y = writer.activation((1, 5), 0.05, -3)
    kernel = weights(dice, 5, CHANNELS)
    return writer.finish(writer.fully_connected(flat, kernel, [0.004], bias(dice, 5), y))


def fully_connected_pixels(dice: Dice) -> bytes:
    """A dense layer on each pixel, which keeps its input's dimensions."""
    writer, x = begun()
    y = writer.activation((1, SIZE, SIZE, 5), 0.05, -3)
    writer.fully_connected(x, weights(dice, 5, CHANNELS), [0.004], bias(dice, 5), y)
    writer.graph.operators[-1].builtinOptions.keepNumDims = True
    return writer.finish(y)


MODELS: dict[str, Callable[[Dice], bytes]] = {
    **{
        f"conv, {name}, dilation {dilation}": lambda d, p=padding, n=dilation: dilated_conv(d, p, n)
        for padding, name in enumerate(("same", "valid"))
        for dilation in (2, 3)
    },
    **{
        f"depthwise, {name}, x {multiplier}": lambda d, p=padding, m=multiplier: dilated_depthwise(
            d, p, 2, m
        )
        for padding, name in enumerate(("same", "valid"))
        for multiplier in (1, 2)
    },
    "two groups": lambda d: grouped_conv(d, 2),
    "three groups": lambda d: grouped_conv(d, 3),
    "padded with 100": lambda d: padded_with(d, 100),
    "padded with zeros": lambda d: padded_with(d, ZERO),
    "squeezed": lambda d: squeezed(d, True),
    "squeezed to one dimension": lambda d: squeezed(d, False),
    "a dense layer on pixels": fully_connected_pixels,
}


@pytest.fixture(scope="module")
def models() -> list[bytes]:
    return [make(np.random.default_rng(seed)) for seed, make in enumerate(MODELS.values())]


def test_they_answer_with_the_interpreters_bytes(models: list[bytes], tmp_path: Path) -> None:
    wrong = answers_differ(tmp_path, models)
    assert [list(MODELS)[number] for number in wrong] == []


def test_every_operator_that_is_promised_is_run(models: list[bytes]) -> None:
    page = (ROOT / "docs" / "ENGINE.md").read_text(encoding="utf-8")
    listed = page.partition("- **Operators**: ")[2].partition(", with TensorFlow")[0]
    drawn = [RandomGraph(seeded(seed)).build() for seed in range(60)]
    run = {operator.op for model in [*models, *drawn] for operator in parse(model).operators}
    assert {*re.findall(r"[A-Z0-9_]+", listed)} == run
