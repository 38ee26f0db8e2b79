"""Compare the time of sending images to a board with the time of sending the bytes alone.

    python host_tools/line_speed.py [RUN_OR_ZOO] [--images N]

The bytes alone go to a sink: a firmware that receives them and does nothing else. Both firmwares
run on an emulated board of one kind and take turns, two frames' worth of bytes at a time. Other
programs can only lengthen a turn, and some of many short turns are not disturbed at all. So the
fastest turn of each counts.
"""

from __future__ import annotations

import json
import random
import struct
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from host_tools.boards import emulator
from host_tools.boards.build import BUILD, build_firmware
from host_tools.boards.generate import generate
from host_tools.boards.table import get_board
from host_tools.inputs import Model, add_model, load_model
from host_tools.link.device import Device, check_info
from host_tools.link.line import Line, SerialLine
from host_tools.link.protocol import MAX_LOAD
from swin2mcu.common.cli import Parser, UserError, run_command, status

BOARD = "qemu-m7"
SINK = "qemu-m7-sink"  # platformio.ini has it
PIECE = 2 * MAX_LOAD  # bytes sent in a turn
PATIENCE_S = 120.0
PATIENCE = 40  # an answer is waited for this many times as long as usual


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0])
    add_model(parser)
    parser.add_argument("--images", type=int, default=3, help="images for each of the two")
    parser.add_argument("--json", action="store_true", help="print the record instead of a table")
    arguments = parser.parse_args(argv)

    def command() -> None:
        if arguments.images < 1:
            raise UserError("--images must be at least 1")
        outcome = compare(load_model(arguments.model), arguments.images)
        if arguments.json:
            print(json.dumps(outcome))
            return
        print(
            f"{BOARD}: {outcome['bytes']:,} bytes of image in {outcome['session_s']:.2f} s, alone "
            f"in {outcome['sink_s']:.2f} s (by the fastest of {outcome['turns']} pieces "
            f"each); ratio {outcome['ratio']:.3f}; frames sent again: {outcome['resends']}"
        )

    return run_command(command)


def compare(model: Model, images: int) -> dict[str, Any]:
    """Seconds per image to the session and to the sink, by their fastest turns, and their ratio.

    `resends` counts frames that were sent again; on a clean line there are none.
    """
    board = get_board(BOARD)
    generated = generate(model, board, "aot", BUILD / "models")
    size = model.size * model.size * 3
    noise = random.Random(0)
    session_s: list[float] = []
    sink_s: list[float] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        lines = []
        for each in (board, replace(board, name=SINK)):
            status.print(f"building {each.name}")
            target = BUILD / "line_speed"
            firmware = build_firmware(each, "aot", generated, target)
            running = emulator.start(each, firmware.elf, Path(folder))
            stack.callback(emulator.stop, each.name, Path(folder))
            lines.append(SerialLine(running.url, board.baud))
            stack.callback(lines[-1].close)
        device = Device(lines[0], patient_clock)
        check_info(device.hello(), model)
        greeted = replace(device.stats)
        for _ in range(images * max(1, size // PIECE)):
            piece = noise.randbytes(min(PIECE, size))
            before = device.stats.transfer_s
            device.load(piece)
            session_s.append((device.stats.transfer_s - before) * PATIENCE)
            sink_s.append(sink_seconds(lines[1], piece))
    pieces = size / min(PIECE, size)
    return {
        "bytes": size,
        "turns": len(sink_s),
        "session_s": min(session_s) * pieces,
        "sink_s": min(sink_s) * pieces,
        "ratio": min(session_s) / min(sink_s),
        "resends": device.stats.resends - greeted.resends,
    }


def patient_clock() -> float:
    """A slow clock, in seconds: an answer that a busy machine delays is not taken for lost."""
    return time.monotonic() / PATIENCE


def sink_seconds(line: Line, data: bytes) -> float:
    """How long `data` takes until the sink has said that it has all of it."""
    wanted = struct.pack("<I", len(data))
    started = time.monotonic()
    line.write(wanted + data)
    received = b""
    while len(received) < len(wanted):
        received += line.read()
        if time.monotonic() - started > PATIENCE_S:
            raise UserError(f"the sink has not taken all bytes after {PATIENCE_S:g} s")
    if received != wanted:
        raise UserError(f"the sink answered {received.hex()}, not {wanted.hex()}")
    return time.monotonic() - started


if __name__ == "__main__":
    raise SystemExit(main())
