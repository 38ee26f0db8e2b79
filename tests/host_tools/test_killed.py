"""A command that is killed leaves nothing that runs on, and no board that --stop cannot find."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from running_board import RunningBoard

from host_tools.boards import emulator
from host_tools.boards.table import get_board
from host_tools.phone.chromium import headless_chromium
from swin2mcu.common.bound import run_bound

ROOT = Path(__file__).resolve().parents[2]
START = """
import sys
from pathlib import Path
from host_tools.boards import emulator
from host_tools.boards.table import get_board

def never(*arguments):
    print("starting", flush=True)
    import time
    time.sleep(1000)

emulator._wait_until_up = never
emulator.start(get_board("host"), Path(sys.argv[1]), Path(sys.argv[2]))
"""


def eventually(what: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end, "not within 30 s"
        time.sleep(0.02)


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python that runs `code` and has said its first line."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline()
    return process


def running_with(word: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if word in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_board_whose_command_is_killed_while_it_starts_can_be_stopped(
    board: RunningBoard, tmp_path: Path
) -> None:
    command = start(START, board.elf, tmp_path)
    command.kill()
    command.wait()
    (found,) = emulator.running(tmp_path)
    assert psutil.pid_exists(found.pid)
    assert emulator.stop("host", tmp_path) is True
    eventually(lambda: emulator.running(tmp_path) == [])
    assert not running_with(str(found.port))


def test_copies_of_a_board_start_and_stop_together(
    board: RunningBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator, "STATE_DIR", tmp_path)
    copies = emulator.start_copies(get_board("host"), board.elf, 3)
    try:
        assert len({copy.url for copy in copies}) == len(emulator.running()) == 3
        assert all(psutil.pid_exists(copy.pid) for copy in copies)
    finally:
        assert emulator.stop("host") is True
    assert emulator.running() == []
    eventually(lambda: not any(running_with(str(copy.port)) for copy in copies))
    assert emulator.stop("host") is False


def test_of_two_commands_that_start_a_board_one_board_is_left(
    board: RunningBoard, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = [
            pool.submit(emulator.start, get_board("host"), board.elf, tmp_path) for _ in range(4)
        ]
    started = [one.result() for one in made]
    try:
        (left,) = emulator.running(tmp_path)
        assert [one.pid for one in started if running_with(str(one.port))] == [left.pid]
    finally:
        assert emulator.stop("host", tmp_path) is True


def test_ctrl_c_while_a_board_starts_leaves_none(board: RunningBoard, tmp_path: Path) -> None:
    command = start(START, board.elf, tmp_path)
    (found,) = emulator.running(tmp_path)
    command.send_signal(signal.SIGINT)
    command.wait()
    eventually(lambda: not running_with(str(found.port)))
    assert list(tmp_path.glob("*.json")) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_build_ends_with_its_command(how: signal.Signals) -> None:
    """A shell stands for PlatformIO, its child for the compilers that it starts."""
    mark = f"300.{os.getpid()}{how.value}"
    code = (
        "import sys; from swin2mcu.common.bound import run_bound; print('begun', flush=True)\n"
        "run_bound(['sh', '-c', 'sleep \"$0\"; true', sys.argv[1]])"
    )
    command = start(code, mark)
    eventually(lambda: any(p.name() == "sleep" for p in running_with(mark)))
    command.send_signal(how)
    command.wait()
    eventually(lambda: not running_with(mark))


def test_a_bound_program_gives_its_output_and_status(tmp_path: Path) -> None:
    done = run_bound(["sh", "-c", "echo out; echo $WORD >&2; exit 3"], {**os.environ, "WORD": "x"})
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "x\n", 3)


EVALUATION = """
import sys
from pathlib import Path
from host_tools.inputs import load_model
from host_tools.scoring.reference import prepare_images

if __name__ == "__main__":
    model, image = load_model(sys.argv[1]), Path(sys.argv[2])
    files, int8 = [image] * 3, model.int8.read_bytes()
    images = prepare_images(int8, model.contract, files, 32, 32)
    next(images)
    print("begun", flush=True)
    import time
    time.sleep(1000)
"""
LEAVES = """
import sys
from pytorch_side.data.synthetic.__main__ import main

print("begun", flush=True)
main(["--out", sys.argv[1], "--per-class", "100000", "--processes", "2"])
"""
BROWSER = """
from host_tools.phone.chromium import headless_chromium

with headless_chromium("http://127.0.0.1:9/"):
    print("begun", flush=True)
    import time
    time.sleep(1000)
"""
CHROMIUM = "#!/bin/sh\nsleep 1000\ntrue\n"


def evaluation(fixture: Callable[[str], Any], folder: Path) -> subprocess.Popen[str]:
    board: RunningBoard = fixture("board")
    return start(EVALUATION, board.run, next(board.data.glob("*/1.png")))


def leaves(fixture: Callable[[str], Any], folder: Path) -> subprocess.Popen[str]:
    command = start(LEAVES, folder / "leaves")
    eventually(lambda: any(folder.glob("leaves/*/*.jpg")))
    return command


def add_chromium(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that has a child of its own stands for Chromium."""
    (folder / "chromium").write_text(CHROMIUM)
    (folder / "chromium").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def browser(fixture: Callable[[str], Any], folder: Path) -> subprocess.Popen[str]:
    add_chromium(folder, fixture("monkeypatch"))
    command = start(BROWSER)
    eventually(lambda: any(p.name() == "sleep" for p in children(command)))
    return command


def children(command: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(command.pid).children(recursive=True)


@pytest.mark.parametrize(("begin", "least"), [(evaluation, 1), (leaves, 2), (browser, 2)])
def test_what_a_killed_command_has_started_ends(
    begin: Callable[..., subprocess.Popen[str]],
    least: int,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    command = begin(request.getfixturevalue, tmp_path)
    started = children(command)
    try:
        assert len(started) >= least
        command.kill()
        command.wait()
        eventually(lambda: not any(p.is_running() and p.status() != "zombie" for p in started))
    finally:
        for process in started:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def test_a_browser_ends_with_its_context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    add_chromium(tmp_path, monkeypatch)
    with headless_chromium("http://127.0.0.1:9/") as process:
        eventually(lambda: len(psutil.Process(process.pid).children(recursive=True)) == 2)
        started = psutil.Process(process.pid).children(recursive=True)
        assert process.poll() is None
    assert process.poll() is not None
    eventually(lambda: not any(p.is_running() and p.status() != "zombie" for p in started))
