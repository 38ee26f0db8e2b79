"""Trust nothing on the wire: whatever a device sends, the command ends soon, with one line."""

from __future__ import annotations

import os
import random
import signal
import struct
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from scripted_device import Script, info, scripted
from tiny_run import CLASSES, make_images, make_run

from host_tools import serial_eval
from host_tools.inputs import Model, load_model
from host_tools.link import connection, device
from host_tools.link.protocol import Frame, NackCode, Type, encode
from host_tools.scoring import images as scoring
from host_tools.scoring.frames import FrameKind
from host_tools.scoring.reference import Prepared

MOST_S = 30.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(str(make_run(tmp_path_factory.mktemp("hostile") / "run")))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images") / "images", per_class=2)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same limits in less time, and no interpreter to compare with, which starts slowly."""

    def nothing(
        _: bytes,
        contract: object,
        files: Sequence[Path],
        height: int,
        width: int,
        kind: FrameKind | None,
        crop: str,
    ) -> Iterator[Prepared]:
        frame = bytes(kind.frame_bytes) if kind else b""
        image = Prepared(bytes(height * width * 3), (0,) * len(CLASSES), frame)
        return iter([image] * len(files))

    monkeypatch.setattr(scoring, "prepare_images", nothing)
    monkeypatch.setattr(device, "PATIENCE_S", 0.3)
    monkeypatch.setattr(device, "RUN_PATIENCE_S", 0.3)
    monkeypatch.setattr(device, "MIN_TIMEOUT_S", 0.05)
    monkeypatch.setattr(device, "FIRST_TIMEOUT_S", {})
    monkeypatch.setattr(connection, "STILL_RUNS_S", 0.3)
    monkeypatch.setattr(connection, "RETRY_S", 0.01)
    monkeypatch.setattr(connection, "MAX_LOSSES", 4)


class Honest:
    """A right device, of which each test spoils something."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.input = bytearray()

    def __call__(self, frame: Frame) -> bytes | None:
        if frame.type == Type.HELLO:
            return info(self.model, frame.seq)
        if frame.type == Type.LOAD:
            (offset,) = struct.unpack_from("<I", frame.payload)
            self.input[offset:] = frame.payload[4:]
            return encode(Type.ACK, frame.seq)
        if frame.type == Type.RUN:
            return encode(Type.RESULT, frame.seq, self.result())
        return encode(Type.PROFILE_ANSWER, frame.seq, b"\1\0\0\0" + b"\1\0\0\0" + b"\1a\1b")

    def result(self, classes: int = len(CLASSES), count: int = 1) -> bytes:
        head = struct.pack("<IHH", zlib.crc32(self.input), classes, count)
        return head + bytes(classes) + bytes(4 * count)


def refused(
    capsys: pytest.CaptureFixture[str], script: Script, model: Model, data: Path, *options: str
) -> str:
    """The error that the command ends with: soon, in one line, with nothing written elsewhere."""
    before = {path for path in model.folder.parent.rglob("*")}
    started = time.monotonic()
    with scripted(script) as port:
        arguments = [str(model.folder), "--data", str(data), "--limit", "2", "--fresh"]
        status = serial_eval.main([*arguments, "--warm-up", "0", "--port", port, *options])
    assert time.monotonic() - started < MOST_S
    said = capsys.readouterr().err.strip().splitlines()
    assert status == 2 and said[-1].startswith("error: "), said
    assert not any("Traceback" in line for line in said)
    written = {path for path in model.folder.parent.rglob("*")} - before
    written = {path for path in written if path.suffix != ".lock"}
    journals = {model.folder / f"journal-scripted-aot{more}.jsonl" for more in ("", "-gray-8x8")}
    assert written <= journals
    for journal in journals:
        journal.unlink(missing_ok=True)
    return said[-1]


def test_an_honest_device_is_believed(data: Path, tmp_path: Path) -> None:
    """The other tests would end like this, did they not spoil something."""
    run = load_model(str(make_run(tmp_path / "run")))
    with scripted(Honest(run)) as port:
        arguments = [str(run.folder), "--data", str(data), "--limit", "2", "--port", port]
        assert serial_eval.main(arguments) == 0
    assert (run.folder / "results.json").exists()


@pytest.mark.parametrize("then", [None, b""])
def test_ctrl_c_does_not_wait_for_a_lost_board(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    data: Path,
    tmp_path: Path,
    then: bytes | None,
) -> None:
    """After three images it hangs up on everyone, or says nothing; the next image waits for it."""
    monkeypatch.setattr(device, "RUN_PATIENCE_S", 20.0)
    run = load_model(str(make_run(tmp_path / "run")))
    interrupted_at = []

    class Lost(Honest):
        runs = 0

        def interrupt(self) -> None:
            interrupted_at.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

        def __call__(self, frame: Frame) -> bytes | None:
            self.runs += frame.type == Type.RUN
            if self.runs <= 3:
                return super().__call__(frame)
            if not interrupted_at:
                interrupted_at.append(0.0)
                threading.Timer(0.3, self.interrupt).start()
            return then

    arguments = [str(run.folder), "--data", str(data), "--warm-up", "0", "--port"]
    with scripted(Lost(run)) as port:
        assert serial_eval.main([*arguments, port, "--wait", "20"]) == 130
        assert time.monotonic() - interrupted_at[-1] < 5
    assert "interrupted; run the same command again" in capsys.readouterr().err
    with scripted(Honest(run)) as port:
        assert serial_eval.main([*arguments, port]) == 0
    assert "resuming after 3 images" in capsys.readouterr().err


@pytest.mark.parametrize("name", [b"../../out", b"/tmp/out", b"", b"a\nb", b"." * 255])
def test_a_board_cannot_choose_where_its_journal_lies(
    capsys: pytest.CaptureFixture[str], model: Model, data: Path, name: bytes
) -> None:
    error = refused(capsys, lambda frame: info(model, frame.seq, board=name), model, data)
    assert "calls itself" in error


@pytest.mark.parametrize("type_", [Type.FRAME, Type.PART])
def test_a_device_that_never_keeps_a_frame(
    capsys: pytest.CaptureFixture[str], model: Model, data: Path, type_: Type
) -> None:
    class Forgetful(Honest):
        def __call__(self, frame: Frame) -> bytes | None:
            if frame.type == type_:
                return encode(Type.NACK, frame.seq, bytes([NackCode.OUT_OF_ORDER]))
            if frame.type == Type.FRAME:
                return encode(Type.FRAME_BEGUN, frame.seq)
            return super().__call__(frame)

    said = refused(capsys, Forgetful(model), model, data, "--frames", "gray:8x8")
    assert "the board refuses: out of order" in said or "lost a frame 50 times" in said


def answers(type_: Type, answer: Script) -> type[Honest]:
    """A device that is honest but for its answers to one type."""

    class Spoilt(Honest):
        def __call__(self, frame: Frame) -> bytes | None:
            return answer(frame) if frame.type == type_ else super().__call__(frame)

    return Spoilt


noise = random.Random(0)
nack = {code: bytes([code]) for code in NackCode}
SPOILT: dict[str, tuple[type[Honest], str]] = {
    "garbage for an Ack": (
        answers(Type.LOAD, lambda _: noise.randbytes(300)),
        "does not answer any more",
    ),
    "silence for an Ack": (answers(Type.LOAD, lambda _: b""), "does not answer any more"),
    "silence for a Result": (answers(Type.RUN, lambda _: b""), "does not answer any more"),
    "an Ack of another seq": (
        answers(Type.LOAD, lambda f: encode(Type.ACK, (f.seq + 1) % 256)),
        "does not answer any more",
    ),
    "another type": (
        answers(Type.LOAD, lambda f: encode(Type.ECHO_ANSWER, f.seq)),
        "does not answer any more",
    ),
    "damaged frames only": (
        answers(Type.LOAD, lambda _: encode(Type.NACK, 0, nack[NackCode.BAD_FRAME])),
        "does not answer any more",
    ),
    "a reboot at each Load": (
        answers(Type.LOAD, lambda _: encode(Type.LOG, 0, b"booted")),
        "does not answer any more",
    ),
    "an image that is never begun": (
        answers(Type.LOAD, lambda f: encode(Type.NACK, f.seq, nack[NackCode.OUT_OF_ORDER])),
        "lost an image 50 times",
    ),
    "an image that is never there": (
        answers(Type.RUN, lambda f: encode(Type.NACK, f.seq, nack[NackCode.NOT_LOADED])),
        "lost an image 50 times",
    ),
    "a Nack of no known code": (
        answers(Type.RUN, lambda f: encode(Type.NACK, f.seq, b"\x99\x1b[2Jgone")),
        "refuses: code 153 ?[2Jgone",
    ),
    "a Nack without a code": (
        answers(Type.RUN, lambda f: encode(Type.NACK, f.seq)),
        "refuses: code 0",
    ),
    "the line lost at each Load": (answers(Type.LOAD, lambda _: None), "was lost 4 times"),
    "a Result that is cut short": (
        answers(Type.RUN, lambda f: encode(Type.RESULT, f.seq, b"\0\0\0")),
        "a Result that is too short",
    ),
    "a Result with more than it holds": (
        answers(Type.RUN, lambda f: encode(Type.RESULT, f.seq, struct.pack("<IHH", 1, 9999, 9999))),
        "a Result whose lengths do not fit",
    ),
    "a Profile without an end": (
        answers(
            Type.PROFILE,
            lambda f: encode(
                Type.PROFILE_ANSWER,
                f.seq,
                b"\xff\xff" + f.payload + b"\1\0\0\0" + b"\1a\1b",
            ),
        ),
        "a Profile with other steps",
    ),
    "a Profile without steps": (
        answers(Type.PROFILE, lambda f: encode(Type.PROFILE_ANSWER, f.seq, b"\1\0\0\0")),
        "a Profile with other steps",
    ),
    "a Profile whose text ends early": (
        answers(
            Type.PROFILE,
            lambda f: encode(Type.PROFILE_ANSWER, f.seq, b"\1\0\0\0" + b"\1\0\0\0" + b"\xffa"),
        ),
        "a text that ends early",
    ),
    "an Info that is cut short": (
        answers(Type.HELLO, lambda f: encode(Type.INFO, f.seq, b"\1\0\0")),
        "an Info that cannot be read",
    ),
    "an Info of an unknown unit": (
        answers(Type.HELLO, lambda f: encode(Type.INFO, f.seq, b"\1\x07" + bytes(60))),
        "an Info that cannot be read",
    ),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_device_that_lies_is_one_line(
    capsys: pytest.CaptureFixture[str], model: Model, data: Path, what: str
) -> None:
    spoilt, error = SPOILT[what]
    assert error in refused(capsys, spoilt(model), model, data)


@pytest.mark.parametrize(("classes", "count"), [(3, 1), (10, 2), (500, 1)])
def test_a_result_of_other_lengths_than_asked_for_is_refused(
    capsys: pytest.CaptureFixture[str], model: Model, data: Path, classes: int, count: int
) -> None:
    class Lying(Honest):
        def result(self, *_: int) -> bytes:
            return super().result(classes, count)

    assert "a Result of other lengths" in refused(capsys, Lying(model), model, data)


@pytest.mark.parametrize("flood", [b"\xff" * 65536, encode(Type.ACK, 200) * 4096, b"\0" * 65536])
def test_a_flood_without_end_is_one_line(
    capsys: pytest.CaptureFixture[str], model: Model, data: Path, flood: bytes
) -> None:
    spoilt = answers(Type.LOAD, lambda _: flood * 64)
    assert "does not answer any more" in refused(capsys, spoilt(model), model, data)


@pytest.mark.parametrize("after", [1, 2])
def test_a_board_that_changes_its_model_is_refused(
    capsys: pytest.CaptureFixture[str], model: Model, data: Path, after: int
) -> None:
    """After a reset in the middle, and unnoticed until the end."""

    class Changing(Honest):
        runs = 0

        def __call__(self, frame: Frame) -> bytes | None:
            if frame.type == Type.HELLO and self.runs >= after:
                return info(self.model, frame.seq, sha256="0" * 64)
            if frame.type == Type.RUN:
                self.runs += 1
            if frame.type == Type.LOAD and self.runs == after == 1:
                return None
            return super().__call__(frame)

    assert "holds another model" in refused(capsys, Changing(model), model, data)
