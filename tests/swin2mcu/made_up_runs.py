"""An experiment's table and runs, without training: the files that reports read."""

from __future__ import annotations

import json
from pathlib import Path

from pytorch_side.config import Config, to_dict

TABLE = """
title = "Gain"
seeds = [0, 1]
baseline = "plain"
[[rows]]
name = "plain"
config = "plain.toml"
run = "plain"
[[rows]]
name = "distilled"
config = "distilled.toml"
run = "distilled"
"""


def write_run(folder: Path, config: Config, values: list[float]) -> None:
    """The files a run leaves behind, with the given val accuracies."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(to_dict(config)))
    lines = ["epoch,val_top1,seconds,waiting_share"]
    lines += [f"{i + 1},{v},36.0,{0.05 * (i + 1)}" for i, v in enumerate(values)]
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
