"""Boards as far as they can be checked without hardware and their makers' platforms.

Board code is compiled against minimal declarations of the vendor calls it uses (vendor/). The
firmware of the Arduino boards is linked whole and run on an emulated Cortex-M7 with a stand-in for
their core.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from platformio.project.options import ProjectOptions
from sources import FIRMWARE, INI, LIB, compile_all, sources_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "host_tools"))
from tiny_run import make_run

from host_tools.boards import emulator
from host_tools.boards.build import CORE_DIR
from host_tools.boards.generate import generate
from host_tools.boards.table import BoardTable, get_board, load_boards
from host_tools.inputs import Model, load_model
from host_tools.line_speed import patient_clock
from host_tools.link.device import Device
from host_tools.link.line import SerialLine
from tinyml.format.tflite import read
from tinyml.runtimes.generated import GeneratedC

VENDOR = Path(__file__).parent / "vendor"
M7 = ["-mthumb", "-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16"]
CORES = {
    name: BoardTable(INI).get(f"env:{name}", "custom_core_flags").split() for name in load_boards()
}


def test_platformio_reads_the_table_of_boards() -> None:
    command = [sys.executable, "-m", "platformio", "project", "config", "--lint", "-d", FIRMWARE]
    environment = {"PLATFORMIO_CORE_DIR": str(CORE_DIR), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "free from linting errors" in done.stdout, done.stdout


def test_every_option_is_one_that_somebody_reads() -> None:
    """PlatformIO's lint is silent about a misspelled option that an environment inherits."""
    known = {option.name for option in ProjectOptions.values()}
    config = BoardTable(INI).config
    everything = INI.read_text()
    for section in config.sections():
        for name in config[section]:
            ours = name.startswith(("custom_", "board_")) or f"${{{section}.{name}}}" in everything
            assert ours or name in known, f"[{section}] {name}"


def test_every_board_says_what_its_memory_is_and_how_it_is_found() -> None:
    for board in load_boards().values():
        assert board.engines and board.flash_bytes and board.ram_bytes, board
        assert board.launch or board.usb_ids, f"{board.name} can be neither started nor found"


@pytest.mark.parametrize("core", ["qemu-m4", "qemu-m7", "qemu-m33", "qemu-m55", "qemu-xtensa"])
def test_everything_an_emulated_board_links_compiles_strictly(core: str, tmp_path: Path) -> None:
    flags = [*CORES[core], *(f"-I{LIB / name}" for name in ("bare", "cortex_m", "qemu"))]
    compile_all(get_board(core).compiler.removesuffix("gcc"), sources_of(core), tmp_path, flags)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(str(make_run(tmp_path_factory.mktemp("boards") / "tiny")))


def link_arduino(name: str, model: Model, folder: Path, *flags: str) -> Path:
    """The whole firmware of an Arduino board, on a stand-in for its core."""
    generated = generate(model, get_board(name), "aot", folder)
    core = [LIB / "bare" / "bare.cc", LIB / "cortex_m" / "startup.cc"]
    core.append(VENDOR / "arduino" / "core.cc")
    sources = [*sources_of(name), generated / "model.c", *core]
    shared = [LIB / name for name in ("arduino", "bare", "cortex_m")]
    includes = [VENDOR / "arduino", *shared, generated]
    named = ("-DBOARD_BAUD=921600", f"-DBOARD_NAME={name}")
    flags = (*M7, *(f"-I{path}" for path in includes), *named, *flags)
    objects = compile_all("arm-none-eabi-", sources, folder, list(flags))
    program = folder / "program.elf"
    machine = FIRMWARE / "src" / "boards" / "qemu-m7"
    command = ["arm-none-eabi-g++", *M7, "--specs=nano.specs", "--specs=nosys.specs"]
    command += ["-nostartfiles", f"-L{machine}", f"-L{LIB / 'bare'}", "-Tbare.ld"]
    done = subprocess.run(
        [*command, *map(str, objects), "-o", str(program)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return program


@pytest.mark.parametrize("name", ["nucleo-h743zi2", "nucleo-f746zg", "teensy41"])
def test_an_arduino_boards_firmware_answers_on_a_stand_in(
    name: str, model: Model, tmp_path: Path
) -> None:
    """The board's own code runs; core, clocks and USB are not the real ones."""
    if get_board(name).flash_bytes <= 1 << 20:
        model = load_model("tiny-96")  # made for one megabyte
    sections = FIRMWARE / "src" / "boards" / name / "sections.h"
    flags = ["-include", str(sections)] if sections.exists() else []
    program = link_arduino(name, model, tmp_path, *flags)
    emulated = emulator.start(get_board("qemu-m7"), program, tmp_path / "state")
    line = SerialLine(emulated.url, 921600)
    try:
        device = Device(line, patient_clock)
        info = device.hello()
        assert info.board == name and info.unit == "us"
        image = bytes(range(256)) * (info.input_bytes // 256)
        pc = GeneratedC(read(model.int8), model.sha256, tmp_path)
        real = pc.run(np.frombuffer(image, np.int8).reshape(model.card.input_shape))
        assert list(device.infer(image).logits) == list(real)
    finally:
        line.close()
        emulator.stop("qemu-m7", tmp_path / "state")


def test_the_teensy_keeps_weights_in_flash(model: Model, tmp_path: Path) -> None:
    sections = FIRMWARE / "src" / "boards" / "teensy41" / "sections.h"
    program = link_arduino("teensy41", model, tmp_path, "-include", str(sections))
    headers = ["arm-none-eabi-size", "-A", str(program)]
    said = subprocess.run(headers, capture_output=True, text=True, check=True).stdout
    found = re.search(r"^\.progmem\s+(\d+)", said, re.MULTILINE)
    assert found and int(found[1]) > 1_000_000


@pytest.mark.parametrize("name", ["board", "line_uart", "line_usb"])
def test_the_esp32s3s_code_compiles(name: str, tmp_path: Path) -> None:
    here = FIRMWARE / "src" / "boards" / "esp32s3"
    flags = [f"-I{VENDOR / 'esp_idf'}", f"-I{here}", "-DBOARD_BAUD=921600", '-DBOARD_NAME="it"']
    compile_all("", [here / f"{name}.cc"], tmp_path, flags)


def test_the_esp32s3s_cmake_names_what_is_there() -> None:
    """ESP-IDF does not read build_src_filter, so its own list must name real folders."""
    text = (FIRMWARE / "src" / "CMakeLists.txt").read_text()
    for folder in ("wire", "kernels", "kernels/pie", "board", "engine", "session", "vision"):
        assert f"${{lib}}/{folder}" in text
        assert (LIB / folder).is_dir()
    # PlatformIO sorts the options: a file that is a word of its own would lose its -include.
    assert "-include " not in text.partition("target_compile_options")[2]
    table = BoardTable(INI)
    for name, board in load_boards().items():
        if "tflm" not in board.engines or board.launch:
            continue
        arguments = table.get(f"env:{name}", "board_build.cmake_extra_args")
        settings = dict(word.removeprefix("-D").split("=") for word in arguments.split())
        assert settings["BOARD"] == name and int(settings["BAUD"]) == board.baud
        assert (LIB / settings["SESSION"]).is_dir()
        assert (FIRMWARE / "src" / "boards" / "esp32s3" / f"line_{settings['LINE']}.cc").is_file()


@pytest.mark.parametrize("weights", ["flash", "psram"])
@pytest.mark.parametrize("arena", ["ram", "psram"])
def test_each_choice_of_memory_has_its_settings(weights: str, arena: str) -> None:
    text = (FIRMWARE / "CMakeLists.txt").read_text()
    assert text.index("set(SDKCONFIG_DEFAULTS") < text.index("project.cmake)")
    names = ["sdkconfig.defaults"]
    for variable, value in (("WEIGHTS", weights), ("ARENA", arena)):
        condition = f'if("$ENV{{SWIN2MCU_{variable}}}" STREQUAL "psram")\n'
        assert text.count(condition) == 1
        if value == "psram":
            names += re.findall(
                r"/(sdkconfig\.\w+)", text.partition(condition)[2].split("endif")[0]
            )
    folder = FIRMWARE / "src" / "boards" / "esp32s3"
    settings = "".join((folder / name).read_text() for name in names)
    assert ("CONFIG_SPIRAM=y" in settings) == ("psram" in (weights, arena))
    assert ("CONFIG_SPIRAM_RODATA=y" in settings) == (weights == "psram")
    assert ("CONFIG_SPIRAM_ALLOW_BSS" in settings) == (arena == "psram")
    # ESP-IDF's log would otherwise come on the USB port, between the frames.
    assert "CONFIG_ESP_CONSOLE_SECONDARY_NONE=y" in settings
