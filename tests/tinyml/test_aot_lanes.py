"""The constants of lanes.S give TensorFlow Lite's bytes for every sum that the weights can make."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tinyml.aot import quantize
from tinyml.aot.ir import Requant
from tinyml.aot.lanes import LANES, Lanes, lanes_of, steps_of
from tinyml.aot.pack_pie import image_of_lanes, pack_conv1x1, pack_depthwise, signed_bytes
from tinyml.aot.quantize import Int64Array, Table

LANE_LIMIT = (1 << 19) - 1


def requant(
    seed: int, shift: int, spread: int, zero_point: int, multiplier: int | None = None
) -> Requant:
    noise = np.random.default_rng(seed)
    multipliers = noise.integers(1 << 30, 1 << 31, LANES)
    return Requant(
        bias=noise.integers(-9000, 9000, LANES),
        multiplier=multipliers if multiplier is None else np.full(LANES, multiplier),
        shift=-shift - noise.integers(0, spread + 1, LANES),
        zero_point=zero_point,
        table=None,
        simple=2,
    )


def weights(seed: int, taps: int = 9) -> np.ndarray:
    return np.random.default_rng(seed).integers(-127, 128, (taps, LANES)).astype(np.int8)


def sums_of(weights: np.ndarray, bias: Int64Array) -> Int64Array:
    """Every sum of each channel, [16, N]; short ones repeat their ends."""
    wide = weights.astype(np.int64)
    highest = np.where(wide > 0, wide * 127, wide * -128).sum(axis=0)
    lowest = np.where(wide > 0, wide * -128, wide * 127).sum(axis=0)
    every = np.arange(lowest.min(), highest.max() + 1)[None, :]
    return np.clip(every, lowest[:, None], highest[:, None]) + bias[:, None]


def as_assembly(lanes: Lanes, sums: Int64Array, bias: Int64Array) -> Table:
    """What lanes.S computes, step by step; no lane may saturate."""
    m0, m1, m2, m3 = (digit[:, None] for digit in signed_bytes(lanes.m, 4))
    c8, c16, c24 = (digit[:, None] for digit in signed_bytes(lanes.c >> 8, 3))

    def shifted(accumulators: Int64Array, by: int) -> Int64Array:
        assert np.abs(accumulators).max() <= LANE_LIMIT
        return accumulators >> by

    y = sums + (lanes.start - bias)[:, None]
    rest, digits = shifted(y + 128, 8), []
    for _ in range(lanes.digits):
        digits.append(np.clip(rest, -128, 127))
        rest = rest - digits[-1]
    high = sum(digits[1:], digits[0])
    low = np.clip(shifted(y - 256 * high, 0), -128, 127)
    above = digits[0] > lanes.bound[:, None]
    lane = shifted(low * m1 + high * m0 + c8, 8)
    lane = shifted(lane + low * m2 + high * m1 + c16, 8)
    further = 128 * lanes.c31[:, None] - above * lanes.d[:, None]
    lane = shifted(lane + low * m3 + high * m2 + c24 + further, 8)
    lane = shifted(lane + high * m3 + 128 * lanes.c39[:, None], lanes.shift - 32)
    return quantize.to_int8(lane)


def expected(sums: Int64Array, of: Requant) -> Table:
    scaled = quantize.multiply(sums, of.multiplier[:, None], of.shift[:, None])
    return quantize.to_int8(scaled + of.zero_point)


@pytest.mark.parametrize("multiplier", [None, 1 << 30, (1 << 31) - 1])
@pytest.mark.parametrize("zero_point", [-128, -30, 127])
@pytest.mark.parametrize(("shift", "taps"), [(5, 9), (7, 9), (7, 25)])
def test_every_sum_gives_the_same_byte(
    shift: int, taps: int, zero_point: int, multiplier: int | None
) -> None:
    of, some = requant(1, shift, 1, zero_point, multiplier), weights(1, taps)
    some[:, 3] = 0  # a channel that only its bias decides
    some[1:, 4] = 0  # one that reaches few outputs
    lanes = lanes_of(some, of)
    assert lanes is not None, "a group of ordinary channels has constants"
    sums = sums_of(some, of.bias)
    assert np.array_equal(as_assembly(lanes, sums, of.bias), expected(sums, of))


@pytest.mark.parametrize(
    ("shift", "multiplier", "digits"), [(6, None, 1), (8, None, 2), (9, 1_500_000_000, 3)]
)
def test_wider_sums_take_more_digits(shift: int, multiplier: int | None, digits: int) -> None:
    lanes = lanes_of(weights(1, 25), requant(1, shift, 0, 0, multiplier))
    assert lanes is not None and lanes.digits == digits


@pytest.mark.parametrize(
    "changed",
    [
        {"simple": 0},
        {"shift": np.array([-1] * 8 + [-12] * 8)},  # one factor for all is too coarse for some
        {"shift": np.full(LANES, -10)},  # four digits
    ],
)
def test_what_lanes_cannot_hold_is_refused(changed: dict[str, Any]) -> None:
    ordinary = requant(1, 6, 0, 0)
    assert lanes_of(weights(1, 25), ordinary) is not None
    assert lanes_of(weights(1, 25), replace(ordinary, **changed)) is None


@pytest.mark.parametrize("exponent", [0, 1, 2, 6])
def test_steps_are_where_the_output_rises(exponent: int) -> None:
    of = replace(requant(3, exponent, 0, 5), bias=np.zeros(LANES, np.int64))
    sums = np.arange(-30_000, 30_000)[None, :] + np.zeros((LANES, 1), np.int64)
    outputs = expected(sums, of).astype(np.int64)
    for channel in range(LANES):
        for k in range(-127, 128):
            reached = sums[channel][outputs[channel] >= k]
            if 0 < reached.size < sums.shape[1]:
                assert steps_of(of)[channel, k + 127] == reached[0]


def test_the_image_of_the_lanes_is_two_halves_and_their_ends() -> None:
    image = image_of_lanes(np.arange(16) - 8).view(np.uint8)
    assert image.size == 48
    halves = [
        np.concatenate([image[:16], image[32:36]]),
        np.concatenate([image[16:32], image[36:40]]),
    ]
    lanes = []
    for half in halves:
        bits = int.from_bytes(half.tobytes(), "little")
        lanes += [(bits >> 20 * i & 0xFFFFF) - 8 for i in range(8)]
    assert [(lane + 8 + (1 << 19)) % (1 << 20) - (1 << 19) for lane in lanes] == list(range(-8, 8))


def test_groups_say_how_they_are_rounded() -> None:
    of, some = requant(1, 6, 0, 0), weights(1)
    window = some.reshape(3, 3, LANES)
    size = 16 + 16 * 9 + 256
    assert pack_depthwise(window, of)[0] >= 2
    assert pack_depthwise(some.reshape(9, 1, LANES), of)[0] == 1
    assert pack_depthwise(window, replace(of, simple=0))[0] == 0
    odd = replace(of, bias=of.bias[:9], multiplier=of.multiplier[:9], shift=of.shift[:9])
    assert pack_depthwise(window[..., :9], odd)[0] == 0
    both = replace(
        of,
        bias=np.tile(of.bias, 2),
        multiplier=np.tile(of.multiplier, 2),
        shift=np.concatenate([of.shift, [-1] * 8, [-12] * 8]),
    )
    packed = pack_depthwise(np.concatenate([window, window], axis=2), both)
    assert packed.size == 2 * size and packed[0] >= 2 and packed[size] == 1


def test_outputs_are_packed_by_sixteen_where_lanes_can_hold_them() -> None:
    of, narrow = requant(1, 6, 0, 0), weights(1, 24).T // 4
    two = replace(
        of,
        bias=np.tile(of.bias, 2),
        multiplier=np.tile(of.multiplier, 2),
        shift=np.concatenate([of.shift, [-1] * 8, [-12] * 8]),
    )
    unused = np.zeros((2 * LANES, 8), np.int8)
    some = np.concatenate([np.concatenate([narrow, narrow]), unused], axis=1)  # 24 inputs of 32
    packed = pack_conv1x1(some, two)
    lanes, rows = 16 + 16 * 24 + 256, 16 + 16 * 32
    assert packed.size == 16 + lanes + rows
    assert packed[0] == 1 and packed[1] == 1
    assert packed[16] >= 2 and packed[16 + lanes] == 1
    assert np.array_equal(packed[-16 * 32 :].reshape(16, 32), some[16:])
    # One channel that is computed by itself leaves the other sixteen in lanes.
    alone = replace(of, shift=np.concatenate([of.shift[1:], [1]]))
    mixed = replace(two, shift=np.concatenate([of.shift, alone.shift]), simple=1)
    assert np.array_equal(pack_conv1x1(some, mixed), packed)
    for same in (pack_conv1x1(some[16:], _half(two, 16)), pack_conv1x1(some[:9], _half(two, 0, 9))):
        assert same[0] == 0 and np.array_equal(same[16:].reshape(-1, 32)[0], some[0])


def _half(of: Requant, first: int, count: int = LANES) -> Requant:
    part = slice(first, first + count)
    return replace(of, bias=of.bias[part], multiplier=of.multiplier[part], shift=of.shift[part])
