"""One command at a time on a file that several commands change."""

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
    """Hold the lock of `path`: the file `.NAME.lock` beside it, which stays.

    The system ends the lock with the process that holds it, so a killed command leaves none.
    Threads of one process exclude each other too; do not nest. Raises UserError when the lock is
    not free within `timeout_s` (saying `busy`, where it is given), the folder cannot be written or
    is a published model's.
    """
    refuse_published(path)
    from filelock import FileLock, Timeout

    lock = FileLock(path.parent / f".{path.name}.lock", timeout=timeout_s)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise UserError(busy or f"another command keeps {path} locked: wait for it") from error
    except OSError as error:
        raise UserError(f"cannot lock {path}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def lock_folder(folder: Path) -> AbstractContextManager[None]:
    """For as long as a command makes the files of `folder`. Raises UserError when another one does.

    It is not waited for: what it makes would be made a second time.
    """
    busy = f"another command is writing {folder}: wait for it, or end it"
    return locked(folder / "making", timeout_s=0, busy=busy)
