"""Scoring a board: same results after a kill, a reset or on a bad line; errors are one line."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running_board import RunningBoard
from tiny_run import SIZE, make_images, make_run

from host_tools import serial_eval
from host_tools.inputs import load_model
from host_tools.line_speed import patient_clock
from host_tools.link.device import Device
from host_tools.link.faults import Faults
from host_tools.link.line import SerialLine
from host_tools.link.protocol import FrameFormat, Type, encode
from host_tools.report.entries import camera_cost
from host_tools.scoring import images
from host_tools.scoring.frames import parse_frames
from host_tools.scoring.journal import Journal, lock_journal
from host_tools.scoring.record import make_frames
from swin2mcu.common.test_access import read_accesses

ROOT = Path(__file__).resolve().parents[2]


def evaluate(board: RunningBoard, *options: str) -> dict[str, Any]:
    """Run the command in this process; the target's record without what time decides."""
    arguments = [str(board.run), "--data", str(board.data), "--port", board.port, *options]
    assert serial_eval.main(arguments) == 0
    return timeless(board)


def timeless(board: RunningBoard) -> dict[str, Any]:
    results = json.loads((board.run / "results.json").read_text())
    record = results["targets"]["host-aot"]
    runs = record["cost"]["runs"]
    for key in ("cost", "date", "link", "profile", "command"):
        record.pop(key)
    return {**record, "runs": runs}


@pytest.fixture(scope="module")
def clean(board: RunningBoard) -> dict[str, Any]:
    return evaluate(board, "--fresh")


def test_every_image_is_byte_identical_and_counted_once(clean: dict[str, Any]) -> None:
    assert clean["parity"]["identical"] == clean["parity"]["images"] == clean["runs"] == 20
    assert sum(map(sum, clean["accuracy"]["confusion"])) == 20


def test_a_look_at_the_test_split_is_written_down(
    board: RunningBoard, clean: dict[str, Any]
) -> None:
    before = len(read_accesses(board.run))
    evaluate(board, "--fresh", "--limit", "7")
    (look,) = read_accesses(board.run)[before:]
    assert (look["split"], look["images"], look["target"]) == ("test", 7, "host-aot")
    assert look["weights_sha256"] == load_model(str(board.run)).sha256


def test_a_killed_command_goes_on_and_ends_with_the_same_results(
    board: RunningBoard, clean: dict[str, Any]
) -> None:
    command = [sys.executable, str(ROOT / "host_tools" / "serial_eval.py"), str(board.run),
               "--data", str(board.data), "--port", board.port, "--fresh"]  # fmt: skip
    journal = board.run / "journal-host-aot.jsonl"
    journal.unlink()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (journal.exists() and len(journal.read_text().splitlines()) >= 4):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = len(journal.read_text().splitlines()) - 1
    with journal.open("a") as file:
        file.write('{"image": "cut sho')
    assert evaluate(board) == clean
    images = [json.loads(line).get("image") for line in journal.read_text().splitlines()[1:-1]]
    assert kept >= 3 and len(images) == len(set(images)) == 20


def test_other_photos_of_the_same_names_are_not_taken_for_those_scored_before(
    board: RunningBoard, clean: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(board, "--fresh")
    journal = board.run / "journal-host-aot.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(True)[:9]))  # killed after eight
    other = make_images(tmp_path / "images", seed=1)
    arguments = [str(board.run), "--data", str(other), "--port", board.port]
    assert serial_eval.main(arguments) == 0
    assert "it is of other images" in capsys.readouterr().err
    assert timeless(board) != clean
    assert evaluate(board) == clean


def test_a_second_command_on_the_same_journal_is_refused(
    board: RunningBoard, clean: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with lock_journal(board.run / "journal-host-aot.jsonl"):
        common = [str(board.run), "--data", str(board.data), "--port", board.port]
        assert "another serial_eval.py writes" in failing(capsys, *common)


def test_a_board_that_is_killed_and_comes_back_changes_nothing(
    board: RunningBoard, clean: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (board.run / "journal-host-aot.jsonl").unlink()
    add, restarted = Journal.add, []

    def pull(journal: Journal, entry: dict[str, Any]) -> None:
        add(journal, entry)
        if len(journal.entries) in (3, 8, 14) and len(journal.entries) not in restarted:
            restarted.append(len(journal.entries))
            board.restart()

    monkeypatch.setattr(Journal, "add", pull)
    assert evaluate(board) == clean and restarted == [3, 8, 14]
    link = json.loads((board.run / "results.json").read_text())["targets"]["host-aot"]["link"]
    assert link["reconnects"] >= 1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_faults_on_the_line_change_nothing(
    board: RunningBoard, clean: dict[str, Any], seed: int
) -> None:
    options = ["--fresh", "--inject-faults", f"0.001:{seed}"]
    assert evaluate(board, *options) == clean
    link = json.loads((board.run / "results.json").read_text())["targets"]["host-aot"]["link"]
    assert link["resends"] > 0


def test_faults_everywhere_never_give_a_wrong_answer(board: RunningBoard) -> None:
    line = Faults(0.01, seed=5).on(SerialLine(board.port, 921600))
    device = Device(line)
    try:
        noise = np.random.default_rng(1).integers(0, 256, (2, SIZE * SIZE * 3), dtype=np.uint8)
        answers = [device.infer(image.tobytes()).logits for image in noise]
    finally:
        line.close()
    line = SerialLine(board.port, 921600)
    device = Device(line, patient_clock)
    assert answers == [device.infer(image.tobytes()).logits for image in noise]
    line.close()
    assert device.stats.resends == 0


@pytest.mark.parametrize("kind", ["rgb565:40x30", "rgb565le:31x50", "rgb888:64x48", "gray:20x20",
                                  "yuv422:48x32"])  # fmt: skip
def test_a_board_prepares_a_cameras_frames_as_the_pc_does(
    board: RunningBoard, clean: dict[str, Any], capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    common = [str(board.run), "--data", str(board.data), "--port", board.port, "--fresh"]
    assert serial_eval.main([*common, "--frames", kind]) == 0
    name = parse_frames(kind).name
    record = json.loads((board.run / "results.json").read_text())["targets"][
        f"host-aot-{name.replace(':', '-')}"
    ]
    assert record["frames"] == name and record["command"].endswith(f"--frames {name}")
    assert record["parity"]["identical"] == record["parity"]["images"] == 20
    assert f"frames of {name} that the board prepares change top-1 by" in capsys.readouterr().out
    # The photos of these frames are the prepared images of the other target.
    assert record["photos"]["top1"] == clean["accuracy"]["top1"]
    assert record["photos"]["images"] == 20 and record["photos"]["changed"] > 0


@pytest.mark.parametrize("frames", [(), ("--frames", "rgb565:50x30")])
def test_a_card_that_crops_is_followed(
    board: RunningBoard, clean: dict[str, Any], tmp_path: Path, frames: tuple[str, ...]
) -> None:
    """The board and the PC crop alike, and answer otherwise than to squashed photos."""
    name, logits = "host-aot-rgb565be-50x30" if frames else "host-aot", []
    for crop in ("", "center"):
        run = tmp_path / (crop or "whole")
        shutil.copytree(board.run, run, ignore=shutil.ignore_patterns("*.jsonl", "*.lock"))
        card = json.loads((run / "card.json").read_text())
        card["split"]["crop"] = crop
        (run / "card.json").write_text(json.dumps(card))
        common = [str(run), "--data", str(board.data), "--port", board.port]
        assert serial_eval.main([*common, *frames]) == 0
        record = json.loads((run / "results.json").read_text())["targets"][name]
        assert record["parity"]["identical"] == 20
        lines = (run / f"journal-{name}.jsonl").read_text().splitlines()[1:]
        logits.append({e["image"]: e["logits"] for e in map(json.loads, lines) if "image" in e})
    assert len(logits[0]) == len(logits[1]) == 20 and logits[0] != logits[1]


def test_frames_survive_a_bad_line(board: RunningBoard) -> None:
    common = [str(board.run), "--data", str(board.data), "--port", board.port, "--fresh"]
    assert serial_eval.main([*common, "--frames", "rgb565:40x30", "--inject-faults", "0.001"]) == 0
    targets = json.loads((board.run / "results.json").read_text())["targets"]
    record = targets["host-aot-rgb565be-40x30"]
    assert record["link"]["resends"] > 0
    assert record["parity"]["identical"] == 20


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("jpeg:40x30", "no kind of frame"),
        ("rgb565:0x30", "between 1 and 8191"),
        ("yuv422:31x30", "width of a yuv422 frame is even"),
        ("rgb888:700x8", "the board refuses: bad payload a row of the frame is too long"),
        ("gray:1900x1900", "the board refuses: bad payload the frame needs more scratch memory"),
    ],
)
def test_frames_that_cannot_be_are_refused(
    board: RunningBoard, capsys: pytest.CaptureFixture[str], kind: str, said: str
) -> None:
    common = [str(board.run), "--data", str(board.data), "--port", board.port]
    assert said in failing(capsys, *common, "--fresh", "--frames", kind)


def test_a_board_that_prepares_otherwise_is_an_error(
    board: RunningBoard, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host says little-endian of big-endian bytes: the board makes another input of them."""
    right = images.frame_payload
    monkeypatch.setattr(
        images, "frame_payload", lambda _, *rest: right(FrameFormat.RGB565_LE, *rest)
    )
    common = [str(board.run), "--data", str(board.data), "--port", board.port, "--fresh"]
    assert "another input of a camera's frame" in failing(capsys, *common, "--frames", "rgb565:9x9")


def test_what_frames_cost_is_said_of_the_same_images_alone() -> None:
    entries = [
        {"label": 0, "logits": [5, 1], "photo": [4, 2]},
        {"label": 1, "logits": [5, 1], "photo": [1, 5]},  # right without a camera
        {"label": 1, "logits": [5, 1], "photo": [5, 1]},
        {"label": 0, "logits": [1, 5], "photo": [5, 1]},  # this one too
    ]
    made = make_frames(entries, "gray:9x9")
    assert made["photos"] == {"images": 4, "top1": 0.75, "changed": 2}
    target = {**made, "accuracy": {"top1": 0.25, "images": 4}}
    said = camera_cost("board-aot", target)
    assert "by -50.00 points, to 25.00% ± 21.65% from 75.00% ± 21.65% of the same 4 photos" in said
    assert "2 answers changed" in said
    assert camera_cost("board-aot", {"accuracy": {"top1": 0.5, "images": 4}}) == ""


def test_framing_costs_at_most_three_percent(board: RunningBoard) -> None:
    line = SerialLine(board.port, 921600)
    device = Device(line, patient_clock)
    device.infer(bytes(SIZE * SIZE * 3))
    line.close()
    sent = device.stats.bytes_sent - device.stats.payload_bytes
    assert device.stats.resends == 0
    assert sent / device.stats.bytes_sent <= 0.03


def answering(answer: bytes) -> str:
    """A port whose other end answers everything with the same bytes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, listener:
            while data := connection.recv(4096):
                seq = data[3] if len(data) > 3 else 0
                connection.sendall(answer.replace(b"SEQ", bytes([seq])))

    threading.Thread(target=serve, daemon=True).start()
    return f"socket://127.0.0.1:{listener.getsockname()[1]}"


def failing(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert serial_eval.main(list(arguments)) == 2
    error = capsys.readouterr().err.strip().splitlines()
    # Before it may stand what was taken of the images: "FOLDER: n photos, …" and indented lines;
    # and that a silent board is waited for.
    *before, last = error
    assert last.startswith("error: "), error
    usual = re.compile(r"  |.* photos, |no answer from .* yet: ")
    assert all(usual.match(line) for line in before), error
    return last


def test_a_wrong_port_is_named(board: RunningBoard, capsys: pytest.CaptureFixture[str]) -> None:
    common = [str(board.run), "--data", str(board.data), "--port"]
    assert "there is no port" in failing(capsys, *common, "/dev/no-such-port")
    assert "nothing listens" in failing(capsys, *common, "socket://127.0.0.1:1")


def test_a_silent_device_is_an_error(
    board: RunningBoard, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = failing(capsys, str(board.run), "--data", str(board.data), "--port", answering(b""))
    assert "no answer" in error and "flash.py" in error


def test_a_babbling_device_is_an_error(
    board: RunningBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    port = answering(b"login: \r\n" * 50)
    assert "no answer" in failing(capsys, str(board.run), "--data", str(board.data), "--port", port)


def test_a_busy_port_is_an_error(board: RunningBoard, capsys: pytest.CaptureFixture[str]) -> None:
    leader, follower = os.openpty()
    try:
        name = os.ttyname(follower)
        first = SerialLine(name, 115200)
        error = failing(capsys, str(board.run), "--data", str(board.data), "--port", name)
        first.close()
    finally:
        os.close(leader)
        os.close(follower)
    assert "in use by another program" in error


def test_another_model_on_the_board_is_an_error(
    board: RunningBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_run(tmp_path / "other")
    model = other / "model_int8.tflite"
    model.write_bytes(model.read_bytes() + b"another")
    card = json.loads((other / "card.json").read_text())
    (other / "card.json").write_text(json.dumps({**card, "sha256": None}))
    error = failing(capsys, str(other), "--data", str(board.data), "--port", board.port)
    assert "holds another model" in error


def test_another_protocol_version_is_an_error(
    board: RunningBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        from host_tools.link.protocol import Decoder

        connection, _ = listener.accept()
        decoder = Decoder()
        with connection, listener:
            while data := connection.recv(4096):
                for frame in decoder.feed(data):
                    if frame is not None:
                        connection.sendall(encode(Type.INFO, frame.seq, bytes([9, 1, 2])))

    threading.Thread(target=serve, daemon=True).start()
    port = f"socket://127.0.0.1:{listener.getsockname()[1]}"
    error = failing(capsys, str(board.run), "--data", str(board.data), "--port", port)
    assert "protocol version 9" in error
