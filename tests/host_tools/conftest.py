"""A board that runs: the firmware as a process of this PC, with a tiny random model in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from running_board import RunningBoard
from tiny_run import make_images, make_run

from host_tools import flash
from host_tools.boards import emulator
from host_tools.boards.table import get_board
from host_tools.inputs import load_model
from host_tools.scoring import record


@pytest.fixture(autouse=True)
def nothing_flashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records depend neither on the user's boards nor on another test's."""
    monkeypatch.setattr(record, "FLASHED", tmp_path / "flashed")


@pytest.fixture(scope="session")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBoard]:
    folder = tmp_path_factory.mktemp("board")
    run, data = make_run(folder / "tiny"), make_images(folder / "images")
    firmware = flash.build(load_model(str(run)), get_board("host"), "aot")
    state = folder / "state"
    emulated = emulator.start(get_board("host"), firmware.elf, state)
    yield RunningBoard(run, data, firmware.elf, state, emulated.url)
    emulator.stop("host", state)
