"""Figures of runs that stay on record beside new ones, since few machines have all runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Figures = dict[str, Any]


def merge(
    recorded: Sequence[Figures],
    found: Sequence[Figures],
    table: str,
    row: Sequence[str],
    steps: Sequence[str],
    data: Sequence[str] = (),
) -> list[Figures]:
    """The new figures, after those recorded ones that they do not replace.

    A run replaces the one of the same row and "seed". Where a row took other steps when it was
    recorded, nothing recorded of its table stays: a table compares rows of equal steps. Nothing
    stays of another data set. `table`, `row`, `steps` and `data` are the keys of the values that
    name them.
    """
    if not found:
        return list(recorded)
    sets = {_values(one, data) for one in found}
    again = {_values(one, [*row, "seed"]) for one in found}
    now = {_values(one, row): _values(one, steps) for one in found}
    other = {
        one[table]
        for one in recorded
        if now.get(_values(one, row), _values(one, steps)) != _values(one, steps)
    }
    kept = [
        one
        for one in recorded
        if one[table] not in other
        and _values(one, data) in sets
        and _values(one, [*row, "seed"]) not in again
    ]
    return [*kept, *found]


def _values(figures: Figures, keys: Sequence[str]) -> tuple[Any, ...]:
    return tuple(figures[key] for key in keys)
