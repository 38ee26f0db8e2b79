"""firmware/ opened as a PlatformIO project, without the host tools that name a model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from sources import FIRMWARE

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "host_tools"))
from tiny_run import make_run

from host_tools.boards.build import CORE_DIR, wrap_scons
from host_tools.boards.generate import generate
from host_tools.boards.table import get_board
from host_tools.inputs import load_model


def build(firmware: Path) -> subprocess.CompletedProcess[str]:
    wrap_scons()
    environment = {**os.environ, "PLATFORMIO_CORE_DIR": str(CORE_DIR)}
    environment["PLATFORMIO_SETTING_ENABLE_TELEMETRY"] = "no"
    environment.pop("SWIN2MCU_MODEL_DIR", None)
    command = [sys.executable, "-m", "platformio", "run", "-d", str(firmware), "-e", "host"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def test_it_says_what_is_missing_and_builds_with_the_model_that_flash_made(tmp_path: Path) -> None:
    firmware = tmp_path / "firmware"
    shutil.copytree(FIRMWARE, firmware, ignore=shutil.ignore_patterns(".pio"))
    done = build(firmware)
    said = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    assert done.returncode != 0
    assert said == [
        "error: there is no model to build: make one with `python host_tools/flash.py --board host`"
    ], done.stdout + done.stderr
    model = load_model(str(make_run(tmp_path / "tiny")))
    generate(model, get_board("host"), "aot", tmp_path / "build" / "models")
    done = build(firmware)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (firmware / ".pio" / "build" / "host" / "program.elf").is_file()
