"""A short description of this PC, which is shown beside its measurements."""

from __future__ import annotations

import os
import platform
from pathlib import Path

# Flags of /proc/cpuinfo → how wide a processor computes, the widest first. The name of a rented
# processor is often the same for several generations, of which one may be twice as fast in int8.
VECTORS = {"avx512_vnni": "AVX-512 VNNI", "avx512f": "AVX-512", "avx2": "AVX2"}


def hardware(info: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name and vector instructions, and the cores this process may use."""
    name, flags = platform.processor() or platform.machine(), []
    if info.exists():
        fields = [line.partition(":") for line in info.read_text(errors="replace").splitlines()]
        found = {key.strip(): value.strip() for key, _, value in reversed(fields)}
        name, flags = found.get("model name", name), found.get("flags", "").split()
    vectors = next((f" with {shown}" for flag, shown in VECTORS.items() if flag in flags), "")
    return f"{name}{vectors}, {os.cpu_count()} cores, {platform.system()}"
