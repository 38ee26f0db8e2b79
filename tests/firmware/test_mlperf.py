"""The second session: a small runner drives a board with MLPerf Tiny's serial commands."""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "host_tools"))
from tiny_run import make_run

from host_tools import flash
from host_tools.boards import emulator
from host_tools.boards.table import get_board
from host_tools.inputs import load_model
from host_tools.line_speed import patient_clock
from host_tools.link.device import Device
from host_tools.link.line import SerialLine
from tinyml.format.tflite import read

ANSWER_S = 30.0
IMAGE = random.Random(1).randbytes(32 * 32 * 3)


class Runner:
    """Sends a command and takes the lines that come until m-ready, as MLCommons' runner does."""

    def __init__(self, port: str) -> None:
        self.line = SerialLine(port, 921600)

    def send(self, command: str) -> list[str]:
        self.line.write(f"{command}%".encode())
        received = b""
        deadline = time.monotonic() + ANSWER_S
        while b"m-ready\r\n" not in received:
            assert time.monotonic() < deadline, f"{command}: {received!r}"
            received += self.line.read()
            # On a busy machine a board may say that it has started when the first command is sent.
            received = received.removeprefix(b"m-init-done\r\nm-ready\r\n")
        assert received.endswith(b"m-ready\r\n")
        return received.decode("ascii").split("\r\n")[:-2]

    def load(self, pixels: bytes, step: int = 31) -> list[str]:
        said = self.send(f"db load {len(pixels)}")
        for start in range(0, len(pixels), step):
            said += self.send(f"db {pixels[start : start + step].hex()}")
        return said


def results(said: list[str]) -> list[float]:
    found = [m for line in said if (m := re.fullmatch(r"m-results-\[(.+)\]", line))]
    assert len(found) == 1
    return [float(value) for value in found[0][1].split(",")]


def laps(said: list[str], unit: str) -> list[int]:
    return [int(m[1]) for line in said if (m := re.fullmatch(rf"m-lap-{unit}-(\d+)", line))]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("mlperf") / "tiny")


@pytest.fixture(scope="module")
def runner(run: Path) -> Iterator[Runner]:
    yield from start("host-mlperf", run)


def start(name: str, run: Path) -> Iterator[Runner]:
    firmware = flash.build(load_model(str(run)), get_board(name), "aot")
    emulated = emulator.start(get_board(name), firmware.elf, run / "state")
    runner = Runner(emulated.url)
    try:
        yield runner
    finally:
        runner.line.close()
        emulator.stop(name, run / "state")


def expected_logits(run: Path) -> list[float]:
    """Dequantized logits of the same image through the binary session."""
    model = load_model(str(run))
    firmware = flash.build(model, get_board("host"), "aot")
    emulated = emulator.start(get_board("host"), firmware.elf, run / "state")
    line = SerialLine(emulated.url, 921600)
    try:
        logits = Device(line, patient_clock).infer(bytes(pixel ^ 0x80 for pixel in IMAGE)).logits
    finally:
        line.close()
        emulator.stop("host", run / "state")
    graph = read(model.int8)
    output = graph.tensors[graph.outputs[0]]
    scale, zero_point = float(output.scales[0]), int(output.zero_points[0])
    return [scale * (logit - zero_point) for logit in logits]


def test_it_says_who_it_is(runner: Runner, run: Path) -> None:
    assert runner.send("name") == ["m-name-dut-[host]"]
    assert runner.send("profile") == [
        "m-profile-[ULPMark for tinyML Firmware V0.0.1]",
        f"m-model-[{load_model(str(run)).sha256[:16]}]",
    ]
    commands = {line.split()[0] for line in runner.send("help")}
    assert commands == {"name", "profile", "timestamp", "db", "infer", "results", "help"}


def test_results_are_the_dequantized_logits(runner: Runner, run: Path) -> None:
    expected = expected_logits(run)
    assert len({round(value, 3) for value in expected}) > 1
    said = runner.load(IMAGE)
    assert said == [f"m-[Expecting {len(IMAGE)} bytes]", "m-load-done"]
    said = runner.send("infer 3 2")
    order = ["m-warmup-start-2", "m-warmup-done", "m-infer-start-3", "m-infer-done"]
    assert [line for line in said if line in order] == order
    assert len(laps(said, "us")) == 2
    assert results(said) == pytest.approx(expected, abs=1e-6)
    # The image is still there, although running overwrote the engine's input.
    assert results(runner.send("infer 1 0")) == results(runner.send("results")) == results(said)


def test_timestamps_are_microseconds_of_a_real_clock(runner: Runner) -> None:
    started = time.monotonic()
    (before,) = laps(runner.send("timestamp"), "us")
    time.sleep(0.2)
    (after,) = laps(runner.send("timestamp"), "us")
    assert 200_000 <= after - before <= (time.monotonic() - started) * 1e6


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("toast", "Unknown command: toast"),
        ("", "Unknown command: "),
        ("db", "requires a subcommand"),
        ("db load", "requires the # of bytes"),
        ("db load 0", "images of 3072 bytes"),
        ("db load -1", "images of 3072 bytes"),
        ("db load 4294970368", "images of 3072 bytes"),  # 3072 modulo 2^32
        ("infer 0", "iterations must be"),
        ("infer 99999999999999999999999", "iterations must be"),
        ("infer 1 x", "warmup must be"),
        ("x" * 300, "Command too long"),
    ],
)
def test_a_bad_command_is_an_error_and_no_more(runner: Runner, command: str, why: str) -> None:
    (said,) = runner.send(command)
    assert said.startswith("e-[") and why in said
    assert runner.send("name") == ["m-name-dut-[host]"]


def test_bytes_beyond_the_image_are_refused(runner: Runner) -> None:
    runner.send(f"db load {len(IMAGE)}")
    assert "hex digits" in runner.send("db 0")[0]
    assert "Invalid hex digit" in runner.send("db 0g")[0]
    assert "No whole image" in runner.send("infer 1 0")[0]
    runner.load(IMAGE, 100)
    assert "More bytes than expected" in runner.send("db 00")[0]
    runner.send("infer 1 0")


def test_an_emulated_board_counts_instructions_and_says_so(run: Path) -> None:
    expected = expected_logits(run)
    for runner in start("qemu-m7-mlperf", run):
        assert runner.send("name") == ["m-name-dut-[qemu-m7]"]
        runner.load(IMAGE, 100)
        said = runner.send("infer 2 0")
        assert np.allclose(results(said), expected, atol=1e-6)
        assert not laps(said, "us")
        first, last = laps(said, "instructions")
        assert 100_000 < last - first < 100_000_000
