"""How often each instruction of a program ran, counted by a plugin of QEMU's."""

from __future__ import annotations

import hashlib
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from host_tools.mcu.bare_metal import COUNTER, WARNINGS, Core, run, symbols
from swin2mcu.common.cli import UserError
from swin2mcu.common.paths import FIRMWARE

PLUGIN_SOURCE = COUNTER / "qemu_plugin.c"
BUILD = FIRMWARE.parent / "build" / "mcu"
CODE_BYTES = 512 * 1024  # as in machine.ld


@dataclass
class Interval:
    """What ran between one start_count and its end_count."""

    counts: Counter[int] = field(default_factory=Counter)  # address → executions
    jumps: Counter[tuple[int, int]] = field(default_factory=Counter)  # (last of one, first of next)


def profile(core: Core, program: Path) -> tuple[int, str, list[Interval]]:
    """Runs `program`: exit status, printed text, and an interval for each end_count in it."""
    addresses = symbols(program)
    record = program.with_suffix(".profile")
    arguments = {
        "out": record,
        "base": hex(core.code),
        "bytes": CODE_BYTES,
        "begin": hex(addresses["count_begins"]),
        "end": hex(addresses["end_count"] & ~1),  # bit 0 only says that it is Thumb code
    }
    plugin = ",".join([str(_plugin()), *(f"{name}={value}" for name, value in arguments.items())])
    status, text = run(core, program, arguments=("-plugin", plugin))
    if not record.is_file():
        raise UserError(
            f"QEMU did not load the counting plugin (it is for QEMU 7.2): {text.strip()}"
        )
    return status, text, parse(record.read_text())


def parse(record: str) -> list[Interval]:
    """The intervals of what firmware/counter/qemu_plugin.c writes."""
    intervals, interval = [], Interval()
    for line in record.splitlines():
        kind, *fields = line.split()
        if kind == "i":
            interval.counts[int(fields[0], 16)] = int(fields[1])
        elif kind == "e":
            interval.jumps[int(fields[0], 16), int(fields[1], 16)] = int(fields[2])
        else:
            intervals.append(interval)
            interval = Interval()
    return intervals


def _plugin() -> Path:
    """The plugin, compiled once for each version of its source."""
    name = hashlib.sha256(PLUGIN_SOURCE.read_bytes()).hexdigest()[:12]
    plugin = BUILD / f"qemu_plugin-{name}.so"
    if not plugin.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        temporary = plugin.with_suffix(".new")
        command = ["gcc", "-O2", *WARNINGS, "-shared", "-fPIC", str(PLUGIN_SOURCE), "-o"]
        subprocess.run([*command, str(temporary)], check=True)
        temporary.replace(plugin)
    return plugin
