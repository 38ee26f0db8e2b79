"""Set-up says what it lacks before it starts, in one line."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run_setup(folder: Path, free_kb: int) -> subprocess.CompletedProcess[str]:
    """setup.sh in a folder of its own, on a disk with `free_kb` free; its Python stops at venv."""
    shutil.copy(ROOT / "setup.sh", folder)
    stubs = folder / "stubs"
    stubs.mkdir()
    disk = f"echo Filesystem 1024-blocks Used Available Capacity Mounted\necho d 9 9 {free_kb} 9 /"
    # venv is where a real set-up begins to write.
    python = '[ "$1" = -m ] && echo venv && exit 7\nexit 0'
    # A test installs nothing on the machine it runs on, whatever that machine lacks.
    nothing = {name: "exit 0" for name in ("apt-get", "brew", "sudo")}
    for name, body in {"df": disk, "python": python, **nothing}.items():
        (stubs / name).write_text(f"#!/bin/sh\n{body}\n")
        (stubs / name).chmod(0o755)
    return subprocess.run(
        [folder / "setup.sh"],
        env={
            **os.environ,
            "PATH": f"{stubs}:{os.environ['PATH']}",
            "PYTHON": str(stubs / "python"),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_full_disk_is_one_line_before_anything_is_written(tmp_path: Path) -> None:
    result = run_setup(tmp_path, free_kb=3_700_000)
    assert result.returncode == 2
    assert result.stderr == (
        f"error: the Python packages need at least 6 GB, 3 are free in {tmp_path.resolve()}\n"
    )
    assert {f.name for f in tmp_path.iterdir()} == {"setup.sh", "stubs"}


def test_room_enough_is_no_reason_to_stop(tmp_path: Path) -> None:
    result = run_setup(tmp_path, free_kb=6_000_000)
    assert (result.returncode, result.stdout) == (7, "venv\n"), result.stderr


def test_what_is_set_up_already_needs_no_room(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    result = run_setup(tmp_path, free_kb=1000)
    assert (result.returncode, result.stdout) == (7, "venv\n"), result.stderr


def test_an_environment_without_pip_is_made_anew(tmp_path: Path) -> None:
    """As an interrupted set-up leaves one: its python is there, and starts."""
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    result = run_setup(tmp_path, free_kb=6_000_000)
    assert (result.returncode, result.stdout) == (7, "venv\n"), result.stderr
