"""The TensorFlow Lite Micro engine against a stand-in interpreter that fails as it is told."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from sources import LIB, compile_all

VENDOR = Path(__file__).parent / "vendor" / "tflm"
REASONS = {
    "version": "the model is of another schema version",
    "register": "an operator was not registered",
    "start": "the interpreter does not start",
    "allocate": "the arena is too small, or an operator refuses the model",
    "input": "the model's input is not what was generated for it",
    "output": "the model's output is not what was generated for it",
    "no output": "the model's output is not what was generated for it",
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engine")
    sources = [LIB / "engine" / "tflm" / "engine_tflm.cc", VENDOR / "driver.cc"]
    objects = compile_all("", sources, folder, [f"-I{VENDOR}", "-fsanitize=address,undefined"])
    program = folder / "engine"
    command = ["g++", "-fsanitize=address,undefined", *map(str, objects), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return program


def said(engine: Path, fault: str) -> dict[str, str]:
    done = subprocess.run([engine, fault], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


@pytest.mark.parametrize("fault", REASONS)
def test_a_start_that_fails_says_why_and_can_still_be_described(engine: Path, fault: str) -> None:
    assert said(engine, fault) == {"start": REASONS[fault], "steps": "0"}


@pytest.mark.parametrize(("model", "seen"), [("none", 5), ("unsigned", 5 - 128)])
def test_a_start_that_succeeds_runs_and_times_its_operators(
    engine: Path, model: str, seen: int
) -> None:
    """A uint8 model's bytes are turned for the interpreter and back for us."""
    assert said(engine, model) == {
        "start": "ok",
        "steps": "2",
        "run": "ok",
        "ticks": "5 99",
        "step": "made_here CONV_2D",
        "bytes": f"{seen} 5",
        "zero point": "-7",
    }


def test_a_tensor_without_a_name_has_an_empty_one(engine: Path) -> None:
    assert said(engine, "unnamed")["step"] == " CONV_2D"


def test_an_old_files_operators_have_their_names(engine: Path) -> None:
    assert said(engine, "old")["step"] == "made_here CONV_2D"


def test_a_run_that_fails_says_so(engine: Path) -> None:
    assert said(engine, "invoke")["run"] == "the interpreter failed"
