"""The results table of the README, as Markdown: a line for each place a model runs in."""

from __future__ import annotations

from collections.abc import Sequence

from host_tools.report.entries import (
    Entry,
    Row,
    most_images,
    rows_of,
    show_cost,
    show_memory,
    show_top1,
    three_digits,
)
from host_tools.report.scores import score_of_student
from swin2mcu.common.accuracy import largest_share

TITLES = (
    "model",
    "runs on",
    "top-1 ± one standard error",
    "cost, p50",
    "of Swin-L",
    "memory",
    "equal to the PC's bytes",
)


def markdown(entries: Sequence[Entry]) -> str:
    """Every model on every board and phone, and on the PC in the runtime that people would use."""
    lines = ["| " + " | ".join(TITLES) + " |", "|" + "---|" * len(TITLES)]
    for entry in entries:
        rows = rows_of(entry)
        most = most_images(rows)
        name = _described(entry, most)
        for row in rows:
            if row.place == "PC" and "-litert-" not in row.name:
                continue
            cells = (
                name,
                row.name,
                show_top1(row, most),
                show_cost(row) if row.cost else "",
                f"1/{1 / row.of_large:,.0f}" if row.of_large else "",
                show_memory(row),
                _identical(row),
            )
            lines.append("| " + " | ".join(_escaped(cell) for cell in cells) + " |")
            name = ""
        if name:
            lines.append(f"| {_escaped(name)} |" + " |" * (len(TITLES) - 1))
    return "\n".join(lines)


def _described(entry: Entry, most: int) -> str:
    if entry.card is None:
        return entry.name
    macs = f", {three_digits(entry.card.macs / 1e6)} M MACs" if entry.card.macs else ""
    about = f"{entry.card.student}, {entry.card.input_shape[0]} px{macs}"
    return f"{entry.name}: {about}{_scored(entry, most)}"


def _scored(entry: Entry, most: int) -> str:
    """Of how many images the scores are, and what the commonest class alone would get."""
    row = score_of_student(entry)
    if row is None or not row.target["accuracy"].get("confusion"):
        return ""
    share = largest_share(row.target["accuracy"]["confusion"])
    return f"; {most:,} test images, the largest class {share:.1%}"


def _identical(row: Row) -> str:
    """For boards alone: a PC's other runtimes round otherwise, and need not agree."""
    parity = row.target.get("parity") or {}
    if row.place != "board" or "identical" not in parity:
        return ""
    return f"{parity['identical']:,} of {parity['images']:,} images"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
