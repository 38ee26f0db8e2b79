"""Boards that are processes: started in the background, recorded in a file, found, ended."""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import psutil

from host_tools.boards.build import BUILD
from host_tools.boards.table import Board, Connected, get_board
from swin2mcu.common.cli import UserError, write_atomic
from swin2mcu.common.lock import locked

STATE_DIR = BUILD / "emulated"
MONITOR = "{monitor}"  # stands in the command of a board that QEMU emulates
START_S = 60.0  # an idle machine needs a fraction of a second, a busy one has needed more than 10


@dataclass(frozen=True)
class Emulated:
    """A running board; `created` distinguishes its process from a later one with the same number.

    It is recorded before it starts, so that it is found even if the command is killed meanwhile.
    Until its number is known (0), it is found by its command line, which holds its ports.
    """

    board: str
    elf: str
    pid: int
    created: float  # seconds since the epoch; before the start, the time of the record
    port: int
    monitor: int
    command: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"socket://127.0.0.1:{self.port}"


def start_copies(board: Board, elf: Path, copies: int) -> list[Emulated]:
    """Start several of a board, ending those that run. Raises UserError if one does not come up."""
    with _lock(board.name, STATE_DIR):
        _stop(board.name, STATE_DIR)
        return [_start(board, elf, STATE_DIR, None, number) for number in range(1, copies + 1)]


def start(
    board: Board, elf: Path, state_dir: Path | None = None, port: int | None = None
) -> Emulated:
    """Start a board, ending those of that name. Raises UserError if it does not come up."""
    state_dir = state_dir or STATE_DIR
    with _lock(board.name, state_dir):
        _stop(board.name, state_dir)
        return _start(board, elf, state_dir, port, 1)


def _lock(name: str, state_dir: Path) -> AbstractContextManager[None]:
    """Two commands that start a board at once would end each other's, or leave one unrecorded."""
    busy = f"another command starts or stops {name}: wait for it"
    return locked(state_dir / name, timeout_s=2 * START_S, busy=busy)


def _start(board: Board, elf: Path, state_dir: Path, port: int | None, copy: int) -> Emulated:
    name = board.name if copy == 1 else f"{board.name}.{copy}"
    serial_port, monitor = port or free_port(), free_port()
    values = {
        "elf": str(elf),
        "port": str(serial_port),
        "monitor": str(monitor),
        "boot": str(random.randrange(1 << 32)),
    }
    command = [word.format(**values) for word in board.launch.split()]
    if shutil.which(command[0]) is None:
        raise UserError(f"{board.name} needs {command[0]}: `make setup-dev` installs it")
    state_dir.mkdir(parents=True, exist_ok=True)
    log, state = state_dir / f"{name}.log", state_dir / f"{name}.json"
    begun = Emulated(board.name, str(elf), 0, time.time(), serial_port, monitor, tuple(command))
    write_atomic(state, json.dumps(asdict(begun)) + "\n")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # it outlives the command that starts it
        )
    try:
        _wait_until_up(process, board, serial_port, monitor, log)
        created = psutil.Process(process.pid).create_time()
        emulated = replace(begun, pid=process.pid, created=created)
        write_atomic(state, json.dumps(asdict(emulated)) + "\n")
    except BaseException:  # also on Ctrl-C: a board that is not recorded would run forever
        process.kill()
        process.wait()
        state.unlink(missing_ok=True)
        raise
    return emulated


def _wait_until_up(
    process: subprocess.Popen[bytes], board: Board, serial_port: int, monitor: int, log: Path
) -> None:
    """Raises UserError, with what the program said, when it ends or takes too long."""
    deadline = time.monotonic() + START_S
    has_monitor = MONITOR in board.launch
    while not (listens(process.pid, serial_port) and (not has_monitor or talks(monitor))):
        ended = process.poll()
        if ended is not None or time.monotonic() > deadline:
            why = f"not up within {START_S:.0f} s" if ended is None else f"it ended with {ended}"
            said = log.read_text(errors="replace").strip() or why
            raise UserError(f"{board.name} does not start: {said}")
        time.sleep(0.02)


def stop(name: str, state_dir: Path | None = None) -> bool:
    """End the running board of that name and its copies; False if there is none."""
    state_dir = state_dir or STATE_DIR
    with _lock(name, state_dir):
        return _stop(name, state_dir)


def _stop(name: str, state_dir: Path) -> bool:
    ended = False
    for state in [state_dir / f"{name}.json", *state_dir.glob(f"{name}.*.json")]:
        emulated = read_state(state)
        state.unlink(missing_ok=True)
        if emulated is None:
            continue
        ended = True
        try:
            process = psutil.Process(emulated.pid)
            process.kill()
            process.wait(timeout=5)
        except psutil.NoSuchProcess:
            pass
    return ended


def running(state_dir: Path | None = None) -> list[Emulated]:
    states = (read_state(path) for path in sorted((state_dir or STATE_DIR).glob("*.json")))
    return [state for state in states if state is not None]


def connected() -> list[Connected]:
    return [Connected(emulated.board, emulated.url) for emulated in running()]


def find_resettable(url: str) -> Emulated | None:
    """The board at a port if a program can reset it: only one that QEMU emulates."""
    for emulated in running():
        if emulated.url == url and MONITOR in get_board(emulated.board).launch:
            return emulated
    return None


def reset_button(url: str) -> Callable[[], None]:
    """What resets the board at a port. Raises UserError unless it is one that QEMU emulates."""
    emulated = find_resettable(url)
    if emulated is None:
        raise UserError(f"{url} cannot be reset by a program: start a board in QEMU")
    return partial(reset, emulated)


def reset(emulated: Emulated) -> None:
    """Press the reset button of a board that QEMU emulates."""
    with socket.create_connection(("127.0.0.1", emulated.monitor), timeout=5) as monitor:
        monitor.sendall(b"system_reset\n")
        monitor.settimeout(START_S)
        received = b""
        while b"system_reset" not in received and (data := monitor.recv(4096)):
            received += data


def read_state(path: Path) -> Emulated | None:
    """The board that a state file describes, or None if it does not run (any more)."""
    try:
        emulated = Emulated(**json.loads(path.read_text()))
        if emulated.pid == 0:
            return _find_started(emulated)
        alive = abs(psutil.Process(emulated.pid).create_time() - emulated.created) < 1
        alive = alive and psutil.Process(emulated.pid).status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, TypeError, psutil.Error):
        return None
    return emulated if alive else None


def _find_started(begun: Emulated) -> Emulated | None:
    """The board that was recorded before its start, and whose number was never written."""
    for process in psutil.process_iter():
        try:
            if tuple(process.cmdline()) == tuple(begun.command) != ():
                return replace(begun, pid=process.pid, created=process.create_time())
        except psutil.Error:  # it has ended, or is another user's
            continue
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def talks(monitor: int) -> bool:
    """QEMU opens its ports before it loads the firmware, and sends its monitor's greeting after
    that."""
    try:
        with socket.create_connection(("127.0.0.1", monitor), timeout=5) as connection:
            return connection.recv(1) != b""
    except OSError:
        return False


def listens(pid: int, port: int) -> bool:
    """Asks the system and does not connect: a board accepts one connection at a time."""
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections)
