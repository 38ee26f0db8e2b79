"""Train a MobileNetV3 student on labels, or also on a Swin's logits and attention maps.

    python -m pytorch_side.distill --config configs/small-96.toml --out runs/small-96

With `distillation.alpha` or `beta` above 0 the teacher's outputs are cached before training. Then
photos without a label are trained on too: those of the data set, and of `--unlabeled FOLDER`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytorch_side.command import training_command, val_summary
from pytorch_side.config import Config
from swin2mcu.common.dataset import ImageFolder


def main(argv: Sequence[str] | None = None) -> int:
    def work(config: Config, images: ImageFolder, run: Path) -> str:
        from pytorch_side.distillation.train_student import distill

        row = distill(config, images, run)
        return f"{run}/student.safetensors: {val_summary(row['val_confusion'], images.classes)}"

    return training_command(__doc__, "runs/student", work, argv, unlabeled=True)


if __name__ == "__main__":
    raise SystemExit(main())
