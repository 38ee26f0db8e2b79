"""What a second serial_eval.py on a run does: it resumes, starts again, or is refused."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running_board import RunningBoard

from host_tools import serial_eval
from host_tools.boards import emulator
from host_tools.boards.table import get_board
from host_tools.scoring import record
from swin2mcu.common.card import sha256_of

ROOT = Path(__file__).resolve().parents[2]
JOURNAL = "journal-host-aot.jsonl"


@pytest.fixture
def run(board: RunningBoard, tmp_path: Path) -> Path:
    """A copy of the board's run that nothing has been measured in."""
    copy = tmp_path / "tiny"
    shutil.copytree(board.run, copy, ignore=shutil.ignore_patterns("*.jsonl", "*.lock"))
    return copy


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"split": {"crop": "center"}},
        {"input_mean": [127.5], "input_std": [127.5]},
    ],
)
def test_another_crop_or_input_is_another_measurement(
    board: RunningBoard, run: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    arguments = [str(run), "--data", str(board.data), "--port", board.port]
    assert serial_eval.main(arguments) == 0
    journal = run / JOURNAL
    journal.write_text("".join(journal.read_text().splitlines(True)[:9]))  # killed after eight
    card = json.loads((run / "card.json").read_text())
    card["split"] |= change.get("split", {})
    (run / "card.json").write_text(json.dumps(card | {**change, "split": card["split"]}))
    capsys.readouterr()
    assert serial_eval.main(arguments) == 0
    said = capsys.readouterr().err
    assert ("starting again" in said) is bool(change), said
    assert ("resuming after 8 images" in said) is not bool(change), said


@pytest.fixture
def other_port(board: RunningBoard, tmp_path: Path) -> Iterator[str]:
    """The port of a second copy of the board."""
    state = tmp_path / "state"
    yield emulator.start(get_board("host"), board.elf, state).url
    emulator.stop("host", state)


def test_of_two_at_once_one_ends_and_the_other_is_refused(
    board: RunningBoard, run: Path, other_port: str
) -> None:
    def command(port: str) -> list[str]:
        script = str(ROOT / "host_tools" / "serial_eval.py")
        return [sys.executable, script, str(run), "--data", str(board.data), "--port", port]

    first = subprocess.Popen(
        command(board.port), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (run / JOURNAL).exists():
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)  # so that it still measures when the second one begins
    try:
        second = subprocess.run(command(other_port), capture_output=True, text=True)
    finally:
        first.send_signal(signal.SIGCONT)
    assert "error" not in first.communicate()[1] and first.returncode == 0
    assert second.returncode == 2 and "Traceback" not in second.stderr
    last = second.stderr.strip().splitlines()[-1]
    assert last.startswith("error: another serial_eval.py writes"), second.stderr
    third = subprocess.run(command(other_port), capture_output=True, text=True)
    assert third.returncode == 0, third.stderr


def test_other_firmware_is_another_measurement(
    board: RunningBoard,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its times do not go together with those of the firmware before."""
    monkeypatch.setattr(record, "FLASHED", tmp_path / "flashed")
    flashed = tmp_path / "flashed" / "host.json"
    flashed.parent.mkdir()
    facts = {"engine": "aot", "model_sha256": sha256_of(run / "model_int8.tflite")}
    arguments = [str(run), "--data", str(board.data), "--port", board.port]
    for firmware, resumes in (("a", False), ("a", True), ("b", False)):
        flashed.write_text(json.dumps(facts | {"firmware_sha256": firmware}))
        assert serial_eval.main(arguments) == 0
        assert ("resuming after 8 images" in capsys.readouterr().err) is resumes
        journal = run / JOURNAL
        journal.write_text("".join(journal.read_text().splitlines(True)[:9]))  # killed after eight


def test_a_resume_after_the_last_image_measures_no_line(
    board: RunningBoard, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(run), "--data", str(board.data), "--port", board.port]
    assert serial_eval.main(arguments) == 0
    assert "framing" in capsys.readouterr().out
    journal = run / JOURNAL
    lines = journal.read_text().splitlines(True)
    journal.write_text("".join(lines[:-1]))  # killed before it was marked as finished
    assert serial_eval.main(arguments) == 0
    said = capsys.readouterr().out
    assert "all images were in the journal" in said and "framing" not in said
    link = json.loads((run / "results.json").read_text())["targets"]["host-aot"]["link"]
    assert link["framing"] is link["images_per_s"] is None


def test_results_of_another_model_are_found_before_the_first_image(
    board: RunningBoard, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = {"schema": 1, "model_sha256": "0" * 64, "name": "x", "targets": {}}
    (run / "results.json").write_text(json.dumps(foreign))
    assert serial_eval.main([str(run), "--data", str(board.data), "--port", board.port]) == 2
    assert "results of another model" in capsys.readouterr().err
    assert not (run / JOURNAL).exists()
