"""Two commands that make the same files: one of them does it, the other says so in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host_tools.boards import build
from host_tools.boards.table import get_board
from pytorch_side import distill, export, qat, teacher
from pytorch_side.distillation import teacher_cache
from pytorch_side.distillation.teacher_store import write_teacher_cache
from pytorch_side.log import read_log
from pytorch_side.nets.models import load_student
from swin2mcu.common.cli import UserError
from swin2mcu.common.lock import lock_folder, locked
from tinyml.convert import __main__ as convert

ROOT = Path(__file__).resolve().parents[2]
SMALL = """
student.name = "tf_mobilenetv3_small_minimal_100"
student.size = 32
teacher.name = "swin"
teacher.size = 32
teacher.arguments = { window_size = 2, embed_dim = 8, depths = [1, 1], num_heads = [1, 2] }
distillation.attention_pairs = [[3, 0], [5, 1]]
optimizer = { epochs = 2, batch = 6 }
augment.cached = 1
"""


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def trained(leaves: Path, config: Path, tmp_path: Path) -> Path:
    """A student's run, and a teacher's in the same folder."""
    run = tmp_path / "run"
    common = ["--config", str(config), "--data", str(leaves), "--out", str(run)]
    assert teacher.main([*common[:-1], str(tmp_path / "teacher")]) == 0
    assert distill.main([*common, "--set", "distillation.alpha=0"]) == 0
    return run


@pytest.mark.parametrize(
    "name", ["teacher", "distill", "teacher_cache", "qat", "export", "convert"]
)
def test_a_folder_that_another_command_writes_is_left_alone(
    name: str, trained: Path, leaves: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A cache has a folder of its own.
    run = trained if name != "teacher_cache" else trained.parent / "answers"
    training = ["--config", str(config), "--data", str(leaves), "--out", str(run)]
    init = f"teacher.init={run.parent / 'teacher/teacher.safetensors'}"
    commands: dict[str, tuple[Callable[[Any], int], list[str]]] = {
        "teacher": (teacher.main, [*training, "--set", "seed=1"]),
        "distill": (distill.main, [*training, "--set", "seed=1", "--set", "distillation.alpha=0"]),
        "teacher_cache": (teacher_cache.main, [*training, "--set", init]),
        "qat": (qat.main, [str(run), "--data", str(leaves)]),
        "export": (export.main, [str(run)]),
        "convert": (convert.main, [str(run)]),
    }
    main, arguments = commands[name]
    before = files_of(run)
    capsys.readouterr()
    with lock_folder(run):
        assert main(arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].endswith(f"another command is writing {run}: wait for it, or stop it")
    assert files_of(run) == before


def test_two_trainings_into_one_folder_lose_nothing(
    leaves: Path, config: Path, tmp_path: Path
) -> None:
    """The second one either finds the first at work, or a finished run."""
    run = tmp_path / "run"
    command = [sys.executable, "-m", "pytorch_side.distill", "--config", str(config),
               "--data", str(leaves), "--out", str(run), "--set", "distillation.alpha=0",
               "--set", "optimizer.epochs=6"]  # fmt: skip
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}  # two cores' threads would wait for each other
    both = [
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=alone)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[1] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 0], [0, 2]), said
    assert codes == [0, 0] or any("another command is writing" in text for text in said)
    assert [row["epoch"] for row in read_log(run)] == [str(n) for n in range(1, 7)]
    assert load_student(run / "student.safetensors")[2] == ("healthy", "late_blight")


def test_a_cache_that_another_command_writes_is_left_alone(tmp_path: Path) -> None:
    """An ensemble's, or that of cross-fitted teachers."""
    with lock_folder(tmp_path), pytest.raises(UserError, match="another command is writing"):
        write_teacher_cache(tmp_path, {}, {"logits": np.zeros(1)}, [])
    assert files_of(tmp_path) == {}


def test_a_firmware_is_built_by_one_command_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "WAIT_S", 0.1)
    monkeypatch.setattr(build, "run_platformio", None)  # it must not be reached
    board = get_board("host")
    with (
        locked(tmp_path / "build"),
        pytest.raises(UserError, match=f"another command has been building in {tmp_path}"),
    ):
        build.build_firmware(board, "aot", tmp_path, tmp_path / "build")


@pytest.mark.parametrize("out", ["file", "file/inside"])
def test_a_file_in_place_of_the_folder_is_said(tmp_path: Path, out: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file, or lies in one"), lock_folder(tmp_path / out):
        pass
