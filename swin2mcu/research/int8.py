"""Students before and after int8, as Markdown: float, PTQ, QAT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from swin2mcu.common.card import sha256_of
from swin2mcu.common.test_access import last_access
from swin2mcu.research.text import NONE, line, percent, read_json, table, with_error

HEAD = (
    "run | float val | ptq val | qat val | qat - ptq, points | float test | int8 test "
    "| int8 - float, points"
)
NOTE = (
    "In int8: `ptq` has ranges alone, `qat` is fine-tuned after that; both are scored in the "
    "board's own integers. ± is one standard error; on a mean, the sd of the seeds."
)


@dataclass(frozen=True)
class Int8:
    """One model's top-1 before and after int8; None where it was not measured."""

    name: str
    val: tuple[float | None, float | None, float | None]  # float, PTQ, QAT
    float_test: dict[str, Any] | None = None
    int8_test: dict[str, Any] | None = None


def int8_section(groups: Sequence[Sequence[Path]]) -> list[str]:
    """Accuracy of runs before and after int8; a group is the seeds of one experiment."""
    lines = []
    for group in groups:
        found = {folder: one for folder in group if (one := of_run(folder))}
        for one in found.values():
            lines.append(int8_line(one))
        lines += mean_line(list(found.values()))
    return int8_table(lines)


def int8_table(lines: list[str]) -> list[str]:
    return ["", NOTE, *table(HEAD, lines)] if lines else []


def of_run(folder: Path) -> Int8 | None:
    card = read_json(folder / "card.json")
    if not card.get("sha256"):
        return None
    return of_card(folder.name, card, last_test_score(folder, "student.safetensors"))


def of_card(name: str, card: dict[str, Any], float_test: dict[str, Any] | None) -> Int8:
    val = {s: a["top1"] for s, a in card["accuracy"].items() if a["split"] == "val"}
    stages = val.get("float"), val.get("ptq"), val.get("qat")
    return Int8(name, stages, float_test, card["accuracy"].get("int8"))


def int8_line(one: Int8) -> str:
    first, last = one.float_test, one.int8_test
    ends = (first["top1"], last["top1"]) if first and last else (None, None)
    gain, gap = _points(*one.val[1:]), _points(*ends)
    scores = with_error(first), with_error(last)
    return line(one.name, *map(percent, one.val), gain, *scores, gap)


def mean_line(group: Sequence[Int8]) -> list[str]:
    """Mean ± standard deviation of the seeds' scores on test, if all of them were scored."""
    ends = [
        (o.float_test["top1"], o.int8_test["top1"]) for o in group if o.float_test and o.int8_test
    ]
    if len(ends) < 2 or len(ends) < len(group):
        return []
    floats, ints = zip(*ends, strict=True)
    shown = [f"**{mean(values):.2%} ± {stdev(values):.2%}**" for values in (floats, ints)]
    name = f"mean of {len(ends)} seeds ± sd"
    return [line(name, *[""] * 4, *shown, _points(mean(floats), mean(ints)))]


def last_test_score(folder: Path, weights: str) -> dict[str, Any] | None:
    """The last logged test score of a run's weight file, with exactly its present bytes."""
    path = folder / weights
    return last_access(folder, "test", sha256_of(path)) if path.is_file() else None


def _points(first: float | None, second: float | None) -> str:
    return NONE if first is None or second is None else f"{100 * (second - first):+.2f}"
