"""A lock for files that several commands change, so that they do so one at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from swin2mcu.common.cli import UserError
from swin2mcu.common.paths import refuse_published

TIMEOUT_S = 60.0  # reading, changing and renaming a file takes milliseconds


@contextlib.contextmanager
def locked(path: Path, timeout_s: float = TIMEOUT_S, busy: str = "") -> Iterator[None]:
    """Hold the lock of `path`: the file `.NAME.lock` beside it, which is never removed.

    The system releases the lock when the process that holds it ends, even if it is killed. Threads
    of one process exclude each other too; do not nest. Raises UserError when the lock is not free
    within `timeout_s` (with the message `busy`, if given), when the folder cannot be written, and
    when it belongs to a published model.
    """
    refuse_published(path)
    from filelock import FileLock, Timeout

    lock = FileLock(path.parent / f".{path.name}.lock", timeout=timeout_s)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise UserError(busy or f"another command keeps {path} locked: wait for it") from error
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"{path.parent} is a file, or lies in one: name a folder") from error
    except OSError as error:
        raise UserError(f"cannot lock {path}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def is_lock(name: str) -> bool:
    """Whether a file of this name is one that `locked` leaves."""
    return name.startswith(".") and name.endswith(".lock")


def lock_folder(folder: Path) -> AbstractContextManager[None]:
    """A lock to hold while a command writes `folder`. Raises UserError if another command has it.

    There is no waiting: the other command is already writing the same files.
    """
    busy = f"another command is writing {folder}: wait for it, or stop it"
    return locked(folder / "making", timeout_s=0, busy=busy)
