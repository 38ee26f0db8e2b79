"""An emulated Cortex-M7 on a bad line: the command ends with a clean run's results.

The model is the zoo's small-96 and the images are noise, so no data set is needed.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_run import make_images

from host_tools import flash, line_speed, serial_eval
from host_tools.boards import emulator
from host_tools.boards.table import get_board
from host_tools.inputs import Model, load_model
from host_tools.link.device import Device
from host_tools.link.line import SerialLine
from host_tools.link.protocol import DELIMITER

BOARD = "qemu-m7"
COPIES = 2
TICK = 40  # instructions
SINK_RATIO = 1.2
TRIES = 12  # of a ratio of times on a machine that others use


class Bench:
    """Boards that hold a model, images for it, and the clean results of as many as were asked."""

    def __init__(self, folder: Path) -> None:
        model = load_model("small-96")
        self.run = folder / "run"
        self.run.mkdir()
        for name in ("model_int8.tflite", "card.json"):
            (self.run / name).write_bytes((model.folder / name).read_bytes())
        self.data = make_images(folder / "images", 40, model.card.classes)
        firmware = flash.build(model, get_board(BOARD), "aot")
        boards = emulator.start_copies(get_board(BOARD), firmware.elf, COPIES)
        self.ports = [option for board in boards for option in ("--port", board.url)]
        self._clean: dict[int, dict[str, Any]] = {}

    def evaluate(self, images: int, *options: str) -> int:
        arguments = [str(self.run), "--data", str(self.data), "--limit", str(images), "--fresh"]
        return serial_eval.main([*arguments, *self.ports, *options])

    def record(self) -> dict[str, Any]:
        results = json.loads((self.run / "results.json").read_text())
        record: dict[str, Any] = results["targets"][f"{BOARD}-aot"]
        return record

    def outcome(self, images: int, *options: str) -> dict[str, Any]:
        """What must be the same each time: the results and every answer.

        Not so are date, command, link, the stack's high-water mark, and counts of instructions,
        which are known to a tick of the clock.
        """
        assert self.evaluate(images, *options) == 0
        record = self.record()
        assert record["cost"]["p99"] - record["cost"]["min"] <= TICK
        for key in ("date", "command", "link", "cost", "profile"):
            del record[key]
        del record["memory"]["stack_bytes"]
        journal = (self.run / f"journal-{BOARD}-aot.jsonl").read_text().splitlines()[1:-1]
        entries = [json.loads(line) for line in journal]
        for entry in entries:
            del entry["transfer_s"], entry["costs"]
        assert len({entry["image"] for entry in entries}) == len(entries) == images
        return {**record, "answers": sorted(entries, key=lambda entry: str(entry["image"]))}

    def clean(self, images: int) -> dict[str, Any]:
        if images not in self._clean:
            self._clean[images] = self.outcome(images)
        return self._clean[images]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("bad_line")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emulator, "STATE_DIR", folder / "state")
        try:
            yield Bench(folder)
        finally:
            emulator.stop(BOARD)


@pytest.mark.parametrize(
    ("rate", "seed", "images"),
    [
        pytest.param("0.001", 0, 2, id="quick"),
        *(pytest.param("0.0001", seed, 200, marks=pytest.mark.slow) for seed in range(3)),
        pytest.param("0.001", 0, 20, marks=pytest.mark.slow),
    ],
)
def test_faults_change_nothing(bench: Bench, rate: str, seed: int, images: int) -> None:
    clean = bench.clean(images)
    assert clean["parity"]["identical"] == images
    assert bench.outcome(images, "--inject-faults", f"{rate}:{seed}") == clean
    assert sum(bench.record()["link"]["injected"].values()) > 0


class Chatty:
    """A line on which 300 empty frames come behind every request, so while a model runs too."""

    def __init__(self, line: SerialLine) -> None:
        self.line = line
        self.read, self.close = line.read, line.close

    def write(self, data: bytes) -> None:
        self.line.write(data + DELIMITER * 300)


@pytest.fixture(params=[BOARD, "qemu-xtensa"])
def board_port(
    request: pytest.FixtureRequest, bench: Bench, tmp_path: Path
) -> Iterator[tuple[str, str]]:
    """The name of an emulated board that holds small-96, and its port."""
    if request.param == BOARD:
        yield BOARD, bench.ports[1]
        return
    firmware = flash.build(load_model("small-96"), get_board(request.param), "aot")
    try:
        started = emulator.start(get_board(request.param), firmware.elf, tmp_path)
        yield request.param, started.url
    finally:
        emulator.stop(request.param, tmp_path)


def test_bytes_that_come_during_a_run_add_nothing_to_its_count(
    board_port: tuple[str, str],
) -> None:
    board, port = board_port
    image = random.Random(0).randbytes(96 * 96 * 3)
    costs = []
    for wrap in (lambda line: line, Chatty):
        line = SerialLine(port, get_board(board).baud)
        device = Device(wrap(line))
        device.hello()
        costs.append([*device.infer(image, runs=2).costs, *(s.cost for s in device.profile())])
        line.close()
    quiet, chatty = costs
    assert len(quiet) > 10, "two runs, and each step of a profile"
    assert all(abs(a - b) <= TICK for a, b in zip(quiet, chatty, strict=True)), costs


@pytest.mark.parametrize("resets", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_resets_change_nothing(bench: Bench, resets: int) -> None:
    """Half of them between two messages, half in the middle of one."""
    images = resets
    clean = bench.clean(images)
    assert bench.outcome(images, "--inject-resets", str(resets)) == clean
    assert bench.record()["link"]["injected"]["reset"] >= resets


@pytest.mark.slow
def test_one_fault_in_a_hundred_bytes_never_gives_a_wrong_result(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = bench.clean(2)
    if bench.evaluate(2, "--inject-faults", "0.01") == 0:
        assert bench.record()["parity"] == clean["parity"]
        cost = bench.record()["cost"]
        assert cost["p99"] - cost["min"] <= TICK
    else:
        assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


def test_resets_are_only_for_boards_that_can_be_reset(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(bench.run), "--data", str(bench.data), "--port", "socket://127.0.0.1:1"]
    assert serial_eval.main([*arguments, "--inject-resets", "1"]) == 2
    assert "cannot be reset by a program" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["often", "0.001:x", "0.5", "-1"])
def test_faults_that_cannot_be_are_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert serial_eval.main(["--inject-faults=" + text]) == 2
    assert "--inject-faults" in capsys.readouterr().err


def fastest(model: Model) -> float:
    """The time into the session by that into the sink: the least of each, or of any one try.

    A busy machine only adds to a time. But it may be busy in all sessions and idle in one sink.
    """
    session = sink = one = math.inf
    for _ in range(TRIES):
        outcome = line_speed.compare(model, images=1)
        assert outcome["resends"] == 0
        session, sink = min(session, outcome["session_s"]), min(sink, outcome["sink_s"])
        one = min(one, outcome["session_s"] / outcome["sink_s"])
        if min(one, session / sink) <= SINK_RATIO:
            break
    return min(one, session / sink)


def test_a_transfer_takes_little_longer_than_into_a_bare_sink() -> None:
    assert fastest(load_model("small-96")) <= SINK_RATIO


def test_a_delay_of_each_frame_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(Device):
        def _send(self, data: bytes) -> None:
            time.sleep(0.1)  # a busy machine must not drown it
            super()._send(data)

    monkeypatch.setattr(line_speed, "Device", Late)
    assert line_speed.compare(load_model("small-96"), images=1)["ratio"] > SINK_RATIO
