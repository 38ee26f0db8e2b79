"""C programs without firmware on emulated Cortex-M: build, run, weigh. Counts are instructions."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swin2mcu.common.cli import UserError
from swin2mcu.common.paths import FIRMWARE

COUNTER = FIRMWARE / "counter"
KERNELS = FIRMWARE / "lib" / "kernels"
COMPILER = "arm-none-eabi-gcc"
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Wshadow", "-Werror")

# A variant that holds only what it does otherwise than another one.
REST_FROM = {"dsp_m7": "dsp"}


@dataclass(frozen=True)
class Core:
    """An emulated core: QEMU's machine, its memory, and the kernels that suit it."""

    machine: str
    kernels: str
    contract: str  # which of kernels.h these kernels keep: tinyml.aot's --core
    flags: tuple[str, ...]
    code: int
    data: int
    weights: int  # the large memory: what a board's PSRAM or external flash would be


CORES = {
    "m4": Core(
        "mps2-an386",
        "dsp",
        "dsp",
        ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
        code=0,
        data=0x20000000,
        weights=0x21000000,
    ),
    "m7": Core(
        "mps2-an500",
        "dsp_m7",
        "dsp",
        ("-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16"),
        code=0,
        data=0x20000000,
        weights=0x60000000,
    ),
    # This machine starts in the secure state, whose memory is mirrored at +0x10000000.
    "m55": Core(
        "mps3-an547",
        "helium",
        "helium",
        ("-mcpu=cortex-m55", "-mfloat-abi=hard"),
        code=0x10000000,
        data=0x31000000,
        weights=0x60000000,
    ),
}


def kernel_sources(variant: str) -> list[Path]:
    """What a build of one variant of the kernels compiles."""
    own = {path.name: path for path in (KERNELS / variant).glob("*.[cS]")}
    if variant in REST_FROM:
        own = {path.name: path for path in (KERNELS / REST_FROM[variant]).glob("*.[cS]")} | own
    return [*sorted(KERNELS.glob("*.c")), *(own[name] for name in sorted(own))]


def compiler_version() -> str:
    return _run([COMPILER, "-dumpfullversion"]).strip()


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
        _run([COMPILER, *compile_flags, *include, *flags, "-c", str(source), "-o", str(built)])
        objects.append(str(built))
    places = [("CODE", core.code), ("DATA", core.data), ("WEIGHTS", core.weights)]
    link = [f"-Wl,--defsym={name}={place}" for name, place in places]
    link += ["-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs", "-Wl,--gc-sections"]
    script = COUNTER / "machine.ld"
    _run([COMPILER, *machine, *link, f"-T{script}", *objects, "-o", str(program)])


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
    lines = _run(["arm-none-eabi-size", "-A", str(program)]).splitlines()
    return {line.split()[0]: int(line.split()[1]) for line in lines if line.startswith(".")}


def symbols(program: Path) -> dict[str, int]:
    """Name → address."""
    lines = (line.split() for line in _run(["arm-none-eabi-nm", str(program)]).splitlines())
    return {fields[2]: int(fields[0], 16) for fields in lines if len(fields) == 3}


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise UserError(f"{command[0]} is not installed: apt install gcc-arm-none-eabi") from error
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout
