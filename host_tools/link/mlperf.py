"""Ask a board with MLPerf Tiny's serial commands (docs/MLPERF.md) which model it holds."""

from __future__ import annotations

import re
import time

from host_tools.link.device import DeviceSilent
from host_tools.link.line import Line


def model_prefix(line: Line, patience_s: float) -> str:
    """The first hexadecimal digits of its model's SHA-256.

    Raises DeviceSilent unless they come within `patience_s`, LineLost.
    """
    deadline = time.monotonic() + patience_s
    line.write(b"%profile%")  # the first % ends an incomplete command of an earlier program
    received = b""
    while time.monotonic() < deadline:
        received += line.read()
        if found := re.search(rb"m-model-\[([0-9a-f]{16})\]", received):
            return found[1].decode()
    raise DeviceSilent("no answer to profile%")
