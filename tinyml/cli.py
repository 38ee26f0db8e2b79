"""What all commands share: one-line errors, exit code 2, outputs that are never half-written."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


class UserError(Exception):
    """Bad input. The message says in one line what is wrong and what to do about it."""


def run_command(command: Callable[[], int | None]) -> int:
    """Run `command`, turning a `UserError` into one line on stderr and exit code 2.

    Anything else that is raised is a bug of ours and keeps its traceback; Ctrl-C exits with 130.
    """
    try:
        return command() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130


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
    """Write `content` to `path` in one step (text as UTF-8)."""
    data = content.encode() if isinstance(content, str) else content
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
