"""Errors of the user are one line and exit code 2; outputs are whole or absent."""

import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest
from rich.table import Table

from swin2mcu.common import cli
from swin2mcu.common.cli import (
    Parser,
    UserError,
    atomic_path,
    plain_console,
    run_command,
    write_atomic,
)


def test_user_error_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        raise UserError("no such board; try --list")

    assert run_command(command) == 2
    assert capsys.readouterr().err == "error: no such board; try --list\n"


def test_an_error_of_several_lines_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        raise UserError("timm says:\nno such thing")

    assert run_command(command) == 2
    assert capsys.readouterr().err == "error: timm says: no such thing\n"


@pytest.mark.parametrize(
    ("name", "reason"), [("x" * 5000, "File name too long"), ("gone", "No such file or directory")]
)
def test_a_refused_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, reason: str
) -> None:
    def command() -> None:
        (tmp_path / name).stat()

    assert run_command(command) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / name}: {reason}\n"


@pytest.mark.parametrize("text", ["photos [x]/leaf.png", "[/]", "[red]Firefox[/red]", ":cat: 12"])
def test_what_is_printed_is_what_is_meant(capsys: pytest.CaptureFixture[str], text: str) -> None:
    table = Table(title=text)
    table.add_column(text)
    table.add_row(text)
    plain_console(width=60).print(text)
    plain_console(width=60).print(table)
    assert capsys.readouterr().out.count(text) == 4


def _write_where_nobody_reads() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        os.write(writing, b"x")
    finally:
        os.close(writing)


def _divide_by_zero() -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("bug", "error"),
    [
        (_divide_by_zero, ZeroDivisionError),
        (lambda: os.close(-1), OSError),
        (_write_where_nobody_reads, BrokenPipeError),  # to a worker, not to `| head`
    ],
)
def test_bugs_keep_their_traceback(bug: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        run_command(bug)


def start(command: str, stdout: int | IO[str], stderr: int) -> subprocess.Popen[str]:
    """A Python that runs `command` once a line comes on stdin."""
    code = (
        "from swin2mcu.common.cli import run_command; import sys; input(); "
        f"sys.exit(run_command({command}))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize(
    "command",
    [
        "lambda: print('short')",
        "lambda: [print('x' * 99) for _ in range(9999)] and 0",
        "lambda: print('x' * 999_999)",
        "lambda: print('progress', file=sys.stderr)",
        "lambda: __import__('swin2mcu.common.cli').common.cli.plain_console().print('x' * 99_999)",
    ],
)
@pytest.mark.parametrize("together", [False, True], ids=["stdout", "both"])
def test_a_reader_that_hangs_up_ends_the_command_quietly(command: str, together: bool) -> None:
    """As `… | head -3` does, and `… 2>&1 | head -3`."""
    program = start(command, subprocess.PIPE, subprocess.STDOUT if together else subprocess.PIPE)
    assert program.stdout
    program.stdout.close()
    program.stdout = None  # or communicate would read it
    _, said = program.communicate("\n", timeout=60)
    if "stderr" in command and not together:
        assert (said, program.returncode) == ("progress\n", 0)
    else:
        assert (said or "", program.returncode) == ("", 141)


def test_an_output_without_space_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        program = start("lambda: print('short')", full, subprocess.PIPE)
        _, said = program.communicate("\n", timeout=60)
    assert said == "error: a file or the output: No space left on device\n"
    assert program.returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [["--count", "x"], ["--nonsense\nof two lines"], ["--count"], ["look", "--far", "x"]],
)
def test_a_wrong_option_is_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    parser = Parser()
    parser.add_argument("--count", type=int)
    parser.add_subparsers().add_parser("look").add_argument("--far", type=float)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(arguments)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith("error: ")
    assert said.endswith(" (see --help)\n")
    assert said.count("\n") == 1


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


def test_a_system_without_poll_ends_quietly_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has none; a broken pipe there was a traceback."""
    monkeypatch.delattr(cli.select, "poll")

    def command() -> None:
        raise BrokenPipeError

    monkeypatch.setattr(cli, "_drop_output", lambda: None)
    assert run_command(command) == cli.READER_GONE
