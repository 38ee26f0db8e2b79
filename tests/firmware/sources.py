"""Which sources an environment of platformio.ini builds, and compiling them without PlatformIO."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from host_tools.boards.table import FIRMWARE, BoardTable

INI = FIRMWARE / "platformio.ini"
LIB = FIRMWARE / "lib"
WARNINGS = ("-Wall", "-Wextra", "-Wshadow", "-Werror")
FOLDERS = ("board", "engine", "kernels", "session", "vision", "wire")
INCLUDES = tuple(f"-I{LIB / name}" for name in FOLDERS)
CXX_FLAGS = ("-std=c++17", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics")


def sources_of(environment: str) -> list[Path]:
    """What build_src_filter selects: +<pattern> adds, -<pattern> removes, in their order."""
    chosen: list[Path] = []
    text = BoardTable(INI).get(f"env:{environment}", "build_src_filter")
    for sign, pattern in re.findall(r"([+-])<([^>]+)>", text):
        found = matches(FIRMWARE / "src" / pattern)
        assert found, f"{environment}: {pattern} matches nothing"
        chosen = [path for path in chosen if path not in found]
        chosen += found if sign == "+" else []
    return chosen


def matches(pattern: Path) -> list[Path]:
    where = pattern.parent.resolve() if "*" in pattern.name else pattern.resolve()
    if where.is_file():
        return [where]
    name = pattern.name if "*" in pattern.name else "**/*"
    return sorted(path for path in where.glob(name) if path.suffix in (".c", ".cc", ".S"))


def compile_all(
    prefix: str, sources: list[Path], folder: Path, flags: list[str], strict: bool = True
) -> list[Path]:
    """Compile each source into an object in `folder`; C as C11 and C++ as the firmware's C++17."""
    objects = []
    for number, source in enumerate(sources):
        cxx = source.suffix == ".cc"
        language = CXX_FLAGS if cxx else ("-std=c11",)
        target = folder / f"{number}-{source.stem}.o"
        command = [f"{prefix}{'g++' if cxx else 'gcc'}", "-O1", "-c", *language, *INCLUDES]
        command += [f"-I{FIRMWARE / 'src'}", *(WARNINGS if strict else ()), *flags]
        done = subprocess.run(
            [*command, str(source), "-o", str(target)], capture_output=True, text=True
        )
        assert done.returncode == 0, f"{source}: {done.stderr}"
        objects.append(target)
    return objects
