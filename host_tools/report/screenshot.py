"""The first screen of a report as a small PNG, for a README."""

from __future__ import annotations

import io
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from host_tools.phone.chromium import chromium_command
from swin2mcu.common.bound import run_bound
from swin2mcu.common.cli import UserError, write_atomic

WIDTH, HEIGHT = 1000, 760
COLORS = 32  # a page of text and cards has few: the file stays far below 60 KB
SECONDS_MAX = 60


def screenshot(page: Path, out: Path) -> None:
    """Write `out` from the HTML file `page`. Raises UserError without Chromium, or if it fails."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        taken = Path(folder) / "page.png"
        command = [*chromium_command(folder), "--hide-scrollbars", f"--screenshot={taken}"]
        command += [f"--window-size={WIDTH},{HEIGHT}", page.resolve().as_uri()]
        try:
            done = run_bound(command, timeout_s=SECONDS_MAX)
        except subprocess.TimeoutExpired as error:
            raise UserError(f"Chromium drew no page in {SECONDS_MAX} s") from error
        if done.returncode or not taken.is_file():
            raise UserError(f"Chromium drew no page: exit code {done.returncode}")
        stream = io.BytesIO()
        with Image.open(taken) as image:
            image.convert("RGB").quantize(COLORS).save(stream, "PNG", optimize=True)
    write_atomic(out, stream.getvalue())
