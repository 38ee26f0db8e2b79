"""The table of boards, read from firmware/platformio.ini, and which of them are connected."""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from host_tools.link.line import usb_ports
from swin2mcu.common.cli import UserError
from swin2mcu.common.paths import FIRMWARE


@dataclass(frozen=True)
class Memory:
    """Where a firmware keeps weights and arena; chosen by name."""

    name: str
    weights: str  # "flash" (read in place), "psram" (copied there at start) or "apart"
    arena: str  # "ram" or "psram"


@dataclass(frozen=True)
class Board:
    """One environment of platformio.ini; its comments say what each option means."""

    name: str
    hardware: str
    platform: str  # PlatformIO's, with its version
    compiler: str  # of the system; "" where the board's platform brings its own
    core: str  # the kernels' variant
    engines: tuple[str, ...]  # the first is the default
    flash_bytes: int
    ram_bytes: int
    weights_bytes: int  # memory the weights go to instead of flash; 0: flash
    psram_bytes: int
    memories: tuple[Memory, ...]  # the first is the default
    baud: int
    usb_ids: tuple[str, ...]  # "vid:pid", lower case
    upload_to_port: bool  # False: its uploader writes to whichever such board it finds first
    session: str  # its protocol: "" (docs/PROTOCOL.md) or "mlperf"
    launch: str  # the command that is this board, "" where it is hardware
    processor: str = ""  # of firmware/core_speed.json; "" where the board is emulated
    clock_mhz: int = 0
    # memory → MB/s at which it is read in place, from and to
    read_mb_s: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def emulated(self) -> bool:
        return bool(self.launch)

    def memory(self, name: str = "") -> Memory:
        """The choice of that name, or the default one. Raises UserError."""
        for memory in self.memories:
            if name in ("", memory.name):
                return memory
        names = ", ".join(memory.name for memory in self.memories)
        raise UserError(f"{self.name} has no memory choice {name}: choose one of {names}")


class BoardTable:
    """platformio.ini with `extends` and ${section.option} resolved, as PlatformIO does it."""

    def __init__(self, path: Path) -> None:
        self.config = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(";",))
        if not self.config.read(path, encoding="utf-8"):
            raise UserError(f"{path} is missing: run this from a complete checkout")

    def environments(self) -> list[str]:
        return [s.removeprefix("env:") for s in self.config.sections() if s.startswith("env:")]

    def get(self, section: str, option: str, default: str = "") -> str:
        if self.config.has_option(section, option):
            return re.sub(
                r"\$\{([^.}]+)\.([^}]+)\}",
                lambda match: self.get(match[1], match[2]),
                self.config.get(section, option),
            )
        for parent in self.config.get(section, "extends", fallback="").split(","):
            if parent.strip() and (found := self.get(parent.strip(), option)):
                return found
        return default


@cache
def load_boards(path: Path = FIRMWARE / "platformio.ini") -> dict[str, Board]:
    """Name → board, in the file's order."""
    table = BoardTable(path)
    boards = {}
    for name in table.environments():
        section = f"env:{name}"

        def words(option: str, section: str = section) -> tuple[str, ...]:
            return tuple(table.get(section, option).replace(",", " ").split())

        if not words("custom_engines"):
            continue
        weights_bytes = int(table.get(section, "custom_weights", "0"))
        processor, clock_mhz = words("custom_processor") or ("", "0")
        reads = {memory: words(f"custom_{memory}_read") for memory in ("flash", "psram")}
        boards[name] = Board(
            name=name,
            hardware=table.get(section, "custom_hardware", name),
            platform=table.get(section, "platform"),
            compiler=table.get(section, "custom_compiler"),
            core=table.get(section, "custom_core", "portable"),
            engines=words("custom_engines"),
            flash_bytes=int(table.get(section, "custom_flash", "0")),
            ram_bytes=int(table.get(section, "custom_ram", "0")),
            weights_bytes=weights_bytes,
            psram_bytes=int(table.get(section, "custom_psram", "0")),
            memories=_memories(table.get(section, "custom_memory"), weights_bytes > 0),
            baud=int(table.get(section, "custom_baud", "115200")),
            usb_ids=tuple(word.lower() for word in words("custom_usb")),
            upload_to_port=table.get(section, "custom_upload_to_port", "yes") == "yes",
            session=table.get(section, "custom_session"),
            launch=" ".join(table.get(section, "custom_launch").split()),
            processor=processor,
            clock_mhz=int(clock_mhz),
            read_mb_s={name: (float(at[0]), float(at[1])) for name, at in reads.items() if at},
        )
    return boards


def _memories(text: str, apart: bool) -> tuple[Memory, ...]:
    """The lines of custom_memory; a board without any has one choice."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not lines:
        weights = "apart" if apart else "flash"
        return (Memory(weights, weights, "ram"),)
    return tuple(Memory(name, weights, arena) for name, weights, arena in lines)


def get_board(name: str) -> Board:
    boards = load_boards()
    if name not in boards:
        raise UserError(f"there is no board {name}: choose one of {', '.join(boards)}")
    return boards[name]


@dataclass(frozen=True)
class Connected:
    """A board that is connected or running."""

    board: str
    port: str  # a device name or a URL, as pyserial takes them


def usb_boards() -> list[Connected]:
    """Boards found by their USB ids; a port is listed once for each board that has its id."""
    return [
        Connected(board.name, device)
        for device, usb_id in usb_ports()
        for board in load_boards().values()
        if usb_id in board.usb_ids
    ]
