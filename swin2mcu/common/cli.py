"""What all commands share: one-line errors, exit code 2, outputs that are never half-written."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import re
import select
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from rich.console import Console

# Opening a file names it in the error, reading and writing do not; these are still no bugs here.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
PIPED_WIDTH = 200
READER_GONE = 141  # as a shell counts a program that SIGPIPE ends
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # a terminal obeys these
LINE_MAX = 6000  # characters of an error: what is foreign may have any length


class _PlainConsole(Console):
    def on_broken_pipe(self) -> None:
        """Leave to run_command what rich would do by itself: exit with 1."""
        raise BrokenPipeError


def plain_console(**options: Any) -> Console:
    """A rich console that prints text as it is.

    Rich would take `[x]` in a path or in a phone's name for a style, and `:cat:` for a picture. It
    would also cut tables to 80 columns in a pipe or a log, which have no width to respect.
    """
    console = _PlainConsole(highlight=False, markup=False, emoji=False, **options)
    if not console.is_terminal and "width" not in options and "COLUMNS" not in os.environ:
        console.width = PIPED_WIDTH
    return console


# Where every command says what it does; results go to stdout.
status = plain_console(stderr=True, soft_wrap=True)


class UserError(Exception):
    """Bad input. The message says in one line what is wrong and what to do about it."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line too: argparse puts the usage before them."""

    def __init__(self, prog: str | None = None, **options: Any) -> None:
        module = getattr(sys.modules["__main__"], "__spec__", None)  # with `python -m` alone
        if prog is None and module and module.origin == sys.argv[0]:
            prog = f"python -m {module.name.removesuffix('.__main__')}"
        super().__init__(prog=prog, **options)

    def _print_message(self, message: str, file: IO[str] | None = None) -> None:  # type: ignore[override]
        accept_any_text()
        super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {_one_line(message)} (see --help)\n")


def run_command(command: Callable[[], int | None]) -> int:
    """Run `command`, turning bad input into one line on stderr and exit code 2.

    Bad input is a `UserError`, or an OSError that names its file or tells of a disk: a name too
    long, missing rights, no space. Anything else that is raised, an OSError of a socket or a closed
    file too, is a bug here and keeps its traceback. Ctrl-C exits with 130; a reader of the
    output that has hung up, as in `… | head -3`, ends the command with 141 and without a word.
    """
    accept_any_text()
    try:
        status = command() or 0
        print(end="", flush=True)  # after the return nobody would catch what the output says
        return status
    except UserError as error:
        print(f"error: {_one_line(str(error))}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        if not _reader_gone():
            raise
        _drop_output()
        return READER_GONE
    except OSError as error:
        if error.filename is None and error.errno not in DISK_ERRORS:
            raise
        what = f"{error.filename or 'a file or the output'}: {error.strerror or error}"
        print(f"error: {_one_line(what)}", file=sys.stderr)
        _drop_output()
        return 2
    except KeyboardInterrupt:
        print("interrupted; run the same command again to continue", file=sys.stderr)
        return 130


def accept_any_text() -> None:
    """Print what the output's encoding lacks as an escape.

    A terminal may know ASCII alone, and a file's name may be bytes that are no text at all.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _one_line(text: str) -> str:
    """A library's words, or a file's name, may have line ends and control characters."""
    line = CONTROL.sub(lambda found: ascii(found[0])[1:-1], " ".join(text.splitlines()))
    half = LINE_MAX // 2
    return line if len(line) <= LINE_MAX else f"{line[:half]} … {line[-half:]}"


def _reader_gone() -> bool:
    """Whether stdout or stderr has lost its reader; pipes to workers and boards break as well."""
    poll = select.poll()
    for stream in (1, 2):
        poll.register(stream, 0)  # a hang-up is told whatever is asked
    return bool(poll.poll(0))


def _drop_output() -> None:
    """Python writes what is left of stdout at its end, and would complain once more."""
    with contextlib.suppress(OSError):
        print(end="", flush=True)
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` on success, else remove it.

    A reader sees the old file or the new one, never a part of it. Raises UserError when the folder
    cannot be written (missing rights, no space).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix
        )
        os.close(handle)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    temporary = Path(name)
    try:
        yield temporary
        # Temporary files, mkstemp's and those of libraries that rename their own, may be read by
        # their owner alone; outputs get the usual rights.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` in one step: text as UTF-8, and escapes for bytes that are none."""
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
