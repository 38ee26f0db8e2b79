"""The host's end of docs/PROTOCOL.md: frames and messages as bytes, no port and no waiting.

    wire := COBS(body) 0x00
    body := type:u8  seq:u8  payload[0..1024]  crc32:u32le     (CRC-32 as in zlib, over all before)

The names and numbers are those of firmware/lib/wire/wire.h; a test compares them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

PROTOCOL_VERSION = 1
MAX_PAYLOAD = 1024
HEADER_SIZE = 2
CRC_SIZE = 4
MAX_BODY = HEADER_SIZE + MAX_PAYLOAD + CRC_SIZE
MAX_FRAME = MAX_BODY + MAX_BODY // 254 + 1 + 1
DELIMITER = b"\0"
ANSWER_BIT = 0x80
MAX_LOAD = MAX_PAYLOAD - 4  # bytes of the image in one Load, beside their offset
SHA256_PREFIX = 8


class Type(IntEnum):
    HELLO = 0x01
    LOAD = 0x02
    RUN = 0x03
    PROFILE = 0x04
    ECHO = 0x05
    FRAME = 0x06
    PART = 0x07
    INFO = HELLO | ANSWER_BIT
    ACK = LOAD | ANSWER_BIT
    RESULT = RUN | ANSWER_BIT
    PROFILE_ANSWER = PROFILE | ANSWER_BIT
    ECHO_ANSWER = ECHO | ANSWER_BIT
    FRAME_BEGUN = FRAME | ANSWER_BIT
    PART_TAKEN = PART | ANSWER_BIT
    LOG = 0xFE
    NACK = 0xFF


class NackCode(IntEnum):
    BAD_FRAME = 1
    UNKNOWN_TYPE = 2
    BAD_PAYLOAD = 3
    OUT_OF_ORDER = 4
    NOT_LOADED = 5
    ENGINE_FAILED = 6


class CostUnit(IntEnum):
    MICROSECONDS = 0
    INSTRUCTIONS = 1


class FrameFormat(IntEnum):
    """How a camera's frame is laid out; the numbers of firmware/lib/vision/vision.h."""

    RGB565_LE = 0
    RGB565_BE = 1
    RGB888 = 2
    GRAY = 3
    YUV422 = 4


UNIT_NAMES = {CostUnit.MICROSECONDS: "us", CostUnit.INSTRUCTIONS: "instructions"}


class ProtocolError(Exception):
    """Bytes with a right CRC that make no message: the other end is another program."""


@dataclass(frozen=True)
class Frame:
    type: int
    seq: int
    payload: bytes


@dataclass(frozen=True)
class Info:
    """What a board says of itself."""

    protocol_version: int
    unit: str  # of costs: "us" or "instructions"
    height: int
    width: int
    channels: int
    class_count: int
    step_count: int
    sha256_prefix: str  # hex, of model_int8.tflite
    boot: int  # another number after each reset
    arena_bytes: int
    stack_bytes: int  # most used so far; 0 where it is not measured
    board: str
    engine: str
    error: str  # why the engine did not start, or ""
    chip_id: int = 0  # 0: not known
    clock_hz: int = 0  # 0: not known

    @property
    def input_bytes(self) -> int:
        return self.height * self.width * self.channels


@dataclass(frozen=True)
class Result:
    input_crc: int  # CRC-32 of the image that was run
    logits: tuple[int, ...]
    costs: tuple[int, ...]  # one per run, in Info.unit


@dataclass(frozen=True)
class StepCost:
    step: str
    operators: str
    cost: int


def cobs_encode(data: bytes) -> bytes:
    """Consistent overhead byte stuffing: no zero is left, and one byte in 254 is added."""
    out = bytearray()
    blocks = data.split(DELIMITER)
    for index, block in enumerate(blocks):
        start = 0
        while len(block) - start >= 254:
            out.append(255)
            out += block[start : start + 254]
            start += 254
        # A full block encodes no zero, so nothing has to follow one at the very end.
        if start == 0 or start < len(block) or index < len(blocks) - 1:
            out.append(len(block) - start + 1)
            out += block[start:]
    return bytes(out)


def cobs_decode(data: bytes) -> bytes:
    """Undo `cobs_encode`; `data` has no zero. Raises ValueError where a block is cut short."""
    out = bytearray()
    position = 0
    while position < len(data):
        code = data[position]
        block = data[position + 1 : position + code]
        if len(block) != code - 1:
            raise ValueError("a block ends early")
        out += block
        position += code
        if code != 255 and position < len(data):
            out.append(0)
    return bytes(out)


def encode(type_: int, seq: int, payload: bytes = b"") -> bytes:
    """One frame as it goes over the wire, delimiter included."""
    body = bytes((type_, seq)) + payload
    return cobs_encode(body + struct.pack("<I", zlib.crc32(body))) + DELIMITER


class Decoder:
    """Bytes as they come → frames. A frame that was damaged on the way comes out as None."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame | None]:
        self._pending += data
        while (end := self._pending.find(0)) >= 0:
            encoded = bytes(self._pending[:end])
            del self._pending[: end + 1]
            if encoded:
                yield decode(encoded)
        if len(self._pending) > MAX_FRAME:  # not one of our frames: keep only that it was too long
            del self._pending[MAX_FRAME:]


def decode(encoded: bytes) -> Frame | None:
    """One frame without its delimiter, or None if it was damaged."""
    if len(encoded) >= MAX_FRAME:
        return None
    try:
        body = cobs_decode(encoded)
    except ValueError:
        return None
    if not HEADER_SIZE + CRC_SIZE <= len(body) <= MAX_BODY:
        return None
    if zlib.crc32(body[:-CRC_SIZE]) != struct.unpack("<I", body[-CRC_SIZE:])[0]:
        return None
    return Frame(body[0], body[1], body[HEADER_SIZE:-CRC_SIZE])


def load_payload(offset: int, data: bytes) -> bytes:
    return struct.pack("<I", offset) + data


def frame_payload(format_: FrameFormat, width: int, height: int, center_crop: bool) -> bytes:
    """The description of a camera's frame; its bytes follow in Parts, with load_payload's
    layout."""
    return struct.pack("<BBHH", format_, center_crop, width, height)


def run_payload(count: int) -> bytes:
    return struct.pack("<H", count)


def profile_payload(first: int) -> bytes:
    return struct.pack("<H", first)


MAX_CLASSES = MAX_PAYLOAD - 12  # a Result has room for their logits and one run's time


def max_run_count(class_count: int) -> int:
    """How many runs one Result has room for."""
    return (MAX_PAYLOAD - 8 - class_count) // 4


_INFO = struct.Struct(f"<BBHHHHH{SHA256_PREFIX}sIII")


def parse_info(payload: bytes) -> Info:
    """Raises ProtocolError for anything that is not an Info. Of another protocol version's Info
    only `protocol_version` is read, as its layout may differ."""
    if payload and payload[0] != PROTOCOL_VERSION:
        return Info(payload[0], "us", 0, 0, 0, 0, 0, "", 0, 0, 0, "", "", "")
    try:
        version, unit, height, width, channels, classes, steps, sha256, boot, arena, stack = (
            _INFO.unpack_from(payload)
        )
        unit_name = UNIT_NAMES[CostUnit(unit)]
    except (struct.error, ValueError) as error:
        raise ProtocolError(f"an Info that cannot be read ({error})") from error
    (board, engine, error_text), end = _texts(payload, _INFO.size, 3)
    # Firmware built before these were added ends here.
    chip = struct.unpack_from("<II", payload, end) if len(payload) >= end + 8 else (0, 0)
    return Info(
        version, unit_name, height, width, channels, classes, steps, sha256.hex(), boot, arena,
        stack, board, engine, error_text, *chip,
    )  # fmt: skip


def printable(text: bytes) -> str:
    """A board's text; without control characters, which would steer the user's terminal."""
    return "".join(c if c.isprintable() else "?" for c in text.decode("utf-8", "replace"))


def parse_result(payload: bytes) -> Result:
    """Raises ProtocolError for anything that is not a Result."""
    if len(payload) < 8:
        raise ProtocolError("a Result that is too short")
    crc, classes, count = struct.unpack_from("<IHH", payload)
    if count == 0 or len(payload) != 8 + classes + 4 * count:
        raise ProtocolError("a Result whose lengths do not fit")
    logits = struct.unpack_from(f"<{classes}b", payload, 8)
    return Result(crc, logits, struct.unpack_from(f"<{count}I", payload, 8 + classes))


def parse_profile(payload: bytes) -> tuple[int, int, list[StepCost]]:
    """(all steps, first step in here, its steps). Raises ProtocolError."""
    if len(payload) < 4:
        raise ProtocolError("a Profile that is too short")
    count, first = struct.unpack_from("<HH", payload)
    steps: list[StepCost] = []
    position = 4
    while position < len(payload):
        if position + 4 > len(payload):
            raise ProtocolError("a Profile that ends early")
        (cost,) = struct.unpack_from("<I", payload, position)
        (step, operators), position = _texts(payload, position + 4, 2)
        steps.append(StepCost(step, operators, cost))
    return count, first, steps


def _texts(payload: bytes, position: int, count: int) -> tuple[list[str], int]:
    """`count` texts of u8 length and UTF-8 from `position` on, and the position behind them."""
    texts = []
    for _ in range(count):
        if position >= len(payload) or position + 1 + payload[position] > len(payload):
            raise ProtocolError("a text that ends early")
        end = position + 1 + payload[position]
        texts.append(printable(payload[position + 1 : end]))
        position = end
    return texts, position
