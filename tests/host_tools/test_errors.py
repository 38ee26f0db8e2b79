"""What can be wrong before or after the line itself: one line that says so, exit status 2."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import pytest
from running_board import RunningBoard
from scripted_device import info, scripted
from tiny_run import make_images, make_run

from host_tools import flash, serial_eval
from host_tools.boards import emulator
from host_tools.boards.table import get_board
from host_tools.inputs import load_model
from host_tools.link.line import SerialLine, explain_open_error
from host_tools.link.protocol import PROTOCOL_VERSION, Frame, Type, encode
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import import_folder, load_split_pixels


def error_of(capsys: pytest.CaptureFixture[str], status: int) -> str:
    said = capsys.readouterr().err.strip().splitlines()
    assert status == 2 and said[-1].startswith("error: "), said
    assert not any("Traceback" in line for line in said)
    return said[-1]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--limit", "0"], "--limit must be at least 1"),
        (["--repeat", "0"], "--repeat must lie between 1 and"),
        (["--repeat", "9999"], "--repeat must lie between 1 and"),
        (["--warm-up", "-1"], "--warm-up between 0 and"),
        (["--inject-resets", "-1"], "--inject-resets must lie between 0 and"),
        (["--wait", "-1"], "--wait must lie between 0 and"),
        (["--wait", "nan"], "--wait must lie between 0 and"),
        (["--board", "toaster"], "there is no board toaster"),
    ],
)
def test_an_option_out_of_range(
    board: RunningBoard, capsys: pytest.CaptureFixture[str], options: list[str], error: str
) -> None:
    status = serial_eval.main([str(board.run), "--data", str(board.data), *options])
    assert error in error_of(capsys, status)


def test_a_folder_without_test_images_or_of_other_classes(
    board: RunningBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_images(tmp_path / "images", per_class=2)
    split = data / "split.csv"
    split.write_text(split.read_text().replace(",test", ",train"))
    common = [str(board.run), "--port", board.port, "--data"]
    assert "has no test images" in error_of(capsys, serial_eval.main([*common, str(data)]))
    other = make_images(tmp_path / "other", classes=("apple", "pear"))
    assert "has the classes apple, pear" in error_of(
        capsys, serial_eval.main([*common, str(other)])
    )


def test_many_images_that_cannot_be_read_are_an_error_and_one_is_left_out(
    board: RunningBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_images(tmp_path / "images", per_class=6)
    arguments = [str(board.run), "--port", board.port, "--fresh", "--data", str(data)]
    spoilt = sorted(data.glob("*/[135].png"))
    spoilt[0].write_bytes(b"no image")
    assert serial_eval.main(arguments) == 0
    assert "left out: " in capsys.readouterr().err
    # 3 are 10 % of the test split, and 5 % of the folder that a model may be trained on.
    for path in spoilt[1:3]:
        path.write_bytes(b"no image")
    assert serial_eval.main(arguments) == 0
    assert len(load_split_pixels(import_folder(data), "test", 8)[3]) == 3, "not refused here"
    capsys.readouterr()
    spoilt[3].write_bytes(b"no image")
    assert f"4 of 60 images in {data} cannot be read" in error_of(
        capsys, serial_eval.main(arguments)
    )


def test_a_board_that_does_not_come_back(
    board: RunningBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It dies at the first Load; the journal stays for the next time."""
    model = load_model(str(make_run(tmp_path / "run")))

    def dying(frame: Frame) -> bytes | None:
        nonlocal lives
        if frame.type == Type.HELLO and lives:
            lives = False
            return info(model, frame.seq)
        return None

    lives = True
    with scripted(dying) as port:
        arguments = [str(model.folder), "--data", str(board.data), "--port", port, "--wait", "1"]
        assert serial_eval.main(arguments) == 2
    *said, error = capsys.readouterr().err.splitlines()
    assert f"{port} is lost: waiting up to 1 s for it to come back" in said
    assert "did not come back within 1 s" in error and "the journal is kept" in error
    assert (model.folder / "journal-scripted-aot.jsonl").exists()


def test_an_engine_that_did_not_start_says_why(
    board: RunningBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_model(str(board.run))
    height, width, channels = model.card.input_shape
    sizes = (height, width, channels, len(model.card.classes), 1)
    prefix = bytes.fromhex(model.sha256[:16])
    head = struct.pack("<BBHHHHH8sIII", PROTOCOL_VERSION, 0, *sizes, prefix, 7, 1, 1)
    texts = b"".join(bytes([len(t)]) + t for t in (b"esp32s3", b"tflm", b"the arena is too small"))
    with scripted(lambda frame: encode(Type.INFO, frame.seq, head + texts)) as port:
        status = serial_eval.main([str(board.run), "--data", str(board.data), "--port", port])
    assert "esp32s3's engine does not start: the arena is too small" in error_of(capsys, status)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EACCES, "Permission denied"), "may not be opened by you"),
        (OSError(errno.EBUSY, "Device or resource busy"), "in use by another program"),
        (OSError(errno.ENOENT, "No such file or directory"), "there is no port"),
        (OSError("[Errno 111] Connection refused"), "nothing listens at"),
        (ValueError("unknown protocol"), "cannot open"),
    ],
)
def test_a_port_that_does_not_open_says_what_to_do(error: Exception, said: str) -> None:
    assert said in explain_open_error("COM7", error)


@pytest.mark.parametrize(
    "port",
    [
        "socket://127.0.0.1",
        "socket://127.0.0.1:99999",
        "socket://:5000",
        "socket://a:b",
        "socket://",
    ],
)
def test_an_address_that_is_none_says_how_to_write_one(port: str) -> None:
    with pytest.raises(UserError, match="write socket://HOST:NUMBER"):
        SerialLine(port, 115200)


def test_an_address_with_options_is_refused_plainly() -> None:
    with pytest.raises(UserError, match=r"write the address alone, without '\?x'"):
        SerialLine("socket://127.0.0.1:99?x", 115200)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--board", "qemu-m7", "--port", "/dev/x"], "qemu-m7 gets a port of its own"),
        (["--board", "host", "--copies", "0"], "--copies is for emulated boards"),
        (["--board", "teensy41", "--copies", "2"], "--copies is for emulated boards"),
        (["--stop", "--board", "toaster"], "there is no board toaster"),
        (["no-such-model", "--board", "host"], "holds no model_int8.tflite"),
    ],
)
def test_flash_refuses(capsys: pytest.CaptureFixture[str], options: list[str], error: str) -> None:
    assert error in error_of(capsys, flash.main(options))


def test_flash_notices_a_board_that_is_silent_or_holds_another_model(
    board: RunningBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(str(board.run))
    monkeypatch.setattr(flash, "BOOT_S", 0.5)
    with scripted(lambda _: b"") as port, pytest.raises(UserError, match="bootloader"):
        flash.greet(model, get_board("esp32s3"), port)
    holder = scripted(lambda frame: info(model, frame.seq, sha256="0" * 64))
    with holder as port, pytest.raises(UserError, match="holds another model"):
        flash.greet(model, get_board("esp32s3"), port)


def test_an_emulated_board_that_does_not_start_says_what_its_program_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"qemu-m7 does not start: .*no-such-firmware"):
        emulator.start(get_board("qemu-m7"), tmp_path / "no-such-firmware.elf", tmp_path)
