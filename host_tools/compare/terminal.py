"""The report as tables in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from host_tools.compare.entries import Entry, missing, remarks, rows_of, show_cost, show_memory


def print_entries(entries: Sequence[Entry]) -> None:
    """Print every model's targets to stdout, and the remarks that keep them from being misread."""
    # Piped into a file there is no terminal to take the width from.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    for entry in entries:
        table = Table(title=entry.name, title_justify="left", box=None, pad_edge=False)
        for column in ("target", "where", "engine", "precision"):
            table.add_column(column, no_wrap=column == "target")
        for column in ("top-1", "p50", "p95", "of Swin-L", "memory"):
            table.add_column(column, justify="right")
        for row in rows_of(entry):
            table.add_row(
                row.name,
                row.place,
                row.engine,
                str(row.target.get("precision", "")),
                "" if row.top1 is None else f"{row.top1:.2%}",
                show_cost(row),
                show_cost(row, "p95"),
                "" if row.of_large is None else f"1/{1 / row.of_large:,.0f}",
                show_memory(row),
            )
        console.print(table)
        for remark in (*remarks(entry), *missing(entry)):
            console.print(remark, style="dim", soft_wrap=True)
        console.print()
