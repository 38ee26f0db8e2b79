"""A line that injects faults and resets; the same seed gives the same ones."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from host_tools.link.line import Line, LineLost
from swin2mcu.common.cli import UserError

# What an ESP32-S3 prints at its UART when it starts.
BOOT_TEXT = (
    b"ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021\r\nrst:0x1 (POWERON),boot:0x8 "
    b"(SPI_FAST_FLASH_BOOT)\r\nSPIWP:0xee\r\nmode:DIO, clock div:1\r\nentry 0x403c98d0\r\n"
)
DELAY_S = 0.05
KINDS = ("drop", "flip", "duplicate", "truncate", "delay", "garbage", "boot text")
MAX_RATE = 0.1
MESSAGES_PER_RESET = 20  # on average; an image of 96 pixels takes 29


@dataclass
class Faults:
    """The faults to inject on one board's line; kept when the line is closed and opened again."""

    rate: float  # faults per byte, both ways
    seed: int
    resets: int = 0  # left to do
    reset: Callable[[], None] | None = None  # resets the board
    messages_per_reset: int = MESSAGES_PER_RESET
    injected: Counter[str] = field(default_factory=Counter)  # kind → how often it has happened
    _lines: int = 0

    def on(self, line: Line) -> Line:
        """`line` with the faults, or itself if there are none to inject."""
        self._lines += 1
        # Other faults after a reconnect: otherwise the same one would hit the same place each time.
        seed = f"{self.seed} {self._lines}"
        if self.rate > 0:
            line = _SpoiltLine(line, self.rate, seed, self.injected)
        return _ResettingLine(line, self, seed) if self.resets else line


def parse_faults(text: str) -> tuple[float, int]:
    """RATE[:SEED]. Raises UserError."""
    rate, _, seed = text.partition(":")
    try:
        parsed = float(rate), int(seed or "0")
    except ValueError as error:
        raise UserError(
            f"--inject-faults {text}: write RATE or RATE:SEED, as in 0.001:7"
        ) from error
    if not 0 <= parsed[0] <= MAX_RATE:
        raise UserError(f"--inject-faults must lie between 0 and {MAX_RATE}")
    return parsed


class _Spoiler:
    """One direction: each byte has a fault with probability `rate`."""

    def __init__(self, rate: float, seed: str, injected: Counter[str]) -> None:
        self._random = random.Random(seed)
        self._rate = rate
        self._injected = injected
        self._next = self._gap()

    def _gap(self) -> int:
        """Bytes until the next fault: drawn once per fault, not once per byte."""
        return int(self._random.expovariate(self._rate))

    def spoil(self, data: bytes) -> bytes:
        out = bytearray()
        while len(data) > self._next:
            out += data[: self._next]
            data = self._strike(out, data[self._next :])
            self._next = self._gap()
        self._next -= len(data)
        return bytes(out + data)

    def _strike(self, out: bytearray, data: bytes) -> bytes:
        """Inject a fault at data[0]: append the result to `out`, return the data that is left."""
        fault = self._random.choice(KINDS)
        self._injected[fault] += 1
        if fault == "drop":
            return data[1:]
        if fault == "flip":
            out.append(data[0] ^ 1 << self._random.randrange(8))
            return data[1:]
        if fault == "duplicate":
            out += data[:1] * 2
            return data[1:]
        if fault == "truncate":
            return data[self._random.randrange(1, 64) :]
        if fault == "delay":
            time.sleep(DELAY_S)
        elif fault == "garbage":
            out += self._random.randbytes(self._random.randrange(1, 40))
        elif fault == "boot text":
            out += BOOT_TEXT
        out.append(data[0])
        return data[1:]


class _SpoiltLine:
    def __init__(self, line: Line, rate: float, seed: str, injected: Counter[str]) -> None:
        self._line = line
        self._to_board = _Spoiler(rate, f"to board {seed}", injected)
        self._from_board = _Spoiler(rate, f"from board {seed}", injected)

    def read(self) -> bytes:
        return self._from_board.spoil(self._line.read())

    def write(self, data: bytes) -> None:
        self._line.write(self._to_board.spoil(data))

    def close(self) -> None:
        self._line.close()


class _ResettingLine:
    """Resets the board between two messages and in the middle of one, in turn."""

    def __init__(self, line: Line, faults: Faults, seed: str) -> None:
        self._line = line
        self._faults = faults
        self._random = random.Random(f"reset {seed}")
        self._messages = self._gap()

    def _gap(self) -> int:
        return self._random.randrange(1, 2 * self._faults.messages_per_reset)

    def read(self) -> bytes:
        return self._line.read()

    def write(self, data: bytes) -> None:
        self._messages -= 1
        if self._messages > 0 or self._faults.resets == 0 or self._faults.reset is None:
            self._line.write(data)
            return
        self._messages = self._gap()
        middle = self._faults.resets % 2 * self._random.randrange(len(data))
        self._line.write(data[:middle])
        try:
            self._faults.reset()
        except OSError as error:  # QEMU's monitor on a busy machine, or QEMU has ended
            raise LineLost(f"the board cannot be reset: {error}") from error
        self._faults.resets -= 1
        self._faults.injected["reset"] += 1
        self._line.write(data[middle:])

    def close(self) -> None:
        self._line.close()
