"""A headless Chromium on the PC instead of a phone.

What it measures is the phone's page on a PC: its targets are of kind "pc" and say so.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

from swin2mcu.common.bound import bound
from swin2mcu.common.cli import UserError

ADDRESS = "127.0.0.1"  # nobody else has to reach the page
START = "#start"  # tells the page to begin without a tap
NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--ignore-certificate-errors",  # the only page it opens is the one served here
)


def chromium_command(profile: str) -> list[str]:
    """How a headless Chromium of the profile in that folder is started; UserError without one."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        raise UserError(f"none of {', '.join(NAMES)} is installed: apt install chromium")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # root needs --no-sandbox
    return [program, *OPTIONS, *sandbox, f"--user-data-dir={profile}"]


@contextlib.contextmanager
def headless_chromium(url: str) -> Iterator[subprocess.Popen[str]]:
    """A Chromium of its own profile that opens `url` and starts at once; gone at the end.

    It ends too when this process is killed.
    """
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        bound([*chromium_command(profile), url + START]) as process,
    ):
        yield process
