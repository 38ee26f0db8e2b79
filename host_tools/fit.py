"""Check before a build whether a model fits a board; if not, name a model that would.

python host_tools/fit.py [RUN_OR_ZOO] [--board NAME]

For boards with a clock it also estimates how long one inference takes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from host_tools.boards.estimate import Estimate, Work, basis_of, counted_work, estimate, known_work
from host_tools.boards.table import Board, get_board, load_boards
from host_tools.inputs import Model, add_foreign_options, add_model, load_model, load_named
from host_tools.link.protocol import MAX_CLASSES
from swin2mcu.common.cli import Parser, UserError, plain_console, run_command
from swin2mcu.common.paths import ROOT
from tinyml.aot.compiler import Compiled, compile_graph
from tinyml.format.tflite import Graph, read

# Code of the firmware, and its stack and line buffers: upper bounds, which tests compare with what
# the linker says of a real build.
FIRMWARE_FLASH_BYTES = 72 << 10
FIRMWARE_RAM_BYTES = 44 << 10
MLPERF_RAM_BYTES = 224 * 224 * 3  # that session keeps an image of up to this size beside the arena


@dataclass(frozen=True)
class Need:
    """What one model needs of a board, in bytes."""

    arena_bytes: int  # exact: the compiler plans it
    weights_bytes: int  # weights and biases, as they are packed
    constant_bytes: int = 0  # tables, per-channel factors, names of classes: always in flash
    activation_bytes: int = 0  # read and written by its operators in one inference
    macs: int = 0  # multiply-accumulates of one inference

    @property
    def ram_bytes(self) -> int:
        return self.arena_bytes + FIRMWARE_RAM_BYTES


@dataclass(frozen=True)
class Fit:
    """One model on one board in one choice of memory: what each memory must hold, and has."""

    board: str
    memory: str
    weights_in: str
    arena_in: str
    flash_need: int
    flash_have: int
    ram_need: int
    ram_have: int
    weights_need: int  # in a memory apart from flash; 0 where weights lie in flash
    weights_have: int
    psram_need: int
    psram_have: int
    # Bytes of one inference by memory: each weight once, and each activation once for every
    # operator that reads or writes it. A cache that is too small fetches some of them again.
    fetch_bytes: dict[str, int] = field(default_factory=dict)

    @property
    def shortages(self) -> list[str]:
        """One phrase for each memory that is too small."""
        memories = (
            ("flash", self.flash_need, self.flash_have),
            ("RAM", self.ram_need, self.ram_have),
            ("memory for weights", self.weights_need, self.weights_have),
            ("PSRAM", self.psram_need, self.psram_have),
        )
        return [
            f"{name} {need / 1024:,.0f} KiB needed, {have / 1024:,.0f} KiB there"
            for name, need, have in memories
            if need > have
        ]


def need_of(graph: Graph, compiled: Compiled) -> Need:
    """What a compiled graph needs: weights as its core's kernels read them."""
    return Need(
        compiled.arena_bytes,
        compiled.weights_bytes,
        compiled.constant_bytes,
        activation_bytes(graph),
        compiled.macs,
    )


def activation_bytes(graph: Graph) -> int:
    """Bytes of activations that the operators read and write; each operator's tensors count
    once."""
    total = 0
    for operator in graph.operators:
        for index in (*operator.inputs, *operator.outputs):
            if index >= 0 and graph.tensors[index].data is None:
                total += prod(graph.tensors[index].shape)
    return total


def fit(need: Need, board: Board, memory: str = "") -> Fit:
    places = board.memory(memory)
    apart = places.weights == "apart"
    arena_in_ram = places.arena == "ram"
    in_psram = need.weights_bytes if places.weights == "psram" else 0
    in_psram += 0 if arena_in_ram else need.arena_bytes
    fetch = {places.weights: need.weights_bytes}
    fetch[places.arena] = fetch.get(places.arena, 0) + need.activation_bytes
    return Fit(
        board=board.name,
        memory=places.name,
        weights_in=places.weights,
        arena_in=places.arena,
        flash_need=FIRMWARE_FLASH_BYTES
        + need.constant_bytes
        + (0 if apart else need.weights_bytes),
        flash_have=board.flash_bytes,
        ram_need=need.ram_bytes
        + (MLPERF_RAM_BYTES if board.session == "mlperf" else 0)
        - (0 if arena_in_ram else need.arena_bytes),
        ram_have=board.ram_bytes,
        weights_need=need.weights_bytes if apart else 0,
        weights_have=board.weights_bytes,
        psram_need=in_psram,
        psram_have=board.psram_bytes,
        fetch_bytes=fetch,
    )


def check_fit(model: Model, need: Need, board: Board, memory: str = "") -> None:
    """Raises UserError naming what is short, and the memory choice or the zoo model that fits.

    Also where an answer of the board has no room for the logits of all classes.
    """
    if board.session != "mlperf" and len(model.card.classes) > MAX_CLASSES:
        raise UserError(
            f"{model.card.name} has {len(model.card.classes):,} classes, and an answer of "
            f"{board.name} has room for {MAX_CLASSES:,}"
        )
    said = fit(need, board, memory)
    if not said.shortages:
        return
    others = [m.name for m in board.memories if not fit(need, board, m.name).shortages]
    remedy = f"it fits with --memory {others[0]}" if others else ""
    where = f" ({said.memory})" if len(board.memories) > 1 else ""
    raise UserError(
        f"{model.card.name} does not fit {board.name}{where}: {'; '.join(said.shortages)}; "
        f"{remedy or _largest_that_fits(board, model.sha256, memory)}"
    )


def _largest_that_fits(board: Board, but: str, memory: str) -> str:
    fitting = []
    for path in sorted((ROOT / "tinyml" / "zoo").glob("*/model_int8.tflite")):
        model = load_model(str(path.parent))
        if model.sha256 != but and not fit(measure(model, board.core), board, memory).shortages:
            fitting.append((model.card.macs or 0, model.card.name))
    return f"{max(fitting)[1]} of the zoo fits" if fitting else "no model of the zoo fits it"


def measure(model: Model, core: str) -> Need:
    """Compile the model for `core`, which takes seconds."""
    graph = read(model.int8)
    return need_of(graph, compile_graph(graph, model.sha256, core, model.card.classes))


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
