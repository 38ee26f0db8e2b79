"""Set-up says what it lacks before it starts, in one line."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run_setup(
    folder: Path, *level: str, free_kb: int = 6_000_000, right: bool = True
) -> subprocess.CompletedProcess[str]:
    """setup.sh in a folder of its own, on a disk with `free_kb` free; its Python stops at venv."""
    command, environment = stubbed(folder, free_kb, right)
    return subprocess.run(
        [*command, *level], env=environment, capture_output=True, text=True, check=False
    )


def stubbed(folder: Path, free_kb: int, right: bool) -> tuple[list[Path], dict[str, str]]:
    """The command and its environment. Without `right` there is no Python of a right version."""
    shutil.copy(ROOT / "setup.sh", folder)
    stubs = folder / "stubs"
    stubs.mkdir()
    disk = f"echo Filesystem 1024-blocks Used Available Capacity Mounted\necho d 9 9 {free_kb} 9 /"
    # venv is where a real set-up begins to write.
    python = f'[ "$1" = -m ] && echo venv && exit 7\nexit {int(not right)}'
    # A test installs nothing on the machine it runs on, whatever that machine lacks.
    nothing = {name: "exit 0" for name in ("apt-get", "brew", "sudo")}
    for name, body in {"df": disk, "python": python, **nothing}.items():
        (stubs / name).write_text(f"#!/bin/sh\n{body}\n")
        (stubs / name).chmod(0o755)
    return [folder / "setup.sh"], {
        **os.environ,
        "PATH": f"{stubs}:{os.environ['PATH']}",
        "PYTHON": str(stubs / "python"),
    }


def test_a_full_disk_is_one_line_before_anything_is_written(tmp_path: Path) -> None:
    result = run_setup(tmp_path, free_kb=3_700_000)
    assert result.returncode == 2
    assert result.stderr == (
        f"error: the Python packages need at least 6 GB, 3 are free in {tmp_path.resolve()}\n"
    )
    assert {f.name for f in tmp_path.iterdir()} == {"setup.sh", "stubs"}


def test_room_enough_is_no_reason_to_stop(tmp_path: Path) -> None:
    result = run_setup(tmp_path)
    assert (result.returncode, result.stdout) == (7, "venv\n"), result.stderr
    assert not (tmp_path / ".setup.lock").exists()


def test_an_interrupted_set_up_needs_room(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    assert "1 are free" in run_setup(tmp_path, free_kb=1_500_000).stderr


def test_a_wrong_python_is_one_line_before_anything_is_installed(tmp_path: Path) -> None:
    result = run_setup(tmp_path, right=False)
    said = "error: Python 3.11 or 3.12 is needed; name one with PYTHON=python3.11\n"
    assert (result.returncode, result.stdout, result.stderr) == (2, "", said)


def test_a_word_that_is_no_level_is_one_line(tmp_path: Path) -> None:
    result = run_setup(tmp_path, "devel")
    assert result.returncode == 2 and result.stderr.count("\n") == 1


def test_an_environment_that_was_moved_is_made_anew(tmp_path: Path) -> None:
    """Its programs name the folder that they were installed in."""
    (tmp_path / ".venv").mkdir()
    stamp, own = (tmp_path / ".venv" / name for name in (".installed-user", "own"))
    own.touch()
    stamp.write_text(f"{tmp_path.resolve()}\n")
    assert run_setup(tmp_path).returncode == 7 and own.exists()
    stamp.write_text("/elsewhere\n")
    shutil.rmtree(tmp_path / "stubs")
    assert run_setup(tmp_path).returncode == 7 and not own.exists()


def test_a_second_set_up_waits_for_the_first(tmp_path: Path) -> None:
    lock = tmp_path / ".setup.lock"
    lock.mkdir()
    (lock / "process").write_text(str(os.getpid()))
    command, environment = stubbed(tmp_path, 6_000_000, True)
    second = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert second.stderr
    assert f"waiting for another set-up (process {os.getpid()})" in second.stderr.readline()
    assert second.poll() is None
    shutil.rmtree(lock)
    assert second.wait(60) == 7
    lock.mkdir()
    (lock / "process").write_text("999999999")  # of a set-up that was killed
    shutil.rmtree(tmp_path / "stubs")
    assert run_setup(tmp_path).returncode == 7


def test_what_is_set_up_already_needs_no_room(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".installed-user").touch()
    result = run_setup(tmp_path, free_kb=1000)
    assert (result.returncode, result.stdout) == (7, "venv\n"), result.stderr


def test_an_environment_without_pip_is_made_anew(tmp_path: Path) -> None:
    """As an interrupted set-up leaves one: its python is there, and starts."""
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    result = run_setup(tmp_path)
    assert (result.returncode, result.stdout) == (7, "venv\n"), result.stderr
