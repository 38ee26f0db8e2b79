"""Two processes at the same global batch give the loss curve of one."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SWIN = """
optimizer = { epochs = 3, batch = 6, learning_rate = 1e-3 }
[teacher]
name = "swin"
size = 32
drop_path = 0.0
[teacher.arguments]
patch_size = 4
window_size = 4
embed_dim = 8
depths = [1, 2]
num_heads = [1, 2]
"""


def train(processes: int, config: Path, data: Path, run: Path) -> list[dict[str, str]]:
    """The teacher's own command in `processes` processes; the rows of its log."""
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--standalone"]
    command = [
        *([sys.executable, *launcher] if processes > 1 else [sys.executable]),
        *("-m", "pytorch_side.teacher", "--config", str(config)),
        *("--data", str(data), "--out", str(run)),
    ]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command, env=environment, cwd=root, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    with (run / "log.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_two_processes_give_the_loss_curve_of_one(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """A Swin has LayerNorm alone; without dropout and drop path only the sums' order differs."""
    (tmp_path / "swin.toml").write_text(SWIN)
    data = make_folder(images=16)
    alone = train(1, tmp_path / "swin.toml", data, tmp_path / "one")
    shared = train(2, tmp_path / "swin.toml", data, tmp_path / "two")
    assert len(alone) == len(shared) == 3
    for one, two in zip(alone, shared, strict=True):
        assert float(two["loss"]) == pytest.approx(float(one["loss"]), abs=2e-5)
        assert two["val_top1"] == one["val_top1"]
    assert float(alone[0]["loss"]) > float(alone[-1]["loss"])
