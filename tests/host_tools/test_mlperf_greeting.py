"""flash.py knows which model a board holds that speaks MLPerf Tiny's commands."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tiny_run import make_run

from host_tools import flash
from host_tools.boards import emulator
from host_tools.boards.table import get_board
from host_tools.inputs import load_model
from host_tools.link.device import DeviceSilent
from host_tools.link.line import SerialLine
from host_tools.link.mlperf import model_prefix
from swin2mcu.common.cli import UserError


def test_the_model_is_asked_for_and_another_is_refused(tmp_path: Path) -> None:
    board, model = get_board("host-mlperf"), load_model(str(make_run(tmp_path / "tiny")))
    firmware = flash.build(model, board, "aot")
    emulated = emulator.start(board, firmware.elf, tmp_path / "state")
    try:
        assert flash.greet(model, board, emulated.url) == (emulated.url, None)
        line = SerialLine(emulated.url, board.baud)
        line.write(b"db 0")  # half a command
        assert model.sha256.startswith(model_prefix(line, 5))
        line.close()
        other = dataclasses.replace(model, sha256="f" * 64)
        with pytest.raises(UserError, match="host-mlperf holds another model"):
            flash.greet(other, board, emulated.url)
    finally:
        emulator.stop(board.name, tmp_path / "state")


def test_a_board_that_says_nothing_of_it_is_silent() -> None:
    class Mute:
        def read(self) -> bytes:
            return b"m-ready\r\n"

        def write(self, data: bytes) -> None:
            pass

        def close(self) -> None:
            pass

    with pytest.raises(DeviceSilent, match="profile"):
        model_prefix(Mute(), 0.05)
