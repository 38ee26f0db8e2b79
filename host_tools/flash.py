"""Build the firmware with a model in it, put it on a board and check that it answers.

python host_tools/flash.py --board qemu-m7 [RUN_OR_ZOO]      python host_tools/flash.py --list
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from host_tools.boards import emulator
from host_tools.boards.build import BUILD, FLASHED, Firmware, build_firmware, upload
from host_tools.boards.choose import choose, choose_copies, connected_boards
from host_tools.boards.generate import generate
from host_tools.boards.table import Board, get_board, load_boards, usb_boards
from host_tools.inputs import Model, add_foreign_options, add_model, load_named
from host_tools.link import mlperf
from host_tools.link.device import Device, DeviceSilent, check_info
from host_tools.link.line import LineLost, SerialLine
from host_tools.link.protocol import ProtocolError
from swin2mcu.common.card import sha256_of
from swin2mcu.common.cli import Parser, UserError, run_command, status, write_atomic
from swin2mcu.common.tables import table_text

BOOT_S = 15.0


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0])
    add_model(parser, files=True)
    add_foreign_options(parser)
    parser.add_argument("--board", help="default: the one that is connected")
    parser.add_argument("--port", help="the board's port: a device name or a URL")
    parser.add_argument("--engine", help="what runs the model (default: the board's first)")
    parser.add_argument(
        "--memory", default="", help="where weights and arena lie (default: the board's first)"
    )
    parser.add_argument(
        "--copies",
        type=int,
        default=1,
        help="start this many of an emulated board; they share the images of a test split",
    )
    parser.add_argument("--list", action="store_true", help="show boards, and which are connected")
    parser.add_argument("--stop", action="store_true", help="end emulated boards (or --board)")
    parser.add_argument("--monitor", action="store_true", help="afterwards print the board's log")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    arguments = parser.parse_args(argv)
    if arguments.list:
        return run_command(lambda: list_boards(arguments.json))
    if arguments.stop:
        return run_command(lambda: stop_boards(arguments.board))
    return run_command(lambda: _flash(arguments))


def _flash(arguments: argparse.Namespace) -> None:
    started = time.monotonic()
    # If the board is named, USB is not searched before the build.
    name = arguments.board or _board_at(arguments.port, arguments.model)
    board = get_board(name)
    engine = arguments.engine or board.engines[0]
    if engine not in board.engines:
        raise UserError(f"{name} has no engine {engine}: choose {' or '.join(board.engines)}")
    if not 1 <= arguments.copies <= 64 or (arguments.copies > 1 and not board.emulated):
        raise UserError("--copies is for emulated boards, 1 to 64 of them")
    if board.emulated and arguments.port is not None:
        raise UserError(f"--port is for boards that are plugged in; {name} gets a port of its own")
    model = load_named(arguments)
    memory = board.memory(arguments.memory)
    firmware = build(model, board, engine, memory.name)
    where = "" if board.emulated else upload_port(board, arguments.port)
    noted = FLASHED / f"{board.name}.json"
    noted.unlink(missing_ok=True)  # from here on the board may hold the new firmware
    before = {one.port for one in usb_boards()}
    port = put_on_board(board, firmware, where, arguments.copies)
    planned = int((firmware.model_dir / "arena_bytes").read_text())
    port, said = greet(model, board, port, before)
    arena_bytes = said or planned
    record = {
        "board": board.name, "engine": engine, "port": port, "model": model.card.name,
        "model_sha256": model.sha256, "arena_bytes": arena_bytes, "memory": asdict(memory),
        **{key: value for key, value in asdict(firmware).items() if key.endswith("_bytes")},
        "firmware_sha256": sha256_of(firmware.elf),
        "versions": versions(board),
        "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip
    write_atomic(noted, json.dumps(record, indent=2) + "\n")
    if arguments.json:
        print(json.dumps(record))
    else:
        kib = {key: f"{record[key] / 1024:,.0f} KiB" for key in record if key.endswith("_bytes")}
        print(
            f"{model.card.name} runs on {board.name} ({engine}) at {port}: flash "
            f"{kib['flash_bytes']}, weights apart {kib['weights_bytes']}, RAM {kib['ram_bytes']} "
            f"(arena {kib['arena_bytes']}); {record['seconds']} s"
        )
    if arguments.monitor:
        monitor(board, port)


def build(model: Model, board: Board, engine: str, memory: str = "") -> Firmware:
    """Generate the model's sources and link them with the firmware."""
    status.print(f"generating {model.card.name} for {engine} on {board.core} kernels")
    generated = generate(model, board, engine, BUILD / "models", memory)
    status.print(f"building the firmware for {board.name}")
    name = f"{model.sha256[:12]}-{engine}"
    if board.memory(memory) != board.memory():
        name += f"-{memory}"
    return build_firmware(board, engine, generated, BUILD / "firmware" / name, memory)


def versions(board: Board) -> dict[str, str]:
    """Program → version: what made the firmware and, where the board is emulated, the emulator."""
    programs = [board.compiler] if board.compiler else []
    if board.launch.startswith("qemu"):
        programs.append(board.launch.split()[0])
    found = {program: first_line(program) for program in programs}
    if not board.compiler:  # PlatformIO's platform contains it
        found |= {"platformio": version("platformio"), "platform": board.platform}
    return found


def first_line(program: str) -> str:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return "not found"
    return done.stdout.partition("\n")[0]


def put_on_board(board: Board, firmware: Firmware, port: str, copies: int = 1) -> str:
    """Start the board where it is emulated, else upload to `port`; returns its (first) port."""
    if board.emulated:
        status.print(f"starting {board.name}")
        return emulator.start_copies(board, firmware.elf, copies)[0].url
    status.print(f"uploading to {port}")
    upload(board, firmware, port)
    return port


def upload_port(board: Board, named: str | None) -> str:
    """`named`, or the port of the only such board.

    Raises UserError without one, and where the board's uploader, which takes no port, may write to
    another board.
    """
    port = named or choose(board.name, connected_boards()).port
    if board.upload_to_port:
        return port
    alike = {name for name, other in load_boards().items() if other.platform == board.platform}
    found = {one.port for one in usb_boards() if one.board in alike}
    others = {other for other in found if not same_file(other, port)}
    if others:
        raise UserError(
            f"{board.name}'s uploader writes to the first board that it finds, maybe to the one "
            f"at {' or '.join(sorted(others))}: unplug that one"
        )
    return port


def port_now(board: Board, port: str, before: Collection[str]) -> str:
    """`port`, or the one under which a board's own USB appears after its reset.

    `before` are the USB ports from before the upload: all but `port` are those of other boards.
    """
    if board.emulated:
        return port
    others = [other for other in before if not same_file(other, port)]
    found = [one.port for one in usb_boards() if one.board == board.name and one.port not in others]
    return found[0] if len(found) == 1 else port


def same_file(port: str, other: str) -> bool:
    """Whether both name one port, also where one is a link (`/dev/serial/by-id/…`)."""
    return os.path.realpath(port) == os.path.realpath(other)


def greet(
    model: Model, board: Board, port: str, before: Collection[str] = ()
) -> tuple[str, int | None]:
    """Wait until the board answers; it must hold the model that was just built.

    `before` is port_now's. Returns its port and its arena's size in bytes, None where its protocol
    does not report it.
    """
    deadline = time.monotonic() + BOOT_S
    while True:
        try:
            line = SerialLine(port, board.baud)
            try:
                if board.session == "mlperf":
                    held, info = mlperf.model_prefix(line, patience_s=2.0), None
                else:
                    info = Device(line).hello(patience_s=2.0)
                    held = info.sha256_prefix
            finally:
                line.close()
            break
        except (UserError, LineLost, DeviceSilent, ProtocolError) as error:
            if time.monotonic() > deadline:
                raise UserError(
                    f"{board.name} was flashed but does not answer at {port} ({error}): is it in "
                    "its bootloader? Press reset and try `python host_tools/serial_eval.py "
                    f"{shlex.quote(model.argument)}`"
                ) from error
            time.sleep(0.2)
            port = port_now(board, port, before)
    if info is not None:
        check_info(info, model)
        if info.board != board.name:
            raise UserError(
                f"at {port} is a {info.board}, which was not flashed now: name the port of the "
                f"{board.name} with --port"
            )
        return port, info.arena_bytes
    if not model.sha256.startswith(held):
        raise UserError(f"{board.name} holds another model (sha256 {held}…): reset it, flash again")
    return port, None


def _board_at(port: str | None, model: str) -> str:
    """The name of the only board, or of the only one that may be at `port`."""
    present = connected_boards()
    if port is None:
        return choose_copies(None, present, model)[0].board
    names = {one.board for one in present if one.port == port}
    if len(names) == 1:
        return names.pop()
    known = f"may be {' or '.join(sorted(names))}" if names else "is not known"
    raise UserError(f"what is at {port} {known}: name the board with --board")


def list_boards(as_json: bool) -> None:
    present = connected_boards()
    ports = {b: [one.port for one in present if one.board == b] for b in load_boards()}
    rows = [{**asdict(board), "ports": ports[name]} for name, board in load_boards().items()]
    if as_json:
        print(json.dumps(rows))
        return
    cells = [
        (
            row["name"],
            "/".join(row["engines"]),
            ", ".join(row["ports"]) or ("not running" if row["launch"] else "not connected"),
            row["hardware"],
        )
        for row in rows
    ]
    print(table_text(["board", "engines", "where", "hardware"], cells, texts=4))


def stop_boards(name: str | None) -> None:
    names = [get_board(name).name] if name else sorted({one.board for one in emulator.running()})
    for each in names:
        print(f"{each} {'stopped' if emulator.stop(each) else 'was not running'}")
    if not names:
        print("no emulated board is running")


def monitor(board: Board, port: str) -> None:
    """Print what the board logs until Ctrl-C."""
    from host_tools.link.protocol import Decoder, Type, printable

    line, decoder = SerialLine(port, board.baud), Decoder()
    status.print("monitoring; Ctrl-C ends it")
    try:
        while True:
            for frame in decoder.feed(line.read()):
                if frame is not None and frame.type == Type.LOG:
                    print(printable(frame.payload), flush=True)
    except LineLost as error:
        raise UserError(f"the line is gone: {error}") from error
    finally:
        line.close()


if __name__ == "__main__":
    raise SystemExit(main())
