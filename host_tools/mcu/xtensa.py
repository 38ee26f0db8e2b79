"""Instructions of generated C on the emulated Xtensa core, counted by the board's own firmware.

That core is of the ESP32-S3's instruction family and has no vector unit, so this is what the
portable kernels cost there. Counts are exact to a tick of 25 instructions. The portable kernels
branch on the data: another image costs a little more or less.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.progress import track
from rich.table import Table

from host_tools.boards import emulator
from host_tools.boards.build import build_firmware
from host_tools.boards.table import get_board
from host_tools.link.device import Device
from host_tools.link.line import SerialLine
from host_tools.mcu.committed import has_grown, load_counts
from host_tools.mcu.count_model import CountedModel, check_logits, made_up_image
from swin2mcu.common.card import sha256_of
from swin2mcu.common.cli import plain_console, status, write_atomic
from swin2mcu.common.paths import FIRMWARE
from tinyml.aot.compiler import compile_graph
from tinyml.format.tflite import read

BOARD = "qemu-xtensa"
COUNTS = FIRMWARE / "counts_xtensa.json"
MAX_MACS = 50_000_000  # a larger network takes a minute there and shows nothing new


@dataclass(frozen=True)
class XtensaCount:
    """One inference of one model."""

    model: str
    core: str
    kernels: str
    instructions: int
    macs: int
    arena_bytes: int
    stack_bytes: int
    per_step: dict[str, int]  # of a second run, whose input is what the first run left


def count_on_xtensa(model: CountedModel) -> XtensaCount | None:
    """Run `model` on the board, None if it is too large.

    Raises UserError if the logits are not those of TFLite Micro.
    """
    board, graph = get_board(BOARD), read(model.path)
    compiled = compile_graph(graph, sha256_of(model.path), board.core)
    if compiled.macs > MAX_MACS:
        return None
    shape = tuple(int(n) for n in graph.tensors[graph.inputs[0]].shape[1:])
    image = made_up_image(shape)
    with TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "model"
        write_atomic(source / "model_data.h", compiled.source.model_data_h)
        write_atomic(source / "model.c", compiled.source.model_c)
        firmware = build_firmware(board, "aot", source, folder / "build")
        emulated = emulator.start(board, firmware.elf, folder / "state")
        try:
            line = SerialLine(emulated.url, board.baud)
            device = Device(line)
            result = device.infer(image.tobytes())
            steps = {step.step: step.cost for step in device.profile()}
            info = device.hello()
            line.close()
        finally:
            emulator.stop(BOARD, folder / "state")
    check_logits(model, BOARD, list(result.logits), image)
    return XtensaCount(
        model=model.name,
        core=BOARD,
        kernels=board.core,
        instructions=result.costs[0],
        macs=compiled.macs,
        arena_bytes=info.arena_bytes,
        stack_bytes=info.stack_bytes,
        per_step=steps,
    )


def count_all_on_xtensa(models: Sequence[CountedModel]) -> list[XtensaCount]:
    """Of every model of at most MAX_MACS."""
    return [
        count
        for model in track(models, "counting on Xtensa", console=status, transient=True)
        if (count := count_on_xtensa(model)) is not None
    ]


def xtensa_table(counts: Sequence[XtensaCount]) -> list[str]:
    lines = [
        "| model | core | kernels | instructions | per MAC | arena | stack |",
        "|---|---|---|---|---|---|---|",
    ]
    for count in counts:
        lines.append(
            f"| {count.model} | {count.core} | {count.kernels} | {count.instructions / 1e6:.1f} M "
            f"| {count.instructions / count.macs:.2f} | {count.arena_bytes:,} "
            f"| {count.stack_bytes:,} |"
        )
    return lines


def print_xtensa(counts: Sequence[XtensaCount]) -> None:
    table = Table(title="One inference on an Xtensa core without a vector unit")
    for column in ("model", "core", "kernels", "instructions", "per MAC", "RAM (arena + stack)"):
        table.add_column(column, justify="right" if column > "m" else "left")
    for count in counts:
        table.add_row(
            count.model,
            count.core,
            count.kernels,
            f"{count.instructions:,}",
            f"{count.instructions / count.macs:.2f}",
            f"{count.arena_bytes + count.stack_bytes:,}",
        )
    plain_console(width=120).print(table)


def save_xtensa(counts: Sequence[XtensaCount], path: Path = COUNTS) -> None:
    write_atomic(path, json.dumps([asdict(count) for count in counts], indent=1) + "\n")


def load_xtensa(path: Path = COUNTS) -> list[dict[str, Any]]:
    return load_counts(path)


def grown(counts: Sequence[XtensaCount], committed: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each count that is more than 2 % above the committed one."""
    known = {(entry["model"], entry["core"]): entry["instructions"] for entry in committed}
    return [
        f"{count.model} on {count.core}: instructions {before:,} -> {count.instructions:,} GREW"
        for count in counts
        if (before := known.get((count.model, count.core)))
        and has_grown(before, count.instructions)
    ]
