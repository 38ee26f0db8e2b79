"""Shared by all commands: one-line errors, exit code 2, and output files written atomically."""

from __future__ import annotations

import argparse
import contextlib
import errno
import glob
import io
import os
import re
import select
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

from rich.console import Console

# An OSError from opening a file names the file; one from reading or writing does not. These codes
# mean a disk error and not a bug, although no file is named.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
PIPED_WIDTH = 200
READER_GONE = 141  # the exit code of a shell for a program that SIGPIPE ended
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # control characters of a terminal
OWN = ("swin2mcu", "pytorch_side", "tinyml", "host_tools")  # packages of this project
INSTALL = "`make setup`, or pip install -e '.[train,convert,host]',"
LINE_MAX = 6000  # characters of an error: text of libraries or files may have any length


class _PlainConsole(Console):
    def on_broken_pipe(self) -> None:
        """Do nothing: run_command handles it. rich would exit with 1."""
        raise BrokenPipeError


def plain_console(**options: Any) -> Console:
    """A rich console that prints text as it is.

    By default rich takes `[x]` in a path or a phone's name for a style, and `:cat:` for an emoji.
    In a pipe or a log it cuts tables to 80 columns, although these have no width.
    """
    console = _PlainConsole(highlight=False, markup=False, emoji=False, **options)
    if not console.is_terminal and "width" not in options and "COLUMNS" not in os.environ:
        console.width = PIPED_WIDTH
    return console


# For progress and status messages of every command, on stderr; results go to stdout.
status = plain_console(stderr=True, soft_wrap=True)


class UserError(Exception):
    """Bad input. The message says in one line what is wrong and what to do about it."""


class Parser(argparse.ArgumentParser):
    """An argument parser with one-line errors: argparse alone would print the usage first."""

    def __init__(self, prog: str | None = None, **options: Any) -> None:
        module = getattr(sys.modules["__main__"], "__spec__", None)  # only with `python -m`
        if prog is None and module and module.origin == sys.argv[0]:
            prog = f"python -m {module.name.removesuffix('.__main__')}"
        super().__init__(prog=prog, **options)

    def _print_message(self, message: str, file: IO[str] | None = None) -> None:  # type: ignore[override]
        accept_any_text()
        super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {one_line(message)} (see --help)\n")


def call_main(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> None:
    """Run another command's main function. Raises UserError if it fails; it has said why."""
    if code := main(arguments):
        raise UserError(f"{main.__module__} {' '.join(arguments)} ended with {code}")


def run_command(command: Callable[[], int | None]) -> int:
    """Run `command`, turning bad input into one line on stderr and exit code 2.

    Bad input is a `UserError`, or an OSError that names its file or reports a disk error: a name
    too long, missing rights, no space. Every other exception, also an OSError of a socket or of a
    closed file, is a bug and keeps its traceback. So is a missing module, but for one of another
    project: then an extra is not installed. Ctrl-C exits with 130. If the reader of the
    output has closed it, as in `… | head -3`, the command ends with 141 and no message.
    """
    accept_any_text()
    try:
        status = command() or 0
        print(end="", flush=True)  # here, because errors of this flush are still caught
        return status
    except UserError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
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
        print(f"error: {one_line(what)}", file=sys.stderr)
        _drop_output()
        return 2
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in OWN or not package:
            raise
        print(f"error: {package} is not installed: {INSTALL} does so", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; run the same command again to continue", file=sys.stderr)
        return 130


def accept_any_text() -> None:
    """Print characters that the output's encoding lacks as escapes.

    A terminal may support only ASCII, and a file name may contain bytes that are not valid text.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def one_line(text: str) -> str:
    """Make a text one line: messages of libraries and file names may contain control characters."""
    line = CONTROL.sub(lambda found: ascii(found[0])[1:-1], " ".join(text.splitlines()))
    half = LINE_MAX // 2
    return line if len(line) <= LINE_MAX else f"{line[:half]} … {line[-half:]}"


def _reader_gone() -> bool:
    """Whether the reader of stdout or stderr is gone; the broken pipe may also be another one."""
    if not hasattr(select, "poll"):  # Windows: no other pipes are written there
        return True
    poll = select.poll()
    for stream in (1, 2):
        poll.register(stream, 0)  # POLLHUP and POLLERR are always reported
    return bool(poll.poll(0))


def _drop_output() -> None:
    """Discard buffered output: Python would flush it at exit and report the error again."""
    with contextlib.suppress(OSError):
        print(end="", flush=True)
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` on success, else remove it.

    A reader sees the old file or the complete new one. Raises UserError when the folder
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
        # Temporary files, of mkstemp and of libraries that rename their own, can be read only by
        # their owner. Outputs get the usual rights.
        temporary.chmod(usual_rights(0o666))
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def usual_rights(mode: int) -> int:
    """`mode` without what the user's umask takes away."""
    umask = os.umask(0)
    os.umask(umask)
    return mode & ~umask


def remove_parts(path: Path) -> None:
    """Remove what killed commands left of `path` in atomic_path. Hold the lock of `path`."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*{path.suffix}"):
        part.unlink(missing_ok=True)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` atomically: text as UTF-8, with escapes for invalid characters."""
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
