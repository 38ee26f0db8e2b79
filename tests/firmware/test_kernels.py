"""Each variant of the kernels gives the bytes of a slow, plain reference."""

import subprocess
from pathlib import Path

import pytest
from kernels.run_qemu import build_host, run_on

ROUNDS = 150  # random cases of each of the eight kernels


def test_portable_kernels_on_the_pc_under_sanitizers(tmp_path: Path) -> None:
    program = tmp_path / "kernels"
    build_host(program, rounds=2000)
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("variant", "core"),
    [
        ("portable", "m7"),
        ("dsp", "m4"),
        ("dsp", "m7"),
        ("dsp_m7", "m7"),
        ("portable", "m55"),
        ("helium", "m55"),
    ],
)
def test_kernels_on_an_emulated_core(variant: str, core: str) -> None:
    status, text = run_on(variant, core, ROUNDS)
    assert status == 0, text
    assert text.count(": ok") == 8, text
