"""Tables as plain text: the same in a terminal, in a pipe and in a log, never cut to a width."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from rich.table import Table

from swin2mcu.common.cli import plain_console

WIDTH_MAX = 10_000  # columns, more than any line has


def table_text(
    head: Sequence[str], rows: Iterable[Sequence[object]], texts: int = 1, indent: int = 0
) -> str:
    """Lines of aligned columns: the first `texts` columns to the left, the others to the right.

    A head of empty strings is left out. `indent` is the number of spaces before each line.
    """
    table = Table(box=None, pad_edge=False, show_header=any(head), padding=(0, 2, 0, 0))
    for number, name in enumerate(head):
        table.add_column(name, justify="left" if number < texts else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(str, row))
    text = io.StringIO()
    plain_console(file=text, width=WIDTH_MAX, color_system=None).print(table)
    return "\n".join(" " * indent + line.rstrip() for line in text.getvalue().splitlines())
