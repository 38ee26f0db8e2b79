"""Hidden channels in another order and number: what the pie kernels are given."""

from __future__ import annotations

import numpy as np
import pytest

from tinyml.aot.fuse import FUSIONS, fuse
from tinyml.aot.ir import Conv, Program
from tinyml.aot.lower import lower
from tinyml.aot.pad_channels import free_channels, pad_channels
from tinyml.aot.sort_channels import sort_channels
from tinyml.format import mobilenet_graphs
from tinyml.format.tflite import parse


@pytest.fixture
def program() -> Program:
    made = lower(parse(mobilenet_graphs.small(96)))
    fuse(made, frozenset(FUSIONS))
    return made


def depthwise(program: Program) -> list[Conv]:
    return [n.work for n in program.nodes if n.kind == "depthwise" and isinstance(n.work, Conv)]


def factors(work: Conv) -> np.ndarray:
    return np.asarray(work.requant.multiplier * 2.0 ** (work.requant.shift - 31))


def test_channels_that_someone_outside_sees_stay(program: Program) -> None:
    free = {value for values in free_channels(program) for value in values}
    assert program.input not in free and program.output not in free
    assert free


def test_depthwise_channels_rise(program: Program) -> None:
    before = [np.sort(factors(work)) for work in depthwise(program)]
    assert any((np.diff(factors(work)) < 0).any() for work in depthwise(program))
    sort_channels(program)
    for work, expected in zip(depthwise(program), before, strict=True):
        constant = ~work.weights.any(axis=(0, 1))
        assert (np.diff(factors(work)[~constant]) >= 0).all()
        assert np.array_equal(np.sort(factors(work)), expected)
        assert not constant[: np.count_nonzero(~constant)].any()


def test_a_constant_channel_comes_last(program: Program) -> None:
    depthwise(program)[1].weights[..., 3] = 0
    sort_channels(program)
    assert not depthwise(program)[1].weights[..., -1].any()


def test_padding_follows_the_sorted_channels(program: Program) -> None:
    sort_channels(program)
    pad_channels(program)
    for work in depthwise(program):
        channels = work.weights.shape[2]
        assert channels % 16 == 0 and len(work.requant.shift) == channels
