"""A board that resets, or a port that goes away, at a moment that a test must choose."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from host_tools import flash
from host_tools.boards import checks
from host_tools.boards.table import Connected, get_board
from host_tools.inputs import load_model
from host_tools.link.connection import first_hello
from host_tools.link.device import RUNS_S, Device, DeviceSilent
from host_tools.link.faults import Faults
from host_tools.link.line import LineLost, SerialLine
from host_tools.link.protocol import Frame, Info, StepCost, Type, parse_info
from host_tools.scoring import reference
from swin2mcu.common.cli import UserError

INFO = parse_info(bytes([1, 0]) + bytes(10) + bytes(8) + bytes(12) + b"\x01b\x01e\x00")


class Silent:
    """A line that takes everything and says nothing."""

    def __init__(self) -> None:
        self.written = b""

    def read(self) -> bytes:
        return b""

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        pass


def scripted(boots: list[int], profiles: list[list[StepCost]]) -> Device:
    """A device whose answers to Hello and to a whole profile are these, in order."""

    class Scripted(Device):
        def hello(self, patience_s: float = 5.0) -> Info:
            return replace(INFO, boot=boots.pop(0))

        def _profile(self) -> list[StepCost]:
            return profiles.pop(0)

    return Scripted(Silent())


def test_a_profile_with_a_reset_in_its_midst_is_taken_again() -> None:
    """The steps after the reset cost nothing, since the board that answers did not run them."""
    torn, whole = ([StepCost("conv", "CONV_2D", cost)] for cost in (0, 7))
    assert scripted([1, 2, 2, 2], [torn, whole]).profile() == whole
    assert scripted([3, 3], [whole]).profile() == whole
    with pytest.raises(UserError, match="does it keep resetting"):
        scripted(list(range(1000)), [torn] * 500).profile()


def test_many_runs_are_asked_for_in_parts_that_a_watchdog_allows() -> None:
    """A run of 3 s: 100 of them in one Run would be taken for a board that hangs."""
    now, asked = 0.0, []

    class Slow(Device):
        def load(self, image: bytes, type_: Type = Type.LOAD) -> bool:
            return True

        def request(self, type_: Type, payload: bytes = b"", *_: object, **__: object) -> Frame:
            nonlocal now
            asked.append(int.from_bytes(payload, "little"))
            now += 3.0 * asked[-1]
            costs = struct.pack(f"<{asked[-1]}I", *range(asked[-1]))
            head = struct.pack("<IHH2b", zlib.crc32(b"image"), 2, asked[-1], len(asked), 0)
            return Frame(Type.RESULT, 0, head + costs)

    result = Slow(Silent(), clock=lambda: now).infer(b"image", 20)
    assert asked == [1, 6, 6, 6, 1]
    assert result.logits == (1, 0), "those of the first run"
    assert result.costs == (0, *range(6), *range(6), *range(6), 0)


def test_a_board_that_still_runs_for_an_earlier_command_is_waited_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    patience = []

    class Busy(Device):
        def hello(self, patience_s: float = 5.0) -> Info:
            patience.append(patience_s)
            if patience_s < RUNS_S:
                raise DeviceSilent("busy")
            return INFO

    assert first_hello(Busy(Silent()), "/dev/ttyACM0") == INFO
    assert patience == [5.0, 25.0]
    assert "no answer from /dev/ttyACM0 yet" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="there is no termios")
def test_a_port_that_goes_away_while_it_is_opened_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import termios

    import serial

    def gone(_: Any) -> None:
        raise termios.error(5, "Input/output error")

    monkeypatch.setattr(serial.Serial, "open", gone)
    with pytest.raises(UserError, match="/dev/ttyACM7"):
        SerialLine("/dev/ttyACM7", 115200)


def test_a_reset_that_does_not_come_is_a_lost_line() -> None:
    def fail() -> None:
        raise TimeoutError("timed out")

    line = Faults(0, 0, resets=1, reset=fail, messages_per_reset=1).on(Silent())
    with pytest.raises(LineLost, match="cannot be reset: timed out"):
        line.write(b"message")


def test_a_small_input_is_sent_until_the_board_was_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole image of 28 pixels takes one message, and resets come after ten."""

    class Right:
        def __init__(self, line: Any) -> None:
            self.line = line

        def infer(self, image: bytes) -> Any:
            self.line.write(image[:8])
            return type("Result", (), {"logits": (1, 2)})

    monkeypatch.setattr(checks, "Device", Right)
    model = load_model("small-96")
    small = replace(model, card=replace(model.card, input_shape=(28, 28, 1)))
    pressed: list[int] = []
    outcome = checks.check_faults(Silent(), small, reset=lambda: pressed.append(1))
    assert outcome.passed and pressed and "the same logits" in outcome.said
    never = checks.check_faults(Silent(), small, reset=None)
    assert not never.passed, "no fault in eight bytes: nothing was tested"


@pytest.mark.parametrize(
    ("port", "said"),
    [
        ("/dev/b", "may be s3-usb or xiao: name the board"),
        ("/dev/c", "is not known: name the board"),
    ],
)
def test_the_board_at_a_port_is_taken_or_asked_for(
    port: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    present = [
        Connected("teensy", "/dev/a"),
        Connected("xiao", "/dev/b"),
        Connected("s3-usb", "/dev/b"),
    ]
    monkeypatch.setattr(flash, "connected_boards", lambda: present)
    assert flash._board_at("/dev/a", "small-96") == "teensy"
    with pytest.raises(UserError, match=said):
        flash._board_at(port, "small-96")


def test_the_board_that_comes_back_is_the_one_that_was_flashed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two boards of one kind: while the flashed one restarts, only the other one is there."""
    board = get_board("xiao-esp32s3")
    link = tmp_path / "by-id"
    link.symlink_to("/dev/a")
    present = [Connected(board.name, "/dev/b")]
    monkeypatch.setattr(flash, "usb_boards", lambda: present)
    before = {"/dev/a", "/dev/b"}
    assert flash.port_now(board, "/dev/a", before) == "/dev/a"
    present.append(Connected(board.name, "/dev/c"))
    assert flash.port_now(board, "/dev/a", before) == "/dev/c"
    present[1] = Connected(board.name, "/dev/a")
    assert flash.port_now(board, "/dev/a", before) == "/dev/a"
    assert flash.port_now(board, str(link), before) == "/dev/a"


def test_another_board_that_answers_is_not_taken_for_the_flashed_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = load_model("small-96")
    shape = dict(zip(("height", "width", "channels"), model.card.input_shape, strict=True))
    info = replace(
        INFO, board="esp32s3-usb", sha256_prefix=model.sha256[:16],
        class_count=len(model.card.classes), **shape,
    )  # fmt: skip
    monkeypatch.setattr(flash, "SerialLine", lambda *_: Silent())
    monkeypatch.setattr(Device, "hello", lambda *_, **__: info)
    with pytest.raises(UserError, match=r"at /dev/a is a esp32s3-usb, .* of the xiao-esp32s3"):
        flash.greet(model, get_board("xiao-esp32s3"), "/dev/a")
    assert flash.greet(model, get_board("esp32s3-usb"), "/dev/a") == ("/dev/a", info.arena_bytes)


def test_an_uploader_that_takes_no_port_is_given_one_board_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """OpenOCD and teensy_loader_cli write to the first one that they find."""
    own, other = Connected("nucleo-h743zi2", "/dev/a"), Connected("nucleo-f746zg", "/dev/b")
    present = [own, Connected("teensy41", "/dev/c")]
    monkeypatch.setattr(flash, "usb_boards", lambda: present)
    assert flash.upload_port(get_board(own.board), "/dev/a") == "/dev/a"
    present += [other, Connected("esp32s3", "/dev/d"), Connected("esp32s3", "/dev/e")]
    with pytest.raises(UserError, match="maybe to the one at /dev/b: unplug that one"):
        flash.upload_port(get_board(own.board), "/dev/a")
    assert flash.upload_port(get_board("esp32s3"), "/dev/d") == "/dev/d"
    # What is noted of the firmware on the board stays: nothing was uploaded.
    noted = tmp_path / f"{own.board}.json"
    noted.write_text("{}")
    monkeypatch.setattr(flash, "FLASHED", tmp_path)
    monkeypatch.setattr(flash, "build", lambda *_: None)
    assert flash.main(["small-96", "--board", own.board, "--port", own.port]) == 2
    assert noted.exists()


def test_a_pc_that_cannot_run_the_model_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def none(_: bytes) -> None:
        raise UserError("no C compiler found")

    monkeypatch.setattr(reference, "open_reference", none)
    model = load_model("small-96")
    with pytest.raises(UserError, match="no C compiler found"):
        next(reference.prepare_images(b"", model.contract, [tmp_path / "a.png"], 96, 96))


def test_a_reference_that_was_ended_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(reference, "open_reference", lambda _: None)
    monkeypatch.setattr(reference, "_start", end_process)
    model = load_model("small-96")
    with pytest.raises(UserError, match="was ended"):
        next(reference.prepare_images(b"", model.contract, [tmp_path / "a.png"], 96, 96))


def end_process(*_: Any) -> None:
    os._exit(1)
