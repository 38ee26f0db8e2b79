"""Containers and old terminals: a user without a name, no HOME, a stdout that knows only ASCII."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_run import make_run

ROOT = Path(__file__).resolve().parents[2]
NAME = "ä[x]"  # of a class: not ASCII, and markup for rich
# Runs a module as `docker run --user 54321` does: the system knows no name and home of the user.
NAMELESS = """
import pwd, runpy, sys

def unknown(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")

pwd.getpwuid = unknown
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0)
    for name in (NAME, "b"):
        (tmp_path / name).mkdir()
        for number in range(12):
            pixels = noise.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    return tmp_path


def said_by(arguments: list[str], **environment: str) -> str:
    """stdout and stderr of Python with nothing but PATH in its environment, which must succeed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        check=False,
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0 and "Traceback" not in said, said
    return said


@pytest.mark.parametrize("verb", [["split", "{data}"], ["flash", "--list"], ["distill", "--help"]])
def test_a_user_without_name_and_home(data: Path, verb: list[str]) -> None:
    words = [word.format(data=data) for word in verb]
    assert "error" not in said_by(["-c", NAMELESS, "swin2mcu", *words])


@pytest.mark.parametrize(
    "verb", [["split", "{data}"], ["predict", "{run}", "{data}/" + NAME + "/0.png"]]
)
def test_a_stdout_of_ascii(
    data: Path, tmp_path_factory: pytest.TempPathFactory, verb: list[str]
) -> None:
    run = make_run(tmp_path_factory.mktemp("run"))
    words = [word.format(data=data, run=run) for word in verb]
    said = said_by(["-m", "swin2mcu", *words], PYTHONIOENCODING="ascii")
    assert r"\xe4[x]" in said, said
