"""How long one inference may take on a board that nobody has measured yet: an estimate.

    milliseconds = instructions x cycles per instruction / clock + fetched bytes / bandwidth

Instructions are this project's counts, cycles per instruction what others measured on that core
(firmware/core_speed.json), both memories' bandwidths are the board's (firmware/platformio.ini).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import log
from pathlib import Path
from typing import Any

from host_tools.boards.table import Board
from swin2mcu.common.paths import FIRMWARE

SPEED = FIRMWARE / "core_speed.json"
# Processor → the file with counts of it, and its name in there.
COUNTS = {
    "cortex-m7": ("counts.json", "m7"),
    "xtensa-lx7": ("counts_esp32s3.json", "esp32s3"),
}
SAME_MACS = 0.005  # another number of classes changes a network's MACs by less
OTHER_KIND = "mlperf-"  # the counted networks without squeeze-and-excite and hard-swish


@dataclass(frozen=True)
class Work:
    """Instructions of one inference, and where the number comes from."""

    instructions: int
    origin: str


@dataclass(frozen=True)
class Estimate:
    """From `low_ms` to `high_ms`: never a measurement."""

    low_ms: float
    high_ms: float
    work: Work
    cycles_per_instruction: tuple[float, float]
    clock_mhz: int
    fetch_ms: tuple[float, float]

    def __str__(self) -> str:
        text = f"about {_ms(self.low_ms)} to {_ms(self.high_ms)} ms, an estimate"
        least, most = self.fetch_ms
        return f"{text}, of it {_ms(least)} to {_ms(most)} ms to read memory" if most else text


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


@cache
def _speed() -> dict[str, Any]:
    speed: dict[str, Any] = json.loads(SPEED.read_text())
    return speed


def basis_of(processor: str, work: Work) -> str:
    """What an estimate is based on: our instructions, and who measured cycles per instruction."""
    entry = _speed()["cycles_per_instruction"][processor]
    return (
        f"{processor}: {work.instructions / 1e6:,.1f} M instructions ({work.origin}) x "
        f"{entry['from']:g} to {entry['to']:g} cycles each, measured by others: "
        f"{entry['measured']} ({entry['source']})"
    )


def known_work(processor: str, macs: int, hard_swish: bool, folder: Path = FIRMWARE) -> Work:
    """The counts of the most similar network: one of the same kind and as many MACs, else scaled.

    `hard_swish`: whether the network has such operators, as MobileNetV3 does.
    """
    name, core = COUNTS[processor]
    entries = [e for e in json.loads((folder / name).read_text()) if e["core"] == core]

    def is_kind(entry: dict[str, Any]) -> bool:
        return hard_swish != str(entry["model"]).startswith(OTHER_KIND)

    same_kind = [entry for entry in entries if is_kind(entry)]
    near = min(same_kind or entries, key=lambda entry: abs(log(entry["macs"] / macs)))
    in_c = near.get("estimated_c_instructions", 0)
    instructions, without = near["instructions"] + (in_c or 0), _without(in_c)
    if same_kind and abs(near["macs"] / macs - 1) <= SAME_MACS:
        return Work(instructions, f"counted, {near['model']}{without}")
    other = "" if same_kind else ", another kind of network"
    origin = f"scaled by MACs from {near['model']}{other}{without}"
    return Work(round(instructions * macs / near["macs"]), origin)


def counted_work(processor: str, name: str, int8: Path) -> Work:
    """Counts this very model: takes a minute, the cross compiler and QEMU. Raises UserError."""
    # TensorFlow Lite Micro comes with these, and it is not on every host.
    from host_tools.mcu.count_model import CountedModel, count_model
    from host_tools.mcu.esp32s3 import count_on_esp32s3

    model = CountedModel(name, int8)
    if processor == "cortex-m7":
        return Work(count_model(model, COUNTS[processor][1]).instructions, "counted now")
    count = count_on_esp32s3(model)
    in_c = count.estimated_c_instructions
    return Work(count.instructions + (in_c or 0), f"counted now{_without(in_c)}")


def _without(in_c: int | None) -> str:
    """The ESP32-S3's assembly is counted; of its steps in C some networks have no estimate."""
    return ", without the steps that run in C: they may take many times as long" * (in_c is None)


def estimate(
    board: Board, fetch_bytes: dict[str, int], work_on: Callable[[str], Work]
) -> Estimate | None:
    """None for a board without a clock of its own: an emulated one counts instructions.

    `fetch_bytes`: memory → bytes that one inference fetches; RAM and memories without a bandwidth
    cost nothing.
    """
    if not board.processor:
        return None
    work = work_on(board.processor)
    entry = _speed()["cycles_per_instruction"][board.processor]
    cycles = (float(entry["from"]), float(entry["to"]))
    reads = [
        (size, board.read_mb_s[place])
        for place, size in fetch_bytes.items()
        if place in board.read_mb_s
    ]
    least = sum(size / fast / 1e3 for size, (_, fast) in reads)
    most = sum(size / slow / 1e3 for size, (slow, _) in reads)
    low, high = (work.instructions * each / board.clock_mhz / 1e3 for each in cycles)
    return Estimate(low + least, high + most, work, cycles, board.clock_mhz, (least, most))
