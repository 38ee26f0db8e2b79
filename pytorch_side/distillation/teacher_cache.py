"""Cache a teacher's outputs: logits and attention maps of K augmentations of each training image.

    python -m pytorch_side.distillation.teacher_cache --config configs/large-128.toml --out DIR

An interrupted run is resumed. A finished cache is opened and not computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytorch_side.command import training_command
from pytorch_side.config import Config
from swin2mcu.common.dataset import ImageFolder


def main(argv: Sequence[str] | None = None) -> int:
    def work(config: Config, images: ImageFolder, run: Path) -> str:
        from pytorch_side.data.backgrounds import training_images
        from pytorch_side.data.unlabeled import training_photos
        from pytorch_side.distillation.fill_cache import make_teacher_cache
        from pytorch_side.distillation.train_student import check_distillation

        check_distillation(config)
        photos = training_images(training_photos(images, config), config)
        made = make_teacher_cache(photos, config, run)
        return f"{run}: {len(made.row)} images, {made.seeds.shape[1]} augmentations each"

    return training_command(__doc__, "runs/teacher_cache", work, argv, unlabeled=True)


if __name__ == "__main__":
    raise SystemExit(main())
