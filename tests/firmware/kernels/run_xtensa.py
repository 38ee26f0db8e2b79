"""Programs of kernels alone on the emulated Xtensa core, started as the board's firmware is."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from host_tools.mcu.bare_metal import COUNTER, FIRMWARE, KERNELS

HERE = Path(__file__).parent
BOARD = FIRMWARE / "src" / "boards" / "qemu-xtensa"
BARE = FIRMWARE / "lib" / "bare"
PREFIX = "xtensa-lx106-elf-"


def build_xtensa(program: Path, sources: Sequence[Path], flags: Sequence[str] = ()) -> None:
    """Compile and link C `sources`, one of which has main(), with the board's start-up."""
    common = ["-O2", "-mtext-section-literals", "-ffunction-sections", "-fdata-sections"]
    include = [f"-I{path}" for path in (KERNELS, COUNTER, BARE, HERE, FIRMWARE / "lib" / "engine")]
    weights = ["-include", str(BARE / "sections.h")]
    runtime = [
        BARE / "bare.cc",
        BOARD / "startup.cc",
        BOARD / "arithmetic.c",
        HERE / "main_xtensa.c",
    ]
    objects = []
    for number, source in enumerate([*sources, *runtime]):
        cxx = source.suffix == ".cc"
        language = ["-std=c++17", "-fno-exceptions", "-fno-rtti"] if cxx else ["-std=c11"]
        own = [] if source in runtime else ["-Dmain=test_main", *flags]
        built = program.parent / f"{number}-{source.stem}.o"
        command = [f"{PREFIX}{'g++' if cxx else 'gcc'}", *language, *common, *include, *weights]
        subprocess.run([*command, *own, "-c", str(source), "-o", str(built)], check=True)
        objects.append(str(built))
    link = [
        f"{PREFIX}gcc",
        "-nostartfiles",
        "-Wl,--defsym=vfprintf=__i_vfprintf",
        "-Wl,--gc-sections",
        f"-L{BARE}",
        f"-L{BOARD}",
    ]
    subprocess.run([*link, "-Tbare.ld", *objects, "-o", str(program)], check=True)


def run_xtensa(program: Path, timeout_s: float = 300) -> tuple[int, str]:
    """Exit status and printed text."""
    machine = ["qemu-system-xtensa", "-M", "lx60-nommu", "-cpu", "lx106", "-kernel", str(program)]
    quiet = ["-nographic", "-monitor", "none", "-serial", "none", "-semihosting"]
    done = subprocess.run(
        [*machine, *quiet],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout + done.stderr
