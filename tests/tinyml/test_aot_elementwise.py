"""Gates and sums in lanes: TensorFlow Lite's bytes for all 65,536 pairs."""

from __future__ import annotations

import numpy as np
import pytest

from tinyml.aot import quantize
from tinyml.aot.ir import Add, Mul
from tinyml.aot.pack_elementwise import pack_add, pack_gate
from tinyml.aot.quantize import Int64Array, Table

EVERY = quantize.ALL_INT8
A, B = np.meshgrid(EVERY, EVERY, indexing="ij")


def bytes_behind(packed: Table, place: int) -> list[int]:
    """One of each sixteen equal bytes from `place` on."""
    vectors = packed[place:].reshape(-1, 16)
    assert (vectors == vectors[:, :1]).all()
    return [int(vector[0]) for vector in vectors]


def first_lane(image: Table) -> int:
    low = int.from_bytes(image[:3].tobytes(), "little") & 0xFFFFF
    return low - (low >> 19 << 20)


def gate_as_assembly(packed: Table) -> Table:
    assert packed[0] in (2, 3), "one digit"
    u1, u2, z1, z2, m1, m0, c8, m2, c16, m3, c24, *gap = bytes_behind(packed, 64)
    y = first_lane(packed[16:64]) + B * u1 + B * u2 + A * B + A * z1 + A * z2
    high = np.clip((y + 128) >> 8, -128, 127)
    low = np.clip(y - 256 * high, -128, 127)
    bound, d, c31 = gap or (0, 0, 0)
    lane: Int64Array = (low * m1 + high * m0 + c8) >> 8
    lane = (lane + low * m2 + high * m1 - c16) >> 8
    lane = (lane + low * m3 + high * m2 - c24 - 128 * c31 - (high > bound) * d) >> 8
    return quantize.to_int8((lane + high * m3) >> int(packed[1]))


def add_as_assembly(packed: Table) -> Table:
    a0, b0, a1, b1, c1, a2, b2, c2, a3, b3, c3, p1, p2 = bytes_behind(packed, 16)
    lane: Int64Array = (A * a0 + B * b0) >> 8
    lane = (lane + A * a1 + B * b1 - c1) >> 8
    lane = (lane + A * a2 + B * b2 - c2) >> 8
    return quantize.to_int8((lane + A * a3 + B * b3 - c3 - 128 * (p1 + p2)) >> int(packed[1]))


@pytest.mark.parametrize("shift", [-5, -7])
@pytest.mark.parametrize("multiplier", [1 << 30, 1_618_033_988, (1 << 31) - 1])
@pytest.mark.parametrize(
    ("za", "zb", "zero"), [(-128, -128, -128), (-120, -128, -118), (3, -128, 7)]
)
def test_every_product_gives_the_same_byte(
    za: int, zb: int, zero: int, multiplier: int, shift: int
) -> None:
    packed = pack_gate(Mul(za, zb, (zero, multiplier, shift), None))
    assert packed is not None
    scaled = quantize.multiply((A - za) * (B - zb), multiplier, shift)
    assert np.array_equal(gate_as_assembly(packed), quantize.to_int8(scaled + zero))


@pytest.mark.parametrize(
    "work",
    [
        Add((-35, 2059504517, -1), (-8, 1 << 30, 0), (-10, 1971843492, -19), None),
        Add((127, 1 << 30, 0), (-128, 1113254874, -2), (-128, 1584642980, -19), None),
        Add((0, 1 << 30, 0), (0, (1 << 31) - 1, -1), (0, 1 << 30, -18), None),
    ],
)
def test_every_sum_gives_the_same_byte(work: Add) -> None:
    packed = pack_add(work)
    assert packed is not None
    (za, ma, sa), (zb, mb, sb), (zero, multiplier, shift) = work.a, work.b, work.out
    total = quantize.multiply((A - za) << 20, ma, sa) + quantize.multiply((B - zb) << 20, mb, sb)
    expected = quantize.to_int8(quantize.multiply(total, multiplier, shift) + zero)
    assert np.array_equal(add_as_assembly(packed), expected)


def test_what_no_line_fits_is_refused() -> None:
    assert pack_gate(Mul(0, 0, (0, 1 << 30, 1), None)) is None
    assert pack_gate(Mul(0, 0, (0, 1 << 30, -23), None)) is None
    coarse = (0, 1 << 30, -21)  # an input is rounded to a third of what an output is worth
    assert pack_add(Add(coarse, coarse, (0, 1 << 30, -1), None)) is None
    assert pack_add(Add((0, 1 << 30, 0), (0, 1 << 30, 0), (0, 1 << 30, -12), None)) is None
