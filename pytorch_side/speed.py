"""Measure training speed on this machine: `python -m pytorch_side.speed --config FILE.toml`.

Times training steps on random images, without data loading, with and without bfloat16 and channels
last: which is faster depends on the network and the machine. With --cached, times epochs with
cached teacher outputs and epochs without a teacher. The share of time that training waits for data
is in every run's log.csv, as waiting_share.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_side.command import add_config, images_of
from pytorch_side.config import load_config
from pytorch_side.data.backgrounds import training_images
from pytorch_side.data.unlabeled import training_photos
from pytorch_side.distillation.teacher_store import open_teacher_cache
from swin2mcu.common.cli import Parser, UserError, run_command, write_atomic
from swin2mcu.common.paths import data_folder
from swin2mcu.common.tables import table_text


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0] if __doc__ else None)
    add_config(parser)
    parser.add_argument(
        "--teacher", action="store_true", help="time the config's teacher, not its student"
    )
    parser.add_argument(
        "--steps", type=int, default=5, help="timed steps, or epochs, of each variant"
    )
    parser.add_argument(
        "--cached",
        action="store_true",
        help="compare epochs with and without cached teacher outputs",
    )
    parser.add_argument("--data", type=Path, help="for --cached (default: $SWIN2MCU_DATA)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="also write the figures here")
    arguments = parser.parse_args(argv)

    def command() -> None:
        if arguments.steps < 1:
            raise UserError("--steps must be at least 1")
        config = load_config(arguments.config, arguments.overrides)
        from pytorch_side.distillation.cache_identity import expectation
        from pytorch_side.evaluate.training_speed import step_speeds, teacher_cache_cost
        from pytorch_side.train import machine, make_accelerator

        found: dict[str, Any] = {
            "config": arguments.config.stem if arguments.config else "",
            "network": config.teacher.name if arguments.teacher else config.student.name,
            "size": config.teacher.size if arguments.teacher else config.student.size,
            "batch": config.optimizer.batch,
            **machine(make_accelerator()),
        }
        if arguments.cached:
            folder = images_of(config, data_folder(arguments.data))
            images = training_images(training_photos(folder, config), config)
            cache = Path(config.distillation.cache)
            outputs = open_teacher_cache(cache, expectation(config, images))
            ratio = teacher_cache_cost(config, images, outputs, arguments.steps)
            found["teacher_cache_cost"] = ratio
            print(f"an epoch on cached teacher outputs costs {ratio:.3f} of one without a teacher")
        else:
            found["ways"] = step_speeds(config, arguments.teacher, arguments.steps)
            rows = [
                (
                    "channels last" if way["channels_last"] else "channels first",
                    "bfloat16" if way["bf16"] else "float32",
                    f"{way['images_per_s']:.1f}",
                )
                for way in found["ways"]
            ]
            print(table_text(["memory", "numbers", "images/s"], rows, texts=2))
        if arguments.out:
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(arguments.out, json.dumps(found, indent=2) + "\n")

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
