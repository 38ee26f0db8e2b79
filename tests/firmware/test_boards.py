"""Boards as far as they can be checked without hardware and their makers' platforms.

Board code is compiled against minimal declarations of the vendor calls it uses (vendor/), and the
firmware of the Arduino boards is linked whole: what links here misses nothing but the real core.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from platformio.project.options import ProjectOptions
from sources import FIRMWARE, INI, LIB, compile_all, sources_of

from host_tools.boards import Table, load_boards
from host_tools.build import CORE_DIR

VENDOR = Path(__file__).parent / "vendor"
M7 = ["-mthumb", "-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16"]
CORES = {name: Table(INI).get(f"env:{name}", "custom_core_flags").split() for name in load_boards()}

# The least that model.h promises, for a firmware without a network in it.
MODEL = """
#include "model.h"
static int8_t arena[64] MODEL_ARENA_SECTION;
static const int8_t weights[64] MODEL_WEIGHTS_SECTION = {1};
const uint8_t model_sha256[32] = {0};
const uint16_t model_input_height = 2, model_input_width = 2, model_input_channels = 3;
const uint16_t model_class_count = 2;
const char* const model_labels[] = {"a", "b"};
const uint32_t model_arena_bytes = 64;
const float model_output_scale = 1;
const int32_t model_output_zero_point = 0;
int8_t* model_input(void) { return arena; }
const int8_t* model_output(void) { return arena; }
static void step(void) { arena[0] = weights[arena[1] & 63]; }
const ModelStep model_steps[] = {{"step", "CONV_2D 0", step}};
const uint16_t model_step_count = 1;
void model_run(void) { step(); }
"""


def test_platformio_reads_the_table_of_boards() -> None:
    command = [sys.executable, "-m", "platformio", "project", "config", "--lint", "-d", FIRMWARE]
    environment = {"PLATFORMIO_CORE_DIR": str(CORE_DIR), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "free from linting errors" in done.stdout, done.stdout


def test_every_option_is_one_that_somebody_reads() -> None:
    """PlatformIO's lint is silent about a misspelt option that an environment inherits."""
    known = {option.name for option in ProjectOptions.values()}
    config = Table(INI).config
    everything = INI.read_text()
    for section in config.sections():
        for name in config[section]:
            ours = name.startswith(("custom_", "board_")) or f"${{{section}.{name}}}" in everything
            assert ours or name in known, f"[{section}] {name}"


def test_every_board_says_what_its_memory_is_and_how_it_is_found() -> None:
    for board in load_boards().values():
        assert board.engines and board.flash_bytes and board.ram_bytes, board
        assert board.launch or board.usb_ids, f"{board.name} can be neither started nor found"


@pytest.mark.parametrize("core", ["qemu-m4", "qemu-m7", "qemu-m33", "qemu-m55"])
def test_everything_an_emulated_board_links_compiles_strictly(core: str, tmp_path: Path) -> None:
    flags = [*CORES[core], f"-I{LIB / 'cortex_m'}", f"-I{LIB / 'qemu'}"]
    compile_all("arm-none-eabi-", sources_of(core), tmp_path, flags)


def link_arduino(name: str, folder: Path, *flags: str) -> Path:
    model = folder / "model.c"
    model.write_text(MODEL)
    sources = [*sources_of(name), model, VENDOR / "arduino" / "core.cc"]
    includes = [f"-I{VENDOR / 'arduino'}", f"-I{LIB / 'arduino'}", "-DBOARD_BAUD=921600"]
    objects = compile_all("arm-none-eabi-", sources, folder, [*M7, *includes, *flags])
    program = folder / "program.elf"
    command = ["arm-none-eabi-g++", *M7, "--specs=nano.specs", "--specs=nosys.specs"]
    command += [*map(str, objects), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return program


def test_the_nucleos_firmware_links(tmp_path: Path) -> None:
    link_arduino("nucleo-h743zi2", tmp_path)


def test_the_teensys_firmware_links_and_keeps_weights_in_flash(tmp_path: Path) -> None:
    sections = FIRMWARE / "src" / "boards" / "teensy41" / "sections.h"
    program = link_arduino("teensy41", tmp_path, "-include", str(sections))
    names = ["arm-none-eabi-nm", str(program.with_name(f"{len(sources_of('teensy41'))}-model.o"))]
    assert " weights" in subprocess.run(names, capture_output=True, text=True).stdout
    headers = ["arm-none-eabi-objdump", "-h", str(program)]
    assert ".progmem" in subprocess.run(headers, capture_output=True, text=True).stdout


@pytest.mark.parametrize("name", ["board", "line_uart", "line_usb"])
def test_the_esp32s3s_code_compiles(name: str, tmp_path: Path) -> None:
    here = FIRMWARE / "src" / "boards" / "esp32s3"
    flags = [f"-I{VENDOR / 'esp_idf'}", f"-I{here}", "-DBOARD_BAUD=921600", '-DBOARD_NAME="it"']
    compile_all("", [here / f"{name}.cc"], tmp_path, flags)


def test_the_esp32s3s_cmake_names_what_is_there() -> None:
    """ESP-IDF does not read build_src_filter, so its own list must name real folders."""
    text = (FIRMWARE / "src" / "CMakeLists.txt").read_text()
    for folder in ("wire", "kernels", "kernels/portable", "board", "engine", "session"):
        assert f"${{lib}}/{folder}" in text
        assert (LIB / folder).is_dir()
    table = Table(INI)
    for name, board in load_boards().items():
        if "tflm" not in board.engines or board.launch:
            continue
        arguments = table.get(f"env:{name}", "board_build.cmake_extra_args")
        settings = dict(word.removeprefix("-D").split("=") for word in arguments.split())
        assert settings["BOARD"] == name and int(settings["BAUD"]) == board.baud
        assert (LIB / settings["SESSION"]).is_dir()
        assert (FIRMWARE / "src" / "boards" / "esp32s3" / f"line_{settings['LINE']}.cc").is_file()
        assert (FIRMWARE / settings["SDKCONFIG_DEFAULTS"]).is_file()
