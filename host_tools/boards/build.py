"""Builds a firmware with PlatformIO: without a network where the system has the compiler."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from host_tools.boards.table import Board
from swin2mcu.common.bound import run_bound
from swin2mcu.common.cli import UserError, write_atomic
from swin2mcu.common.lock import locked
from swin2mcu.common.paths import FIRMWARE, ROOT

BUILD = ROOT / "build"
FLASHED = BUILD / "flashed"  # what flash.py noted of each board
CORE_DIR = BUILD / "platformio"
WAIT_S = 600.0  # for another command that builds the same; a first build takes a few minutes
SHELL = re.compile(r"""['"`\\&;$|<>()*?#\n]""")  # a character with a meaning to a shell

# How PlatformIO, requests and ESP-IDF's component manager say that a download failed.
NO_DOWNLOAD = re.compile(
    r"HTTPClientError|requests\.exceptions\.|Max retries exceeded|not connected to the Internet|"
    r"status code '\d+' when downloaded|Cannot establish a connection"
)


@dataclass(frozen=True)
class Firmware:
    """What was built, and how to build it again."""

    elf: Path
    engine: str
    model_dir: Path
    flash_bytes: int  # code, constants and the initial values of data
    ram_bytes: int  # data, zeroed data and the stack
    weights_bytes: int  # in a memory of their own
    memory: str = ""  # the board's choice of that name; "": its default


def wrap_scons() -> None:
    """Make PyPI's SCons look like PlatformIO's `tool-scons`, which it would download."""
    from platformio.dependencies import get_core_dependencies

    package = CORE_DIR / "packages" / "tool-scons"
    wanted = get_core_dependencies()["tool-scons"].lstrip("~=^")
    script = "import sys\n\nfrom SCons.Script import main\n\nsys.exit(main())\n"
    meta = {"name": "tool-scons", "version": wanted, "description": "SCons from PyPI"}
    owned = {
        "type": "tool",
        "name": "tool-scons",
        "version": wanted,
        "spec": {
            "owner": "platformio",
            "id": None,
            "name": "tool-scons",
            "requirements": None,
            "uri": None,
        },
    }
    files = {
        "scons.py": script,
        "package.json": json.dumps(meta),
        ".piopm": json.dumps(owned),
    }
    for name, text in files.items():
        path = package / name
        if not path.exists() or path.read_text() != text:
            write_atomic(path, text)


def build_firmware(
    board: Board, engine: str, model_dir: Path, build_dir: Path, memory: str = ""
) -> Firmware:
    """Compile and link `model_dir`'s generated sources with the firmware of `board`.

    Waits for another command that builds in the same folder. Raises UserError if the compiler is
    missing, or with its first error when it fails.
    """
    for path in (FIRMWARE, model_dir.resolve(), build_dir.resolve()):
        if found := SHELL.search(str(path)):
            raise UserError(
                f"{path}: no firmware is built in a folder with {found[0]!r} in its path, because "
                "PlatformIO gives it to a shell: rename that folder"
            )
    if board.compiler and shutil.which(board.compiler) is None:
        raise UserError(f"{board.name} needs {board.compiler}: `make setup-dev` installs it")
    with _alone_in(build_dir):
        done = run_platformio(board, engine, model_dir, build_dir, memory=memory)
        output = done.stdout + done.stderr
        write_atomic(build_dir / f"{board.name}.log", output)
        # The boards' own platforms call it firmware.elf.
        names = ("program.elf", "firmware.elf")
        elf = next((e for n in names if (e := build_dir / board.name / n).is_file()), None)
        if done.returncode or elf is None:
            raise UserError(
                f"the firmware for {board.name} does not build: {first_error(output)} "
                f"(all of it: {build_dir / f'{board.name}.log'})"
            )
        sizes = measure(elf, board.compiler) if board.compiler else platformio_sizes(output)
    return Firmware(elf, engine, model_dir, *sizes, memory)


def _alone_in(build_dir: Path) -> AbstractContextManager[None]:
    """Waits until no other command builds there, for whichever board.

    The lock lies beside the folder: PlatformIO's first build removes all that is in it.
    """
    busy = f"another command has been building in {build_dir} for {WAIT_S:.0f} s: end it"
    return locked(build_dir, WAIT_S, busy)


def drop_stale_settings(build_dir: Path) -> None:
    """Remove settings that are older than their defaults: ESP-IDF does not read the defaults
    again."""
    newest = max(path.stat().st_mtime for path in FIRMWARE.glob("src/boards/*/sdkconfig.*"))
    for path in build_dir.glob("sdkconfig.*"):
        if path.stat().st_mtime < newest:
            path.unlink()


def run_platformio(
    board: Board, engine: str, model_dir: Path, build_dir: Path, *arguments: str, memory: str = ""
) -> subprocess.CompletedProcess[str]:
    wrap_scons()
    drop_stale_settings(build_dir)
    places = board.memory(memory)
    environment = {
        **os.environ,
        "PLATFORMIO_CORE_DIR": str(CORE_DIR),
        "PLATFORMIO_BUILD_DIR": str(build_dir),
        "PLATFORMIO_WORKSPACE_DIR": str(build_dir / "workspace"),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PLATFORMIO_SETTING_CHECK_PLATFORMIO_INTERVAL": "9999",
        "PLATFORMIO_SETTING_CHECK_PRUNE_SYSTEM_THRESHOLD": "0",
        "SWIN2MCU_MODEL_DIR": str(model_dir.resolve()),
        "SWIN2MCU_ENGINE": engine,
        "SWIN2MCU_WEIGHTS": places.weights,
        "SWIN2MCU_ARENA": places.arena,
    }
    command = [sys.executable, "-m", "platformio", "run", "-d", str(FIRMWARE), "-e", board.name]
    return run_bound([*command, *arguments], environment)


def first_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines()]
    for line in lines:
        if NO_DOWNLOAD.search(line):
            return (
                "PlatformIO could not download its packages, which the first build for a board "
                f"needs: check the network and run the same command again; it said: {line}"
            )
        if re.search(r"error[: ]|Error[: ]|not found|cannot find|overflowed", line):
            return line
    return next((line for line in reversed(lines) if line), "PlatformIO said nothing")


def measure(elf: Path, compiler: str) -> tuple[int, int, int]:
    """Flash, RAM and weights in bytes, by the sections that our linker scripts have."""
    size = compiler.removesuffix("gcc") + "size"
    done = subprocess.run([size, "-A", str(elf)], capture_output=True, text=True, check=True)
    sections = {
        fields[0]: int(fields[1])
        for line in done.stdout.splitlines()
        if len(fields := line.split()) == 3 and fields[1].isdigit()
    }

    def total(*names: str) -> int:
        return sum(sections.get(name, 0) for name in names)

    return (
        total(".text", ".rodata", ".ARM.exidx", ".data", ".init_array"),
        total(".data", ".bss", ".noinit", ".stack"),
        total(".weights"),
    )


def platformio_sizes(output: str) -> tuple[int, int, int]:
    """Flash, RAM and weights (0: they are in flash) in bytes, as a board's platform prints them."""
    used = dict(re.findall(r"^(RAM|Flash):.*\(used (\d+) bytes", output, re.MULTILINE))
    return int(used.get("Flash", 0)), int(used.get("RAM", 0)), 0


def upload(board: Board, firmware: Firmware, port: str) -> None:
    """Put a built firmware on a real board. Raises UserError with the uploader's error."""
    build_dir = firmware.elf.parent.parent
    target = ("-t", "upload", "--upload-port", port)
    with _alone_in(build_dir):
        done = run_platformio(
            board, firmware.engine, firmware.model_dir, build_dir, *target, memory=firmware.memory
        )
    if done.returncode:
        raise UserError(
            f"uploading to {board.name} at {port} failed: {first_error(done.stdout + done.stderr)}"
        )
