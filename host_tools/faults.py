"""A line that spoils bytes on purpose, both ways, the same ones each time for a seed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from host_tools.line import Line

# What an ESP32-S3 prints at its UART when it starts.
BOOT_TEXT = (
    b"ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021\r\nrst:0x1 (POWERON),boot:0x8 "
    b"(SPI_FAST_FLASH_BOOT)\r\nSPIWP:0xee\r\nmode:DIO, clock div:1\r\nentry 0x403c98d0\r\n"
)
DELAY_S = 0.05
FAULTS = ("drop", "flip", "duplicate", "truncate", "delay", "garbage", "boot text", "reset")


class Spoiler:
    """One direction: each byte is struck with probability `rate`."""

    def __init__(self, rate: float, seed: str, reset: Callable[[], None] | None) -> None:
        self._random = random.Random(seed)
        self._rate = rate
        self._reset = reset
        self._faults = [f for f in FAULTS if f != "reset" or reset is not None]
        self.struck: dict[str, int] = dict.fromkeys(self._faults, 0)
        self._next = self._gap()

    def _gap(self) -> int:
        """Bytes until the next fault: drawn once per fault, not once per byte."""
        return int(self._random.expovariate(self._rate)) if self._rate > 0 else 1 << 62

    def spoil(self, data: bytes) -> bytes:
        out = bytearray()
        while len(data) > self._next:
            out += data[: self._next]
            data = self._strike(out, data[self._next :])
            self._next = self._gap()
        self._next -= len(data)
        return bytes(out + data)

    def _strike(self, out: bytearray, data: bytes) -> bytes:
        """Spoil at data[0]; append what comes of it to `out`, return what is left to look at."""
        fault = self._random.choice(self._faults)
        self.struck[fault] += 1
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
        elif self._reset is not None:
            self._reset()
        out.append(data[0])
        return data[1:]


class FaultyLine:
    """A line with faults; `reset`, where given, resets the board in the middle of a transfer."""

    def __init__(
        self, line: Line, rate: float, seed: int, reset: Callable[[], None] | None = None
    ) -> None:
        self._line = line
        self.to_board = Spoiler(rate, f"to board {seed}", reset)
        self.from_board = Spoiler(rate, f"from board {seed}", reset)

    def read(self) -> bytes:
        return self.from_board.spoil(self._line.read())

    def write(self, data: bytes) -> None:
        self._line.write(self.to_board.spoil(data))

    def close(self) -> None:
        self._line.close()
