"""Programs and workers that end when the process that started them ends, even if it is killed.

    python bound.py PROGRAM ARGUMENT…     (what `bound` and `run_bound` start)

A command that is killed cannot end its children. So a small process runs between a command and its
program: it waits for the program, and when its stdin is closed (the system does that for a killed
command) it ends the program's whole process group.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def bound(
    command: Sequence[str],
    output: int | IO[str] = subprocess.DEVNULL,
    errors: int | IO[str] = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """A program that runs in `folder`, and is killed at the end of the context at the latest."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as alive, os.fdopen(reading, "rb") as stdin:
        guard_command = [sys.executable, __file__, *command]
        with subprocess.Popen(
            guard_command,
            cwd=folder,
            env=environment,
            stdin=stdin,
            stdout=output,
            stderr=errors,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is for the command, which then closes this stdin
        ) as guard:
            try:
                yield guard
            finally:
                alive.close()


def run_bound(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    timeout_s: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with its output as text. Raises subprocess.TimeoutExpired."""
    with bound(command, subprocess.PIPE, subprocess.PIPE, environment, folder) as guard:
        stdout, stderr = guard.communicate(timeout=timeout_s)
    return subprocess.CompletedProcess(command, guard.returncode, stdout, stderr)


def end_with_parent() -> None:
    """Let this worker end with its command: the initializer of every process pool.

    A worker whose command was killed would wait for work forever.
    """
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def main(command: Sequence[str]) -> int:
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def end_when_closed() -> None:
        os.read(0, 1)
        if not hasattr(os, "killpg"):  # Windows has no groups of processes
            program.kill()
            return
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.killpg(program.pid, signal.SIGKILL)

    threading.Thread(target=end_when_closed, daemon=True).start()
    return program.wait()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
