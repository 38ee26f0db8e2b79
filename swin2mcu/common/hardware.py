"""A short description of this PC, which is shown beside its measurements."""

from __future__ import annotations

import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# Its flags → how wide a processor computes, the widest first. The name of a rented
# processor is often the same for several generations, of which one may be twice as fast in int8.
VECTORS = {"avx512_vnni": "AVX-512 VNNI", "avx512f": "AVX-512", "avx2": "AVX2"}


def hardware(info: Path = CPUINFO) -> str:
    """The processor's name and vector instructions, and the cores this process may use."""
    flags = _first_processor(info).get("flags", "").split()
    vectors = next((f" with {shown}" for flag, shown in VECTORS.items() if flag in flags), "")
    return f"{processor_name(info)}{vectors}, {os.cpu_count()} cores, {platform.system()}"


def processor_name(info: Path = CPUINFO) -> str:
    """The processor's name as Linux knows it, elsewhere as Python does."""
    named = platform.processor() or platform.machine()
    return _first_processor(info).get("model name", named)


def _first_processor(info: Path) -> dict[str, str]:
    """The fields of the first processor in /proc/cpuinfo; none where there is no such file."""
    if not info.exists():
        return {}
    fields = [line.partition(":") for line in info.read_text(errors="replace").splitlines()]
    return {key.strip(): value.strip() for key, _, value in reversed(fields)}
