"""The results table of the README, as Markdown: one line per model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from host_tools.compare.entries import Entry, Row, rows_of, show_cost, three_digits


def markdown(entries: Sequence[Entry]) -> str:
    """A table of all models; a column that no model fills is left out."""
    rows = {entry.name: {row.name: row for row in rows_of(entry)} for entry in entries}
    boards = sorted(
        {name for found in rows.values() for name, row in found.items() if row.place == "board"}
    )

    def of(target: str, show: Callable[[Row], str]) -> Callable[[Entry], str]:
        """A cell about one target; empty where a model has not been measured there."""

        def cell(entry: Entry) -> str:
            row = rows[entry.name].get(target)
            return show(row) if row else ""

        return cell

    columns: list[tuple[str, Callable[[Entry], str]]] = [
        ("model", lambda entry: entry.name),
        ("student, input", _student),
        ("MACs", _macs),
        ("float top-1, PC", of("pc-litert-float32", _top1)),
        ("int8 top-1, PC", of("pc-litert-int8", _top1)),
    ]
    for board in boards:
        columns += [
            (f"top-1, {board}", of(board, _top1)),
            (f"cost, {board}", of(board, _cost)),
            (f"RAM, {board}", of(board, _ram)),
        ]
    for title in ("int8", "float32"):
        columns += [
            (f"PC {title}, 1 thread", of(f"pc-litert-{title}", _cost)),
            (f"of Swin-L, {title}", of(f"pc-litert-{title}", _ratio)),
        ]
    filled = [
        (title, cells)
        for title, cells in ((title, [cell(e) for e in entries]) for title, cell in columns)
        if any(cells)
    ]
    lines = [
        "| " + " | ".join(title for title, _ in filled) + " |",
        "|" + "---|" * len(filled),
    ]
    for number in range(len(entries)):
        lines.append("| " + " | ".join(_escaped(cells[number]) for _, cells in filled) + " |")
    return "\n".join(lines)


def _student(entry: Entry) -> str:
    return f"{entry.card.student}, {entry.card.input_shape[0]} px" if entry.card else ""


def _macs(entry: Entry) -> str:
    return f"{three_digits(entry.card.macs / 1e6)} M" if entry.card and entry.card.macs else ""


def _top1(row: Row) -> str:
    return f"{row.top1:.1%}" if row.top1 is not None else ""


def _cost(row: Row) -> str:
    return show_cost(row) if row.cost else ""


def _ratio(row: Row) -> str:
    return f"1/{1 / row.of_large:,.0f}" if row.of_large else ""


def _ram(row: Row) -> str:
    memory = row.target.get("memory") or {}
    return f"{memory['arena_bytes'] / 1024:.1f} KB" if "arena_bytes" in memory else ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
