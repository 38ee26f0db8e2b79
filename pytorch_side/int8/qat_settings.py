"""The settings of QAT, and the training config that they make."""

from __future__ import annotations

from dataclasses import dataclass

from pytorch_side.config import Config, with_values
from swin2mcu.common.cli import UserError


@dataclass(frozen=True)
class QatSettings:
    """The settings of a QAT run."""

    epochs: int = 1  # 0: PTQ, only ranges are measured
    learning_rate: float = 1.5e-5  # 6e-5 loses a point on val in its first epoch
    float_epochs: int = 0  # first epochs, simulated in float: faster, but not the board's numbers
    follow_epochs: int = 0  # first epochs that update ranges; augmented images have wider ones
    images: int | None = None  # per epoch, instead of the config's int8.qat_images

    def check(self) -> None:
        """Raise UserError for impossible settings."""
        if not 0 <= self.follow_epochs <= self.float_epochs <= self.epochs:
            raise UserError(
                f"{self.epochs} epochs, {self.float_epochs} of them in float, "
                f"{self.follow_epochs} of those update ranges: none may be below 0, or more than "
                "the one before"
            )
        if not 0 < self.learning_rate < 1:
            raise UserError(f"learning rate {self.learning_rate}: it must be between 0 and 1")
        if self.images is not None and self.images < 0:
            raise UserError(f"{self.images} images: give a positive number, or 0 for all")


def qat_config(config: Config, settings: QatSettings) -> Config:
    """The float run's config, changed for a short fine-tuning on labels at a low learning rate.

    No dropout: the network only has to adapt to the int8 grid. No teacher: the legalized network
    has no stages to compare. Augmentations are new in each epoch.
    """
    images = config.int8.qat_images if settings.images is None else settings.images
    return with_values(
        config,
        {
            "optimizer.epochs": max(settings.epochs, 1),
            "optimizer.learning_rate": settings.learning_rate,
            "optimizer.warmup_epochs": min(0.5, settings.epochs / 4),
            "optimizer.weight_decay": 0.0,
            "optimizer.ema": 0.998,
            "optimizer.bf16": False,
            "student.dropout": 0.0,
            "distillation.alpha": 0.0,
            "distillation.beta": 0.0,
            "distillation.cache": "",
            "augment.cached": 0,
            "int8.qat_images": images,
        },
    )
