"""Run a program that ends when this process ends, with everything that the program started.

    python bound.py PROGRAM ARGUMENT…     (what `run_bound` starts)

A command that is killed cannot end its children. So a small process runs between the two: it waits
for the program, and when its stdin is closed (the system does that for a killed command) it ends
the program's whole process group.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence


def run_bound(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with its output as text; it does not outlive this process."""
    reading, writing = os.pipe()
    try:
        guard = subprocess.Popen(
            [sys.executable, __file__, *command],
            env=environment,
            stdin=reading,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is for the command, which then closes this stdin
        )
    finally:
        os.close(reading)
    try:
        stdout, stderr = guard.communicate()
    finally:
        os.close(writing)
        guard.wait()
    return subprocess.CompletedProcess(command, guard.returncode, stdout, stderr)


def main(command: Sequence[str]) -> int:
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def end_when_closed() -> None:
        os.read(0, 1)
        os.killpg(program.pid, signal.SIGKILL)

    threading.Thread(target=end_when_closed, daemon=True).start()
    return program.wait()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
