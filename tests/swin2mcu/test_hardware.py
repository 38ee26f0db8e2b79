"""A processor is described by its name and by what it computes with."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from swin2mcu.common.hardware import hardware, processor_name

CPUINFO = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu {}\n\n"


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ("avx2 avx512f avx512_vnni", "AMD EPYC with AVX-512 VNNI, "),
        ("avx512f avx2", "AMD EPYC with AVX-512, "),
        ("avx avx2", "AMD EPYC with AVX2, "),
        ("sse2", "AMD EPYC, "),
    ],
)
def test_two_generations_of_one_name_differ(flags: str, shown: str, tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(CPUINFO.format(flags) + CPUINFO.format("").replace("AMD EPYC", "another"))
    assert hardware(info).startswith(shown)
    assert processor_name(info) == "AMD EPYC"


def test_a_pc_without_proc_is_named_by_python(tmp_path: Path) -> None:
    assert hardware(tmp_path / "none").count(", ") == 2
    named = platform.processor() or platform.machine()
    assert processor_name(tmp_path / "none") == named
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\n")  # as 64-bit Arm has it: without a name
    assert processor_name(info) == named
