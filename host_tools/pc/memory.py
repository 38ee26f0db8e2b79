"""Peak memory of one backend in a process of its own.

python -m host_tools.pc.memory FOLDER TARGET THREADS WORK     (what bench_pc.py starts)
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil

from host_tools.inputs import Model, load_model
from swin2mcu.common.cli import run_command
from swin2mcu.common.paths import ROOT

RUNS = 3  # the first allocates; the others show whether later ones allocate more
TIMEOUT_S = 300


def measure_in_fresh_process(model: Model, target: str, threads: int, work: Path) -> dict[str, int]:
    """peak_rss_bytes of a process that only runs `target`, and baseline_rss_bytes without it.

    The difference is what runtime and model cost; the baseline is Python with numpy. Empty when the
    process failed.
    """
    command = [sys.executable, "-m", "host_tools.pc.memory"]
    command += [str(model.folder.resolve()), target, str(threads), str(work.resolve())]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
        )
        measured = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, ValueError, IndexError):
        return {}
    return {key: int(value) for key, value in measured.items()}


def peak_rss_bytes() -> int:
    """The high-water mark of this process.

    Linux's ru_maxrss is no use: a child inherits its parent's mark through exec.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):  # Windows
        return int(memory.peak_wset)
    import resource

    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # macOS: bytes


def main(argv: Sequence[str] | None = None) -> int:
    folder, target, threads, work = sys.argv[1:] if argv is None else argv
    return run_command(lambda: _measure(folder, target, int(threads), Path(work)))


def _measure(folder: str, target: str, threads: int, work: Path) -> None:
    from host_tools.pc.backends import all_backends

    model = load_model(folder)
    backend = next(c for c in all_backends(model, work, threads) if c.target == target)
    baseline = psutil.Process().memory_info().rss
    runner = backend.load(threads)
    values = runner.prepare(np.full((backend.size, backend.size, 3), 128, np.uint8))
    for _ in range(RUNS):
        runner.run(values)
    print(json.dumps({"peak_rss_bytes": peak_rss_bytes(), "baseline_rss_bytes": baseline}))


if __name__ == "__main__":
    raise SystemExit(main())
