"""The report as tables in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from host_tools.report.entries import (
    Entry,
    Row,
    missing,
    most_images,
    remarks,
    rows_of,
    show_cost,
    show_memory,
    show_top1,
)
from host_tools.report.scores import cautions_of
from swin2mcu.common.cli import plain_console

WIDTH = 100  # of a table that is piped into a file
WIDE = 136  # a terminal this wide also shows what a target's name says already


def print_entries(entries: Sequence[Entry]) -> None:
    """Print every model's targets to stdout, and the remarks that keep them from being misread."""
    # Piped into a file there is no terminal to take the width from.
    console = plain_console()
    console = console if console.is_terminal else plain_console(width=WIDTH)
    for entry in entries:
        table = Table(title=entry.name, title_justify="left", box=None, pad_edge=False)
        about = ("engine", "precision") if console.width >= WIDE else ()
        for column in ("target", *about):
            table.add_column(column, no_wrap=True)
        for column in ("top-1 ± error", "p50", "p95", "of Swin-L", "memory"):
            table.add_column(column, justify="right", no_wrap=True)
        rows = rows_of(entry)
        most = most_images(rows)
        for row in rows:
            table.add_row(
                row.name,
                *((row.engine, str(row.target.get("precision", ""))) if about else ()),
                show_top1(row, most),
                _narrow_cost(row),
                _narrow_cost(row, "p95"),
                "" if row.of_large is None else f"1/{1 / row.of_large:,.0f}",
                show_memory(row).removesuffix(" process").removesuffix(" arena"),
            )
        console.print(table)
        for remark in (*cautions_of(entry), *remarks(entry), *missing(entry)):
            console.print(remark, style="dim", soft_wrap=True)
        console.print()


def _narrow_cost(row: Row, percentile: str = "p50") -> str:
    estimate = "~" if row.place == "estimate" else ""
    return estimate + show_cost(row, percentile).replace("instructions", "instr")
