"""Boards whose PlatformIO platform is not ours: found, measured and uploaded to without it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from host_tools import flash
from host_tools.boards import build
from host_tools.boards import table as boards
from host_tools.boards.build import Firmware, platformio_sizes, upload
from host_tools.boards.choose import choose
from host_tools.boards.table import Board, Connected, get_board
from swin2mcu.common.cli import UserError

PRINTED = """\
Checking size .pio/build/esp32s3/firmware.elf
RAM:   [=         ]  12.9% (used 42120 bytes from 327680 bytes)
Flash: [==        ]  21.1% (used 1757389 bytes from 8323072 bytes)
"""


def test_sizes_are_read_from_what_a_platform_prints() -> None:
    assert platformio_sizes(PRINTED) == (1757389, 42120, 0)
    assert platformio_sizes("no sizes") == (0, 0, 0)


def test_a_usb_id_that_boards_share_asks_for_the_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "usb_ports", lambda: [("/dev/ttyACM0", "303a:1001")])
    present = boards.usb_boards()
    assert {one.board for one in present} == {"esp32s3-usb", "xiao-esp32s3"}
    with pytest.raises(UserError, match=r"choose one by --board.*xiao-esp32s3 at /dev/ttyACM0"):
        choose(None, present)
    assert choose("xiao-esp32s3", present) == Connected("xiao-esp32s3", "/dev/ttyACM0")


def test_versions_name_what_made_the_firmware() -> None:
    downloaded = flash.versions(get_board("esp32s3"))
    assert set(downloaded) == {"platformio", "platform"}
    assert downloaded["platform"].startswith("espressif32@")
    assert set(flash.versions(get_board("qemu-xtensa"))) == {
        "xtensa-lx106-elf-gcc",
        "qemu-system-xtensa",
    }


def test_settings_older_than_their_defaults_are_made_again(tmp_path: Path) -> None:
    stale, fresh = tmp_path / "sdkconfig.esp32s3", tmp_path / "sdkconfig.other"
    for path in (stale, fresh):
        path.write_text("CONFIG_SPIRAM=y\n")
    os.utime(stale, (1, 1))
    build.drop_stale_settings(tmp_path)
    assert not stale.exists() and fresh.exists()


def test_a_usb_port_that_comes_back_under_another_name_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    board = get_board("esp32s3-usb")
    now: list[Connected] = []
    monkeypatch.setattr(flash, "usb_boards", lambda: now)
    before = {"/dev/ttyACM0"}
    assert flash.port_now(board, "/dev/ttyACM0", before) == "/dev/ttyACM0"
    now += [Connected("esp32s3-usb", "/dev/ttyACM1"), Connected("xiao-esp32s3", "/dev/ttyACM1")]
    assert flash.port_now(board, "/dev/ttyACM0", before) == "/dev/ttyACM1"
    now.append(Connected("esp32s3-usb", "/dev/ttyACM2"))
    assert flash.port_now(board, "/dev/ttyACM0", before) == "/dev/ttyACM0"


@pytest.mark.parametrize("status", [0, 1])
def test_an_upload_is_of_the_firmware_with_the_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int
) -> None:
    seen = {}

    def run(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        seen.update(env, command=" ".join(command))
        return subprocess.CompletedProcess(command, status, "", "Error: no ST-LINK found\n")

    monkeypatch.setattr(build, "run_bound", run)
    board = get_board("nucleo-h743zi2")
    elf = tmp_path / "built" / board.name / "firmware.elf"
    firmware = Firmware(elf, "aot", tmp_path / "model", 1, 1, 0)
    if status:
        with pytest.raises(UserError, match=r"nucleo-h743zi2 at COM5 failed: .*ST-LINK"):
            upload(board, firmware, "COM5")
    else:
        upload(board, firmware, "COM5")
    assert seen["SWIN2MCU_MODEL_DIR"] == str(tmp_path / "model")
    assert seen["SWIN2MCU_ENGINE"] == "aot"
    assert (seen["SWIN2MCU_WEIGHTS"], seen["SWIN2MCU_ARENA"]) == ("flash", "ram")
    assert seen["PLATFORMIO_BUILD_DIR"] == str(tmp_path / "built")
    assert "-e nucleo-h743zi2 -t upload --upload-port COM5" in seen["command"]


def test_platformio_lets_code_and_weights_have_what_the_table_says() -> None:
    """It counts both together; the linker has each board's regions and refuses what exceeds one."""
    folder = boards.FIRMWARE / "platforms/system_gcc/boards"
    checked = 0
    for path in folder.glob("*.json"):
        board = get_board(path.stem)
        limit = json.loads(path.read_text())["upload"]["maximum_size"]
        assert limit == board.flash_bytes + board.weights_bytes, path.name
        checked += 1
    assert checked >= 5


@pytest.mark.parametrize(
    "name", ["it's", 'a"b', "a&b", "a;b", "a$b", "a\nb", "a\\b", "$(x)", "`x`"]
)
def test_a_folder_that_a_shell_would_not_take_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Otherwise gcc says that it has no input files, or worse runs what the path says."""
    monkeypatch.setattr(build, "run_platformio", lambda *_, **__: pytest.fail("it was built"))
    for folders in ((tmp_path / name, tmp_path), (tmp_path, tmp_path / name)):
        with pytest.raises(UserError, match="rename that folder") as refused:
            build.build_firmware(get_board("host"), "aot", *folders)
        assert str(tmp_path / name) in str(refused.value)


def test_builds_in_one_folder_are_never_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """PlatformIO's first build removes all that is in the folder: another's files, and its lock."""
    folder, alone = tmp_path / "build", threading.Lock()

    def platformio(
        board: Board, engine: str, model: Path, target: Path, **_: object
    ) -> subprocess.CompletedProcess[str]:
        assert alone.acquire(blocking=False), "two builds at once"
        shutil.rmtree(target, ignore_errors=True)
        (target / board.name).mkdir(parents=True)
        time.sleep(0.3)
        (target / board.name / "program.elf").touch()
        alone.release()
        return subprocess.CompletedProcess([], 0, "", "")

    monkeypatch.setattr(build, "run_platformio", platformio)
    monkeypatch.setattr(build, "measure", lambda *_: (1, 1, 0))
    names = ("host", "host", "qemu-m7")
    with ThreadPoolExecutor(len(names)) as pool:
        jobs = [
            pool.submit(build.build_firmware, get_board(name), "aot", tmp_path, folder)
            for name in names
        ]
        assert [job.result().flash_bytes for job in jobs] == [1] * len(names)


def test_a_compiler_that_is_missing_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="qemu-xtensa needs xtensa-lx106-elf-gcc: `make setup-dev"):
        build.build_firmware(get_board("qemu-xtensa"), "aot", tmp_path, tmp_path / "build")


@pytest.mark.parametrize(
    "said",
    [
        "Platform Manager: Installing ststm32 @ 19.6.0\nHTTPClientError: ",
        "Error: You are not connected to the Internet.\nPlatformIO needs the Internet",
        "PackageException: Got the unrecognized status code '503' when downloaded https://x/y.tar.gz",
        "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='x', port=443): Max retries",
        "ERROR: Cannot establish a connection to the component registry.",
    ],
)
def test_packages_that_cannot_be_downloaded_are_a_matter_of_the_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str
) -> None:
    def offline(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, f"Processing nucleo-h743zi2\n{said}\n", "")

    monkeypatch.setattr(build, "run_platformio", offline)
    with pytest.raises(UserError, match=r"could not download its packages.*check the network"):
        build.build_firmware(get_board("nucleo-h743zi2"), "aot", tmp_path, tmp_path / "build")


def test_an_error_of_the_compiler_is_no_matter_of_the_network() -> None:
    retried = "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError'"
    wrong = "src/main.cc:3:1: error: 'Ful' does not name a type"
    assert build.first_error(f"{retried}\n{wrong}\n") == wrong
