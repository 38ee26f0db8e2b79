"""C programs on the PC with the ESP32-S3's kernels. An interpreter (firmware/interpreter)
executes the kernels' assembly, checks every access and counts instructions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from host_tools.mcu.bare_metal import KERNELS, WARNINGS, kernel_sources, run_tool
from swin2mcu.common.paths import FIRMWARE

INTERPRETER = FIRMWARE / "interpreter"
INTERPRETER_SOURCES = ("assembler", "scalar_instructions", "vector_instructions")
VARIANT = "pie"
PACKAGE = "g++"  # brings both compilers
# The machine's addresses are 32 bits wide, so the program has to lie below 4 GB.
_LOW = ("-fno-pie", "-no-pie")
_SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def build_interpreted(program: Path, sources: Sequence[Path], flags: Sequence[str] = ()) -> None:
    """Compile `sources` with the pie kernels and the interpreter of their assembly into `program`,
    which reads the assembly when it runs: another folder's if PIE_SOURCE_FOLDER names one."""
    include = [f"-I{KERNELS}", f"-I{INTERPRETER}", f"-I{KERNELS / VARIANT}"]
    compile_cxx = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-g", "-O1"]
    compile_cxx += ["-fsanitize=address", _LOW[0], f'-DPIE_FOLDER="{KERNELS / VARIANT}"', *include]
    objects = []
    for name in (*INTERPRETER_SOURCES, "stubs"):
        objects.append(str(program.parent / f"xtensa_{name}.o"))
        run_tool([*compile_cxx, "-c", str(INTERPRETER / f"{name}.cc"), "-o", objects[-1]], PACKAGE)
    compiled = [path for path in kernel_sources(VARIANT) if path.suffix == ".c"]
    files = [str(path) for path in (*sources, *compiled)]
    command = ["gcc", *WARNINGS, *_SANITIZED, *_LOW, *include, *flags, *files]
    run_tool([*command, *objects, "-lstdc++", "-o", str(program)], PACKAGE)


def run_interpreted(program: Path) -> str:
    """What it prints. Raises RuntimeError with its message if it fails."""
    return run_tool([str(program)], PACKAGE)
