"""Small pieces of HTML that several sections of the report use."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from host_tools.report.entries import Entry, Row


def table(columns: Sequence[str], lines: Sequence[str], numeric_from: int = 99) -> str:
    head = "".join(
        f'<th scope="col"{_number(i, numeric_from)}>{escape(name)}</th>'
        for i, name in enumerate(columns)
    )
    body = "".join(lines)
    return f'<table class="stack"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def table_row(
    columns: Sequence[str], cells: Sequence[str], numeric_from: int = 99, bars: bool = False
) -> str:
    """One line of a table; `cells` are HTML already. Narrow screens show the labels instead."""
    parts = []
    for number, (column, cell) in enumerate(zip(columns, cells, strict=True)):
        kind = _number(number, numeric_from)
        if number == 0:
            kind = ' class="head"'
        elif bars and number == len(cells) - 1:
            kind = ' class="bars"'
        parts.append(f'<td{kind} data-label="{escape(column)}">{cell}</td>')
    return f"<tr>{''.join(parts)}</tr>"


def _number(position: int, numeric_from: int) -> str:
    return ' class="number"' if position >= numeric_from else ""


def bar(share: float, text: str) -> str:
    return f'<span class="bar" style="--share:{0.7 * share:.4f}"></span> {text}'


def place_class(row: Row) -> str:
    return row.place.lower() if row.place in ("PC", "phone", "board", "estimate") else "estimate"


def short(row: Row) -> str:
    return row.name.removeprefix("pc-").removeprefix("phone-")


def words(name: str) -> str:
    return name.replace("_", " ")


def anchor(entry: Entry) -> str:
    return "model-" + "".join(c if c.isalnum() else "-" for c in entry.name)


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
