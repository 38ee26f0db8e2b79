"""Check before a build whether a model fits a board; if not, name a model that would.

python host_tools/fit.py [RUN_OR_ZOO] [--board NAME]

For boards with a clock it also estimates how long one inference takes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from host_tools.boards.estimate import Estimate, Work, basis_of, counted_work, estimate, known_work
from host_tools.boards.needs import Fit, fit, measure
from host_tools.boards.table import get_board, load_boards
from host_tools.inputs import Model, add_foreign_options, add_model, load_named
from swin2mcu.common.cli import Parser, plain_console, run_command
from tinyml.format.tflite import read


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0])
    add_model(parser, files=True)
    add_foreign_options(parser)
    parser.add_argument("--board", help="one board (default: all of them)")
    parser.add_argument("--json", action="store_true", help="print the record instead of a table")
    parser.add_argument(
        "--count",
        action="store_true",
        help="count this model's instructions for the estimate, which takes a minute (default: "
        "counts of the published models, scaled by MACs if necessary)",
    )
    arguments = parser.parse_args(argv)

    def command() -> int:
        boards = [get_board(arguments.board)] if arguments.board else list(load_boards().values())
        model = load_named(arguments, keep=False)
        needs = {core: measure(model, core) for core in sorted({b.core for b in boards})}
        fits = [fit(needs[board.core], board, m.name) for board in boards for m in board.memories]
        work = work_of(model, max(need.macs for need in needs.values()), arguments.count)
        named = {board.name: board for board in boards}
        times = [
            None if one.shortages else estimate(named[one.board], one.fetch_bytes, work)
            for one in fits
        ]
        if arguments.json:
            print(json.dumps([_as_dict(*pair) for pair in zip(fits, times, strict=True)]))
        else:
            _print(model.card.name, fits)
            processors = {board.processor for board in boards} - {""}
            _print_times(fits, times, processors, work)
        return 0

    return run_command(command)


def work_of(model: Model, macs: int, count: bool) -> Callable[[str], Work]:
    """Processor → instructions of one inference, each found once."""
    hard_swish = any(operator.op == "HARD_SWISH" for operator in read(model.int8).operators)

    @cache
    def work(processor: str) -> Work:
        if count:
            return counted_work(processor, model.card.name, model.int8)
        return known_work(processor, macs, hard_swish)

    return work


def _as_dict(one: Fit, time: Estimate | None) -> dict[str, Any]:
    said = {**asdict(one), "fits": not one.shortages}
    return {**said, "estimate": {**asdict(time), "text": str(time)} if time else None}


def _print_times(
    fits: list[Fit], times: list[Estimate | None], processors: set[str], work: Callable[[str], Work]
) -> None:
    """One line for all boards and memory choices of the same estimate."""
    lines: dict[str, list[str]] = {}
    for one, time in zip(fits, times, strict=True):
        if time is not None:
            lines.setdefault(str(time), []).append(f"{one.board} {one.memory}")
    if not lines:
        return
    print("\nOne inference, not measured:")
    for text, names in lines.items():
        print(f"  {', '.join(names)}: {text}")
    print("The estimate is based on (for how fast memory is read, see firmware/core_speed.json):")
    for processor in sorted(processors):
        print(f"  {basis_of(processor, work(processor))}")


def _print(name: str, fits: list[Fit]) -> None:
    table = Table(title=f"{name}: KiB needed / there")
    words = ("board", "memory", "weights, arena in", "an inference fetches *")
    for title in (*words[:3], "flash", "RAM", "weights apart", "PSRAM", words[3], "fits"):
        table.add_column(title, justify="left" if title in words else "right", no_wrap=True)

    def cell(need: int, have: int) -> str:
        return f"{need / 1024:,.0f} / {have / 1024:,.0f}" if need else "-"

    for one in fits:
        table.add_row(
            one.board,
            one.memory,
            f"{one.weights_in}, {one.arena_in}",
            cell(one.flash_need, one.flash_have),
            cell(one.ram_need, one.ram_have),
            cell(one.weights_need, one.weights_have),
            cell(one.psram_need, one.psram_have),
            ", ".join(f"{place} {size / 1024:,.0f}" for place, size in one.fetch_bytes.items()),
            "no" if one.shortages else "yes",
        )
    console = plain_console()
    console.print(table)
    console.print(
        "* KiB: each weight once, and each activation once for every operator that reads or "
        "writes it. A board's first choice of memory is its default."
    )


if __name__ == "__main__":
    raise SystemExit(main())
