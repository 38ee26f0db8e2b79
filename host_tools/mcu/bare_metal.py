"""Build and run C programs without firmware on emulated Cortex-M. Counts are instructions."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from host_tools.boards.table import BoardTable
from swin2mcu.common.cli import UserError
from swin2mcu.common.paths import FIRMWARE

COUNTER = FIRMWARE / "counter"
KERNELS = FIRMWARE / "lib" / "kernels"
COMPILER = "arm-none-eabi-gcc"
PACKAGE = "gcc-arm-none-eabi"
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Wshadow", "-Werror")

CORES = ("m4", "m7", "m55")  # names for get_core
KERNEL_FILTER = re.compile(r"([+-])<\.\./lib/kernels/([^>]+)>")  # of a build_src_filter
ORIGIN = re.compile(r"(\w+) : ORIGIN = (\w+)")  # of a linker script


@dataclass(frozen=True)
class Core:
    """An emulated core: QEMU's machine, its memory, and the kernels that suit it."""

    machine: str
    kernels: str
    contract: str  # which contract of kernels.h these kernels keep: tinyml.aot's --core
    flags: tuple[str, ...]
    code: int
    data: int
    weights: int  # the large memory: what a board's PSRAM or external flash would be


@cache
def _boards() -> BoardTable:
    return BoardTable(FIRMWARE / "platformio.ini")


@cache
def get_core(name: str) -> Core:
    """What the firmware of that core's emulated board is built with and runs on.

    Raises UserError without the table of boards, OSError without the board's linker script.
    """
    board = f"qemu-{name}"
    section = f"env:{board}"
    launch = _boards().get(section, "custom_launch").split()
    flags = _boards().get(section, "custom_core_flags").split()
    script = (FIRMWARE / "src" / "boards" / board / "memory.ld").read_text(encoding="utf-8")
    places = {name: int(address, 0) for name, address in ORIGIN.findall(script)}
    return Core(
        launch[launch.index("-M") + 1],
        _variant(_kernel_filter(section)),
        _boards().get(section, "custom_core"),
        tuple(flag for flag in flags if flag != "-mthumb"),  # of all cores here: see build
        code=places["FLASH"],
        data=places["RAM"],
        weights=places["WEIGHTS"],
    )


def kernel_sources(variant: str, kernels: Path = KERNELS) -> list[Path]:
    """The kernel sources that the first board with this variant compiles.

    ESP-IDF's builds have no filter: their CMakeLists.txt takes the variant's whole folder.
    """
    sections = [f"env:{name}" for name in _boards().environments()]
    filters = {_variant(items): items for s in reversed(sections) if (items := _kernel_filter(s))}
    chosen: set[Path] = set()
    for sign, pattern in filters.get(variant, [("+", "*.c"), ("+", f"{variant}/")]):
        files = kernels.glob(f"{pattern}*.[cS]" if pattern.endswith("/") else pattern)
        chosen = chosen.union(files) if sign == "+" else chosen.difference(files)
    return sorted(chosen, key=lambda path: (path.parent != kernels, path.name))


def _kernel_filter(section: str) -> list[tuple[str, str]]:
    """The signs and patterns below lib/kernels of a board's build_src_filter."""
    return KERNEL_FILTER.findall(_boards().get(section, "build_src_filter"))


def _variant(kernel_filter: list[tuple[str, str]]) -> str:
    """A variant has the name of its last folder."""
    return kernel_filter[-1][1].removesuffix("/")


def compiler_version() -> str:
    return run_tool([COMPILER, "-dumpfullversion"], PACKAGE).strip()


def build(
    core: Core,
    program: Path,
    engine: Sequence[Path],
    rest: Sequence[Path],
    flags: Sequence[str] = (),
) -> None:
    """Compile and link `program`. The sizes of `engine`'s objects can be asked for afterwards."""
    machine = ["-O2", "-mthumb", *core.flags]
    compile_flags = [*machine, *WARNINGS, "-ffunction-sections", "-fdata-sections"]
    include = [f"-I{KERNELS}", f"-I{FIRMWARE / 'lib' / 'engine'}", f"-I{COUNTER}"]
    objects = []
    named = [(path, "engine_") for path in engine]
    named += [(path, "rest_") for path in (*rest, COUNTER / "counter_qemu.c")]
    for source, prefix in named:
        built = program.parent / f"{prefix}{source.parent.name}_{source.stem}.o"
        command = [COMPILER, *compile_flags, *include, *flags, "-c", str(source), "-o", str(built)]
        run_tool(command, PACKAGE)
        objects.append(str(built))
    places = [("CODE", core.code), ("DATA", core.data), ("WEIGHTS", core.weights)]
    link = [f"-Wl,--defsym={name}={place}" for name, place in places]
    link += ["-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs", "-Wl,--gc-sections"]
    script = COUNTER / "machine.ld"
    run_tool([COMPILER, *machine, *link, f"-T{script}", *objects, "-o", str(program)], PACKAGE)


def run(
    core: Core, program: Path, timeout_s: float = 300, arguments: Sequence[str] = ()
) -> tuple[int, str]:
    """Exit status and printed text. One instruction is one nanosecond of the machine's time."""
    command = [
        "qemu-system-arm", "-machine", core.machine, "-kernel", str(program),
        "-nographic", "-monitor", "none", "-serial", "none",
        "-semihosting-config", "enable=on,target=native", "-icount", "shift=0,sleep=off",
        *arguments,
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        raise UserError("qemu-system-arm is not installed: apt install qemu-system-arm") from error
    return done.returncode, done.stdout + done.stderr


def section_bytes(program: Path) -> dict[str, int]:
    """The sizes of the linked sections by name."""
    lines = run_tool(["arm-none-eabi-size", "-A", str(program)], PACKAGE).splitlines()
    return {line.split()[0]: int(line.split()[1]) for line in lines if line.startswith(".")}


def symbols(program: Path) -> dict[str, int]:
    """Name → address."""
    listed = run_tool(["arm-none-eabi-nm", str(program)], PACKAGE)
    lines = (line.split() for line in listed.splitlines())
    return {fields[2]: int(fields[0], 16) for fields in lines if len(fields) == 3}


def run_tool(command: Sequence[str], package: str) -> str:
    """What the command prints. Raises UserError, naming Debian's package, if it is not installed,
    and RuntimeError with its message if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise UserError(f"{command[0]} is not installed: apt install {package}") from error
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout
