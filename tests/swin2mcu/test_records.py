"""Figures of earlier runs stay on record, unless new ones replace them or took other steps."""

from __future__ import annotations

from typing import Any

from swin2mcu.research.records import merge


def run(table: int, row: str, seed: int, steps: int = 10, top1: float = 0.5) -> dict[str, Any]:
    return {"photos": table, "row": row, "seed": seed, "epochs": steps, "top1": top1}


def merged(recorded: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return merge(recorded, found, "photos", ("photos", "row"), ("epochs",))


def test_other_seeds_rows_and_tables_stay() -> None:
    recorded = [run(7, "a", 0), run(7, "a", 1), run(7, "b", 0), run(30, "a", 0, steps=99)]
    new = [run(7, "a", 0, top1=0.9)]
    assert merged(recorded, new) == [*recorded[1:], *new]
    assert merged([], new) == new and merged(recorded, []) == recorded


def test_other_steps_replace_the_whole_table() -> None:
    recorded = [run(7, "a", 0), run(7, "a", 1), run(7, "b", 0), run(30, "a", 0)]
    new = [run(7, "a", 0, steps=20)]
    assert merged(recorded, new) == [recorded[3], *new]


def test_nothing_stays_of_another_data_set() -> None:
    """Not in other tables either, nor where the steps are the same."""
    recorded = [run(7, "a", 1) | {"classes": 10}, run(30, "a", 0) | {"classes": 10}]
    new = [run(7, "a", 0) | {"classes": 2}]
    keys = ("photos", ("photos", "row"), ("epochs",), ("classes",))
    assert merge(recorded, new, *keys) == new
    assert merge(recorded[1:], [run(7, "a", 0) | {"classes": 10}], *keys)[0] == recorded[1]
