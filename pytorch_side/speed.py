"""How fast a config trains here: `python -m pytorch_side.speed --config configs/teacher.toml`.

Whole training steps on random images, no data loading: bfloat16 or not, channels last or not. What
pays for one network costs another, and one machine differs from the next. How long training waits
for its data is in every run's log.csv, as waiting_share.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from pytorch_side.config import Config, load_config
from pytorch_side.models import make_student, make_teacher
from tinyml.cli import UserError, run_command

CLASSES = 10  # of the images that there are not


def measure(config: Config, teacher: bool, steps: int) -> list[dict[str, Any]]:
    """Images a second of each way of training, the ways taking turns so that they share noise."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = config.teacher_size if teacher else config.student_size
    images = torch.randn(config.batch, 3, size, size, device=device)
    labels = torch.randint(CLASSES, (config.batch,), device=device)
    ways = []
    for last, bf16 in itertools.product((False, True), repeat=2):
        form = torch.channels_last if last else torch.contiguous_format
        model = (make_teacher if teacher else make_student)(config, CLASSES)
        model = model.to(device, memory_format=form).train()
        ways.append((last, bf16, model, torch.optim.AdamW(model.parameters())))
    seconds: dict[tuple[bool, bool], list[float]] = {}
    for number in range(steps + 1):
        for last, bf16, model, optimizer in ways:
            form = torch.channels_last if last else torch.contiguous_format
            spent = _step(model, optimizer, images.to(memory_format=form), labels, bf16)
            if number:  # the first step warms up
                seconds.setdefault((last, bf16), []).append(spent)
    return [
        {
            "channels_last": last,
            "bf16": bf16,
            "images_per_s": len(images) / statistics.median(spent),
        }
        for (last, bf16), spent in seconds.items()
    ]


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
    bf16: bool,
) -> float:
    start = time.perf_counter()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        loss = functional.cross_entropy(model(images).float(), labels)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    loss.item()  # waits for a GPU
    return time.perf_counter() - start


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--teacher", action="store_true", help="the config's teacher, not student")
    parser.add_argument("--steps", type=int, default=5, help="timed ones, of each way")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)

    def command() -> None:
        if arguments.steps < 1:
            raise UserError("--steps must be at least 1")
        config = load_config(arguments.config, arguments.overrides)
        found = measure(config, arguments.teacher, arguments.steps)
        if arguments.json:
            print(json.dumps(found))
            return
        for way in found:
            memory = "channels last" if way["channels_last"] else "channels first"
            kind = "bfloat16" if way["bf16"] else "float32"
            print(f"{memory:15} {kind:9} {way['images_per_s']:8.1f} images/s")

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
