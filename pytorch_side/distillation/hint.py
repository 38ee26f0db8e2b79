"""Hints (feature distillation): a network learns to match the features of a small trained CNN.

FitNets (Romero et al. 2015, arXiv 1412.6550) for CNNs; for transformers on few images the idea is
Locality Guidance (Li et al. 2022, arXiv 2207.10026). A network that starts from random weights
gains most: a feature map gives a target for every position of an image, a label only one target.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from pytorch_side.config import Hint, Pairs
from pytorch_side.nets.models import load_student, stage_width, student_features
from swin2mcu.common.cli import UserError

Hinted = dict[tuple[int, int], Tensor]  # (own stage, hint stage) → projected features


class HintNetwork:
    """A finished student, frozen. It gets the same images at the same size."""

    def __init__(self, path: Path, pairs: Pairs) -> None:
        """Raises UserError when `path` is not a finished student."""
        self.network = load_student(path)[0].requires_grad_(False)
        self.pairs = pairs
        self.stages = tuple(sorted({theirs for _, theirs in pairs}))
        self.channels = {stage: stage_width(self.network, stage) for stage in self.stages}

    @torch.no_grad()
    def features(self, images: Tensor) -> dict[int, Tensor]:
        """Stage → (batch, channels, h, w) of images (batch, 3, height, width)."""
        self.network.to(images.device, memory_format=torch.channels_last)
        with torch.autocast(images.device.type, enabled=False):  # CNNs are slower in bf16 on CPUs
            return student_features(self.network, images, self.stages)[1]


def hint_of(settings: Hint) -> HintNetwork | None:
    """The network that gives hints, if the config names one. Raises UserError without pairs."""
    if settings.init and not settings.pairs:
        raise UserError("hint.init gives hints for pairs of stages: name them as hint.pairs")
    return HintNetwork(Path(settings.init), settings.pairs) if settings.init else None


def with_hint(
    losses: dict[str, Tensor],
    network: HintNetwork | None,
    hinted: Hinted,
    images: Tensor,
    weight: float,
) -> dict[str, Tensor]:
    """`losses` with the hint loss of `images`; `weight` times it is added to "loss"."""
    if not network:
        return losses
    cost = hint_loss(hinted, network.features(images))
    return {**losses, "hint": cost, "loss": losses["loss"] + weight * cost}


def hint_loss(hinted: Hinted, features: Mapping[int, Tensor]) -> Tensor:
    """Mean over pairs of mean((P s - g)²), with own features s and a learned projection P.

    `hinted` holds P s, (batch, channels of g, h, w), by (own stage, hint stage). The hint's
    features g are averaged to this grid, then each channel is normalized to mean 0 and variance 1
    over the batch. The paper does not normalize. But raw features are far larger than the output of
    a new projection, which would need much of the training to grow to that size. A loss of 0 means
    that P s equals g; 1 means that it is no better than zeros.
    """
    distances = []
    for (_, stage), own in hinted.items():
        wanted = functional.adaptive_avg_pool2d(features[stage].float(), own.shape[-2:])
        wanted = functional.batch_norm(wanted, None, None, training=True)
        distances.append(functional.mse_loss(own.float(), wanted))
    return torch.stack(distances).mean()
