"""Errors of the user are one line and exit code 2; outputs are whole or absent."""

from pathlib import Path

import pytest

from tinyml.cli import UserError, atomic_path, run_command, write_atomic


def test_user_error_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        raise UserError("no such board; try --list")

    assert run_command(command) == 2
    assert capsys.readouterr().err == "error: no such board; try --list\n"


def test_bugs_keep_their_traceback() -> None:
    def command() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(command)


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_atomic(path, "old")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_no_space_is_a_user_error(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_atomic(path, "old")
    with pytest.raises(UserError, match="No space left"), atomic_path(path):
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unwritable_folder_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_atomic(tmp_path / "file" / "below.json", "x")
