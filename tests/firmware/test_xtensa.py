"""The interpreter of the ESP32-S3's assembly does what the chip does, and checks more."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from host_tools.mcu.interpreted import INTERPRETER, INTERPRETER_SOURCES

SEMANTICS = Path(__file__).parent / "xtensa"
LOW = ["-fno-pie", "-no-pie"]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("xtensa") / "semantics"
    sources = [INTERPRETER / f"{name}.cc" for name in INTERPRETER_SOURCES]
    sources.append(SEMANTICS / "semantics_main.cc")
    flags = ["-std=c++17", "-O1", "-g", "-fsanitize=address,undefined", *LOW, f"-I{INTERPRETER}"]
    subprocess.run(["g++", *flags, *map(str, sources), "-o", str(program)], check=True)
    return program


def run(machine: Path, *arguments: str | Path) -> tuple[int, str]:
    done = subprocess.run([machine, *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_instructions_do_what_was_measured(machine: Path) -> None:
    assert run(machine, SEMANTICS / "semantics.S") == (0, "ok\n")


def test_accesses_are_checked(machine: Path) -> None:
    status, text = run(machine, SEMANTICS / "semantics.S", "misaligned")
    assert status == 3 and "not aligned" in text
    status, text = run(machine, SEMANTICS / "semantics.S", "beyond")
    assert status == 3 and "outside of any object" in text


@pytest.mark.parametrize(
    "line",
    [
        "addi a2, a2, 128",
        "l32i a2, a3, 1021",
        "ee.vld.128.ip q0, a2, 8",
        "ee.vld.128.ip q8, a2, 16",
        "ee.vmulas.s8.accx.ld.ip q0, a2, 512, q0, q1",
        "slli a2, a2, 32",
        "add a2, a3",
        "ee.no.such q0",
        "j nowhere",
    ],
)
def test_what_the_assembler_refuses_is_refused(line: str, machine: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.S").write_text(f"vadds_s8:\n  entry a1, 32\n  {line}\n  retw.n\n")
    status, text = run(machine, tmp_path / "wrong.S")
    assert status == 3 and "wrong.S:3" in text
