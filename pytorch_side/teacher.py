"""Train a Swin teacher on labels, from random or given weights, with or without hints.

    python -m pytorch_side.teacher --config configs/teacher.toml --out runs/teacher

A student's config names the result, teacher.safetensors, as `teacher.init`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytorch_side.command import training_command, val_summary
from pytorch_side.config import Config
from swin2mcu.common.dataset import ImageFolder


def main(argv: Sequence[str] | None = None) -> int:
    def work(config: Config, images: ImageFolder, run: Path) -> str:
        from pytorch_side.distillation.train_teacher import train_teacher

        row = train_teacher(config, images, run)
        return f"{run}/teacher.safetensors: {val_summary(row['val_confusion'], images.classes)}"

    return training_command(__doc__, "runs/teacher", work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
