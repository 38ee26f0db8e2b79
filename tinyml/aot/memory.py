"""Memory planning: one offset in the arena per buffer; buffers that live at a time do not overlap.

A step's output may overlap its own input: rows are read in order, so the bytes of rows that were
read are free. `Overlay(source, result, lead)` says that this is safe if result starts at least
`lead` bytes before source.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ALIGNMENT = 16  # bytes; vector units need it for activations and scratch
TRIES = 300


@dataclass(frozen=True)
class Buffer:
    name: int
    size: int
    first: int  # the first and the last step that need it
    last: int


@dataclass(frozen=True)
class Overlay:
    source: int
    result: int
    lead: int


@dataclass(frozen=True)
class Plan:
    offsets: dict[int, int]
    size: int


def align(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def place(buffers: Sequence[Buffer], overlays: Iterable[Overlay], bound: int = 0) -> Plan:
    """The smallest plan found. The same input gives the same plan.

    Stops at `bound`, or where no plan can be smaller.
    """
    leads = _leads(overlays)
    bound = max(bound, _least(buffers, leads))
    orders: Iterable[Sequence[Buffer]] = (
        itertools.permutations(buffers) if len(buffers) <= 5 else _orders(buffers)
    )
    best: Plan | None = None
    for order in orders:
        plan = _place_in_order(order, leads)
        if best is None or plan.size < best.size:
            best = plan
        if best.size <= bound:
            break
    assert best is not None  # there is always at least one order, maybe an empty one
    return best


def least_bytes(buffers: Sequence[Buffer], overlays: Iterable[Overlay]) -> int:
    """Bytes that every plan needs: of what lives at one time, less what overlays may share."""
    return _least(buffers, _leads(overlays))


def _leads(overlays: Iterable[Overlay]) -> dict[tuple[int, int], int]:
    return {(o.source, o.result): align(max(o.lead, 0)) for o in overlays}


def _least(buffers: Sequence[Buffer], leads: dict[tuple[int, int], int]) -> int:
    sizes = {b.name: align(b.size) for b in buffers}
    least = 0
    for moment in {b.first for b in buffers}:
        live = {b.name for b in buffers if b.first <= moment <= b.last}
        shared = sum(
            max(0, min(sizes[result] - lead, sizes[source]))
            for (source, result), lead in leads.items()
            if source in live and result in live
        )
        least = max(least, sum(sizes[name] for name in live) - shared)
    return least


def _orders(buffers: Sequence[Buffer]) -> Iterable[Sequence[Buffer]]:
    """Orders to try: by size, by time, and random changes of the first order."""
    by_size = sorted(buffers, key=lambda b: (-b.size, b.first))
    yield by_size
    yield sorted(buffers, key=lambda b: (b.first, -b.size))
    yield sorted(buffers, key=lambda b: (-(b.last - b.first + 1) * b.size, b.first))
    shuffle = random.Random(0)
    for _ in range(TRIES):
        yield sorted(buffers, key=lambda b: -b.size * shuffle.uniform(0.3, 1.0))


def _place_in_order(order: Sequence[Buffer], leads: dict[tuple[int, int], int]) -> Plan:
    placed: list[tuple[Buffer, int]] = []
    for buffer in order:
        forbidden = [_forbidden(buffer, other, at, leads) for other, at in placed]
        blocks = [f for f in forbidden if f is not None]
        candidates = sorted({0, *(high for _, high in blocks)})
        at = next(
            c for c in candidates if c >= 0 and not any(low < c < high for low, high in blocks)
        )
        placed.append((buffer, at))
    size = max((at + align(b.size) for b, at in placed), default=0)
    return Plan({b.name: at for b, at in placed}, size)


def _forbidden(
    buffer: Buffer, other: Buffer, at: int, leads: dict[tuple[int, int], int]
) -> tuple[int, int] | None:
    """The open interval in which `buffer` must not start if `other` starts at `at`."""
    if buffer.last < other.first or other.last < buffer.first:
        return None
    size, other_size = align(buffer.size), align(other.size)
    if (other.name, buffer.name) in leads:  # buffer grows into other
        return at - min(leads[other.name, buffer.name], size), at + other_size
    if (buffer.name, other.name) in leads:  # other grows into buffer
        return at - size, at + min(leads[buffer.name, other.name], other_size)
    return at - size, at + other_size
