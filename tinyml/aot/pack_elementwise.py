"""Constants for products and sums of two tensors in lanes, for firmware/lib/kernels/pie."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tinyml.aot import quantize
from tinyml.aot.ir import Add, Mul, Requant
from tinyml.aot.lanes import LANES, lanes_between
from tinyml.aot.pack_pie import HEADER_BYTES, constants_of, how, image_of_lanes, signed_bytes

Bytes = npt.NDArray[np.int8]

PRODUCT_EXTENT = 1 << 17  # twice the largest magnitude of (a - za) * (b - zb), with int8 a and b
SUM_SHIFT = 30
_BYTES = quantize.ALL_INT8
_NEIGHBORS = (0, 1, -1, 2, -2)  # offsets from the nearest factors that are tried


def pack_gate(work: Mul) -> Bytes | None:
    """Constants for y = (a - za) * (b - zb), computed as a * b - zb * a - za * b + za * zb.

    They are za * zb as lanes, -za and -zb in two parts each, and the constants that round y.
    """
    zero_point, multiplier, shift = work.out
    if not -22 <= shift < 0:
        return None
    products = np.multiply.outer(_BYTES - work.a_zero_point, _BYTES - work.b_zero_point)
    requant = Requant(
        bias=np.zeros(1, np.int64),
        multiplier=np.array([multiplier]),
        shift=np.array([shift]),
        zero_point=zero_point,
        table=None,
        simple=2,
    )
    ends = np.array([products.min()]), np.array([products.max()])
    lanes = lanes_between(*ends, np.array([PRODUCT_EXTENT]), requant)
    if lanes is None:
        return None
    start = np.repeat(lanes.start + work.a_zero_point * work.b_zero_point, LANES)
    parts = [*_halves(-work.a_zero_point), *_halves(-work.b_zero_point)]
    return np.concatenate([
        _header(*how(lanes)), image_of_lanes(start), _spread(*parts), constants_of(lanes)
    ])  # fmt: skip


def pack_add(work: Add) -> Bytes | None:
    """Constants for q = (ka * a + kb * b + c) >> 30, checked for all pairs of int8.

    They are the digits of ka and kb, lowest first, with the bytes of c between them. The upper part
    of c is in units of 2^24 and of -2^31.
    """
    found = _line(work)
    if found is None:
        return None
    ka, kb, c = found
    a0, a1, a2, a3 = (int(digit[0]) for digit in signed_bytes(np.array([ka]), 4))
    b0, b1, b2, b3 = (int(digit[0]) for digit in signed_bytes(np.array([kb]), 4))
    c1, c2, c3, above = (int(digit[0]) for digit in signed_bytes(np.array([c >> 8]), 4))
    # The digits of c are multiplied by -1 and -128: 2^32 is 2 * 128 in units of 2^24.
    parts = _halves(-2 * above)
    order = [a0, b0, a1, b1, -c1, a2, b2, -c2, a3, b3, -c3, *parts]
    if not all(-128 <= value <= 127 for value in order):
        return None
    return np.concatenate([_header(1, SUM_SHIFT - 24), _spread(*order)])


def _line(work: Add) -> tuple[int, int, int] | None:
    """ka, kb and c that give TensorFlow Lite's outputs for all 65,536 pairs, or None."""
    (a_zero, a_multiplier, a_shift), (b_zero, b_multiplier, b_shift) = work.a, work.b
    zero_point, multiplier, shift = work.out
    a = quantize.multiply((_BYTES - a_zero) << 20, a_multiplier, a_shift)
    b = quantize.multiply((_BYTES - b_zero) << 20, b_multiplier, b_shift)
    total = quantize.wrap32(np.add.outer(a, b))
    outputs = quantize.to_int8(quantize.multiply(total, multiplier, shift) + zero_point)
    least = np.where(outputs > -128, outputs.astype(np.int64) << SUM_SHIFT, -(1 << 60))
    most = np.where(outputs < 127, (outputs.astype(np.int64) + 1) << SUM_SHIFT, 1 << 60)
    of_sum = multiplier * 2.0 ** (shift - 31 + 20 + SUM_SHIFT)
    near_a = int(np.rint(a_multiplier * 2.0 ** (a_shift - 31) * of_sum))
    near_b = int(np.rint(b_multiplier * 2.0 ** (b_shift - 31) * of_sum))
    if max(near_a, near_b) >= (1 << 31) - (1 << 24):
        return None
    for beside_a in _NEIGHBORS:
        for beside_b in _NEIGHBORS:
            ka, kb = near_a + beside_a, near_b + beside_b
            weighted = np.add.outer(ka * _BYTES, kb * _BYTES)
            low, high = int((least - weighted).max()), int((most - weighted).min()) - 1
            c = (low + high + 256) // 2 // 256 * 256
            if low <= c <= high:
                return ka, kb, c
    return None


def _halves(value: int) -> tuple[int, int]:
    return value // 2, value - value // 2


def _header(kind: int, shift: int) -> Bytes:
    header = np.zeros(HEADER_BYTES, np.int8)
    header[:2] = kind, shift
    return header


def _spread(*values: int) -> Bytes:
    """Each value sixteen times."""
    return np.repeat(np.array(values, np.int8), LANES)
