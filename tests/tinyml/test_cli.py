"""Errors of the user are one line and exit code 2; outputs are whole or absent."""

import os
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


def test_outputs_have_the_usual_rights_even_where_a_library_renames_its_own_file(
    tmp_path: Path,
) -> None:
    before = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "file") as temporary:
            private = tmp_path / "private"
            private.touch(mode=0o600)
            private.replace(temporary)  # as safetensors' save_file does
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
