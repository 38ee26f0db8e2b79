"""What the compiler promises the kernels about a layer's channels: Requant.simple in kernels.h."""

from __future__ import annotations

import numpy as np
import pytest

from tinyml.aot.requant import requantization

WEIGHTS = np.array([[1, -2], [3, 4]], np.int8)


@pytest.mark.parametrize(
    ("factors", "bias", "simple"),
    [
        ([0.01, 0.2], 0, 2),  # shifts of -6 and -2
        ([0.01, 0.5], 0, 1),  # a half is 2^30 without a shift
        ([0.01, 0.9], 0, 1),
        ([0.01, 1.5], 0, 1),  # a shift to the left: computed by itself
        ([0.01, 1.5], 1 << 30, 1),
        ([0.01, 2.0**-23], 541065216, 0),  # 64.5 steps: neither dead nor small
        ([0.01, 2.0**-24], 1 << 29, 2),  # one output whatever the input: a dead channel
    ],
)
def test_one_channel_decides_what_is_promised(factors: list[float], bias: int, simple: int) -> None:
    found = requantization(WEIGHTS, np.array([0, bias]), 0, factors, 0, None).requant
    assert found.simple == simple, (found.shift, found.multiplier)
