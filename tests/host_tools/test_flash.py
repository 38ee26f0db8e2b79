"""flash.py: which board is meant, what is refused, and boards that are processes."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
from running_board import RunningBoard
from tiny_run import make_run

from host_tools import flash
from host_tools.boards import build, emulator
from host_tools.boards import open as board_opening
from host_tools.boards.build import Firmware, build_firmware
from host_tools.boards.choose import choose
from host_tools.boards.generate import generate
from host_tools.boards.table import Connected, get_board, load_boards
from host_tools.inputs import load_model
from host_tools.line_speed import patient_clock
from host_tools.link.device import Device
from host_tools.link.faults import Faults
from host_tools.link.line import SerialLine
from swin2mcu.common.cli import UserError
from swin2mcu.common.paths import FIRMWARE

ROOT = Path(__file__).resolve().parents[2]
QEMU_BOARDS = ["qemu-m4", "qemu-m7", "qemu-m33", "qemu-m55", "qemu-xtensa"]


def cpu_seconds(pid: int, while_s: float) -> float:
    process = psutil.Process(pid)
    before = process.cpu_times()
    time.sleep(while_s)
    after = process.cpu_times()
    return after.user + after.system - before.user - before.system


def test_the_only_board_is_chosen_and_several_are_listed() -> None:
    one, other = Connected("qemu-m4", "socket://a"), Connected("qemu-m7", "/dev/b")
    assert choose(None, [one]) == one
    assert choose("qemu-m7", [one, other]) == other
    with pytest.raises(UserError, match=r"several boards.*socket://a.*/dev/b"):
        choose(None, [one, other])


def test_without_a_board_the_emulated_ones_are_named() -> None:
    with pytest.raises(UserError, match=r"no board is connected.*qemu-m7"):
        choose(None, [])
    with pytest.raises(UserError, match=r"does not run: start it with .*--board qemu-m7"):
        choose("qemu-m7", [])
    with pytest.raises(UserError, match="there is no board toaster"):
        choose("toaster", [])


def test_without_a_board_the_way_to_one_names_the_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`flash.py --board NAME` alone would flash the newest run instead."""
    monkeypatch.setattr(flash, "connected_boards", lambda: [])
    assert flash.main(["runs/my leaves"]) == 2
    assert "flash.py 'runs/my leaves' --board NAME`" in capsys.readouterr().err
    monkeypatch.setattr(board_opening, "connected_boards", lambda: [])
    model = load_model("small-96")
    for name in (None, "qemu-m7"):
        way = rf"flash.py \S*small-96 --board {name or 'NAME'}`"
        with pytest.raises(UserError, match=way):
            board_opening.open_boards(model, name, None, wait_s=0)
        with pytest.raises(UserError, match=way):
            board_opening.open_line(model, name, None)


def test_a_board_that_runs_is_chosen_for_the_model_that_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    running = [Connected("qemu-m7", "socket://127.0.0.1:1")]
    monkeypatch.setattr(flash, "connected_boards", lambda: running)
    assert flash.main([str(tmp_path)]) == 2
    assert f"{tmp_path} holds no model_int8.tflite" in capsys.readouterr().err


def test_an_unknown_board_or_engine_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert flash.main(["--board", "toaster"]) == 2
    assert "there is no board toaster" in capsys.readouterr().err
    assert flash.main(["--board", "host", "--engine", "steam", str(tmp_path)]) == 2
    assert "no engine steam: choose aot" in capsys.readouterr().err


def test_the_list_names_every_board() -> None:
    command = [sys.executable, str(ROOT / "host_tools" / "flash.py"), "--list", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [row["name"] for row in json.loads(done.stdout)] == list(load_boards())


def test_the_list_waits_for_nothing_slow_to_be_imported() -> None:
    """0.3 s; any of these would make it seconds."""
    code = (
        "import sys; from host_tools import flash; flash.main(['--list']); "
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "qemu-m7" in done.stdout
    slow = {"torch", "torchvision", "tensorflow", "tflite_micro", "platformio", "onnx", "timm"}
    assert not slow & set(done.stderr.split())


def test_stopping_what_does_not_run_is_no_error(tmp_path: Path) -> None:
    assert emulator.stop("qemu-m7", tmp_path) is False
    (tmp_path / "qemu-m7.json").write_text('{"board": "qemu-m7", "pid": 1}')
    assert emulator.running(tmp_path) == []
    assert emulator.stop("qemu-m7", tmp_path) is False


def test_a_stale_state_ends_no_other_process(board: RunningBoard, tmp_path: Path) -> None:
    state = json.loads((board.state / "host.json").read_text())
    (tmp_path / "host.json").write_text(json.dumps({**state, "created": state["created"] - 100}))
    assert emulator.stop("host", tmp_path) is False
    line = SerialLine(board.port, 921600)
    assert Device(line, patient_clock).hello().board == "host"
    line.close()


def test_a_firmware_that_does_not_build_is_one_line(tmp_path: Path) -> None:
    generated = tmp_path / "generated"
    generated.mkdir()
    (generated / "model.c").write_text("#error this model is broken\n")
    with pytest.raises(UserError, match=r"does not build: .*this model is broken"):
        build_firmware(get_board("host"), "aot", generated, tmp_path / "build")


def test_what_only_options_name_is_built_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linker scripts, and a header that every file gets by -include."""
    copy = tmp_path / "firmware"
    shutil.copytree(FIRMWARE, copy, ignore=shutil.ignore_patterns(".pio"))
    monkeypatch.setattr(build, "FIRMWARE", copy)
    generated = generate(
        load_model(str(make_run(tmp_path / "tiny"))),
        get_board("qemu-m7"),
        "aot",
        tmp_path / "model",
    )

    def built() -> Firmware:
        return build_firmware(get_board("qemu-m7"), "aot", generated, tmp_path / "build")

    before = built()
    script = copy / "src" / "boards" / "qemu-m7" / "memory.ld"
    script.write_text(script.read_text().replace("STACK_BYTES = 8K", "STACK_BYTES = 9K"))
    assert built().ram_bytes == before.ram_bytes + 1024
    header = copy / "lib" / "bare" / "sections.h"
    header.write_text(header.read_text() + '#error "another header"\n')
    with pytest.raises(UserError, match="another header"):
        built()


@pytest.mark.parametrize("name", QEMU_BOARDS)
def test_an_emulated_board_answers_and_survives_a_reset(name: str, tmp_path: Path) -> None:
    """Built without a network; the same logits before and after a reset, and on every core."""
    model = load_model(str(make_run(tmp_path / "tiny")))
    firmware = flash.build(model, get_board(name), "aot")
    emulated = emulator.start(get_board(name), firmware.elf, tmp_path / "state")
    line = SerialLine(emulated.url, 921600)
    try:
        device = Device(line)
        before = device.hello()
        assert before.board == name and model.sha256.startswith(before.sha256_prefix)
        image = bytes(range(256)) * (before.input_bytes // 256)
        first = device.infer(image)
        assert sum(step.cost for step in device.profile()) == pytest.approx(first.costs[0], rel=0.1)
        emulator.reset(emulated)
        time.sleep(0.2)
        after = device.hello()
        assert after.boot != before.boot
        again = device.infer(image)
        assert again.logits == first.logits
        # Instructions, in steps of a tick, of which the longest is 50.
        assert again.costs[0] == pytest.approx(first.costs[0], abs=50)
        assert device.hello().stack_bytes > 100
        assert cpu_seconds(emulated.pid, while_s=1.0) < 0.1, "a board that waits burns a core"
    finally:
        line.close()
        emulator.stop(name, tmp_path / "state")


def test_twenty_resets_between_messages_and_within_change_nothing(tmp_path: Path) -> None:
    model = load_model(str(make_run(tmp_path / "tiny")))
    firmware = flash.build(model, get_board("qemu-m7"), "aot")
    emulated = emulator.start(get_board("qemu-m7"), firmware.elf, tmp_path / "state")
    line = SerialLine(emulated.url, 921600)
    noise = random.Random(0)
    images = [noise.randbytes(32 * 32 * 3) for _ in range(24)]
    try:
        clean = [Device(line, patient_clock).infer(image).logits for image in images]
        # An image takes five messages here.
        faults = Faults(0, 0, 20, partial(emulator.reset, emulated), messages_per_reset=5)
        device = Device(faults.on(line))
        assert [device.infer(image).logits for image in images] == clean
        assert faults.injected == {"reset": 20}
        assert device.stats.reloads > 0
    finally:
        line.close()
        emulator.stop("qemu-m7", tmp_path / "state")


def test_what_was_noted_of_the_firmware_before_is_gone_once_another_may_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its memory, and its times, would be taken for those of the new one."""
    noted = tmp_path / "flashed" / "host.json"
    noted.parent.mkdir()
    noted.write_text("{}")
    monkeypatch.setattr(flash, "FLASHED", noted.parent)

    def silent(*_: object) -> None:
        raise UserError("no greeting")

    monkeypatch.setattr(flash, "put_on_board", lambda *_: "socket://127.0.0.1:9")
    monkeypatch.setattr(flash, "greet", silent)
    assert flash.main([str(make_run(tmp_path / "tiny")), "--board", "host"]) == 2
    assert not noted.exists()
