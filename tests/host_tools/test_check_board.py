"""check_board.py: one report of a board of any kind, and the table made of reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from running_board import RunningBoard
from tiny_run import make_run

from host_tools import check_board, flash
from host_tools.boards import checks, emulator, reports
from host_tools.boards.checks import check_refusals, made_up_images
from host_tools.boards.chip import describe_chip
from host_tools.boards.table import get_board
from host_tools.inputs import load_model
from host_tools.link.protocol import Frame, Type, parse_info
from swin2mcu.common.cli import UserError
from tinyml.runtimes.reference import open_reference


def check(run: Path, port: str, out: Path, *options: str) -> tuple[int, dict[str, Any]]:
    status = check_board.main([str(run), "--port", port, "--out", str(out), *options])
    return status, json.loads(out.read_text()) if out.exists() else {}


def test_a_report_of_a_board_without_reset(board: RunningBoard, tmp_path: Path) -> None:
    status, report = check(board.run, board.port, tmp_path / "r.json", "--images", "5")
    assert status == 0
    assert report["checks"]["parity"]["identical"] == report["checks"]["parity"]["images"] == 5
    assert set(report["checks"]) == {"parity", "refusals", "faults"}
    assert sum(report["checks"]["faults"]["injected"].values()) > 0
    assert report["board"] == "host" and report["cost"]["unit"] == "us"
    assert report["cost"]["p50"] <= report["cost"]["p95"] <= report["cost"]["p99"]
    assert len(report["per_step"]) > 3
    # Nothing in it names a place or a person.
    assert str(board.run.parent) not in json.dumps(report)
    assert set(reports.NEEDED) <= set(report)


@pytest.mark.parametrize(
    "name",
    [
        "qemu-m7",
        "qemu-xtensa",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("qemu-m4", "qemu-m33", "qemu-m55")
        ),
    ],
)
def test_a_report_of_an_emulated_board(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator, "STATE_DIR", tmp_path / "state")
    run = make_run(tmp_path / "tiny")
    firmware = flash.build(load_model(str(run)), get_board(name), "aot")
    emulated = emulator.start(get_board(name), firmware.elf)
    try:
        status, report = check(run, emulated.url, tmp_path / "r.json", "--images", "4")
    finally:
        emulator.stop(name)
    assert status == 0, report["checks"]
    assert set(report["checks"]) == {"parity", "refusals", "faults", "resets"}
    assert report["checks"]["resets"]["injected"]["reset"] == checks.RESETS
    assert report["emulated"] and report["cost"]["unit"] == "instructions"
    assert (report["chip"] is None) == (name == "qemu-xtensa")
    assert report["stack_bytes"] > 100


def test_a_board_that_computes_something_else_fails(
    board: RunningBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OffByOne:
        def __init__(self, model: bytes) -> None:
            self.right = open_reference(model)

        def run(self, image: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
            return self.right.run(image) ^ 1

    monkeypatch.setattr(checks, "open_reference", OffByOne)
    status, report = check(board.run, board.port, tmp_path / "r.json", "--images", "2")
    assert status == 1
    assert not report["checks"]["parity"]["passed"]
    assert report["checks"]["parity"]["identical"] == 0


def test_a_board_that_accepts_what_makes_no_sense_fails() -> None:
    class Accepting:
        def hello(self) -> Any:
            return type("Info", (), {"input_bytes": 100, "step_count": 3})

        def request(self, type_: Type, payload: bytes = b"", **_: object) -> Frame:
            return Frame(type_ | 0x80, 0, b"")

        def echo(self, data: bytes) -> bytes:
            return data

    outcome = check_refusals(Accepting())  # type: ignore[arg-type]
    assert not outcome.passed and "load behind a gap" in outcome.said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--images", "0"], "--images must lie between 1 and 1000"),
        (["--repeat", "0"], "--repeat must lie between 1 and"),
        (["--board", "toaster"], "there is no board toaster"),
        (["--port", "/dev/no-such-port"], "/dev/no-such-port"),
    ],
)
def test_bad_arguments_are_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_board.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error and error.count("\n") == 1


def test_made_up_images_reach_every_corner() -> None:
    black, white, noise, smooth = made_up_images((8, 8, 3), 4)
    assert (black == -128).all() and (white == 127).all()
    assert len(np.unique(noise)) > 80
    assert np.abs(np.diff(smooth.astype(int), axis=0)).max() < 60
    again = list(made_up_images((8, 8, 3), 4))
    assert (noise == again[2]).all() and (smooth == again[3]).all()


def test_chips_are_named() -> None:
    assert describe_chip("teensy41", 0x411FC271) == "Cortex-M7 r1p1"
    assert describe_chip("qemu-m55", 0x410FD220) == "Cortex-M55 r0p0"
    assert describe_chip("xiao-esp32s3", 2) == "ESP32-S3 v0.2"
    assert describe_chip("host", 0) is None
    assert describe_chip("other", 0x12) == "0x00000012"


def test_an_info_of_older_firmware_says_nothing_of_the_chip() -> None:
    old = bytes([1, 0]) + bytes(10) + bytes(8) + bytes(12) + b"\x01b\x01e\x00"
    assert parse_info(old).chip_id == parse_info(old).clock_hz == 0
    new = parse_info(old + (2).to_bytes(4, "little") + (240_000_000).to_bytes(4, "little"))
    assert (new.board, new.chip_id, new.clock_hz) == ("b", 2, 240_000_000)


REPORT = {
    "board": "esp32s3",
    "chip": "ESP32-S3 v0.2",
    "clock_hz": 240_000_000,
    "memory": {"name": "psram-weights", "weights": "psram", "arena": "ram"},
    "engine": "aot",
    "model": "small-96",
    "cost": {"unit": "us", "p50": 51_000, "p95": 52_000, "p99": 53_000},
    "checks": {"parity": {"passed": True, "images": 20, "identical": 20}},
    "date": "2027-01-02T03:04:05+00:00",
}


def test_the_table_is_made_of_the_reports(tmp_path: Path) -> None:
    text = "before\n<!-- reports -->\nold\n<!-- end -->\nafter\n"
    assert reports.NONE in reports.rewrite(text, reports.load_reports(tmp_path))
    (tmp_path / "esp32s3-a.json").write_text(json.dumps(REPORT))
    made = reports.rewrite(text, reports.load_reports(tmp_path))
    assert made.startswith("before\n") and made.endswith("\nafter\n") and "old" not in made
    assert (
        "| esp32s3 | ESP32-S3 v0.2 | 240 MHz | psram-weights | small-96, aot "
        "| 51.0 ms | 52.0 ms | 53.0 ms | 20 of 20 | 2027-01-02 |"
    ) in made


@pytest.mark.parametrize("content", ["{", "[]", '{"board": "esp32s3"}', "null"])
def test_what_is_no_report_is_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(UserError, match=r"bad\.json is no report"):
        reports.load_reports(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("board", 1),
        ("board", "a | b\n| evil"),
        ("chip", "<b>"),
        ("cost", {}),
        ("clock_hz", "240"),
        ("memory", "flash"),
        ("checks", []),
        ("date", None),
        ("emulated", True),
    ],
)
def test_a_report_with_other_values_is_one_line(key: str, value: object, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text(json.dumps({**REPORT, key: value}))
    with pytest.raises(UserError, match=r"bad\.json is "):
        reports.load_reports(tmp_path)


def test_the_documents_table_is_up_to_date() -> None:
    text = reports.DOCS.read_text()
    assert reports.rewrite(text, reports.load_reports()) == text
