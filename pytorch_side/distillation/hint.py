"""A guide: a small trained CNN whose features a network follows that starts from random weights.

The idea is Locality Guidance (Li et al. 2022, arXiv 2207.10026), for transformers on few images.
A CNN without ImageNet weights gains by it for the same reason: a feature map says at every place of
every image what to see there, a label says one thing an image.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from pytorch_side.config import Config
from pytorch_side.nets.models import Pairs, load_student, stage_width, student_features

Followed = dict[tuple[int, int], Tensor]  # (own stage, guide stage) → projected features


class Guide:
    """A finished student of ours, frozen. It sees what the network sees, at the same size."""

    def __init__(self, path: Path, pairs: Pairs) -> None:
        """Raises UserError when `path` is no finished student."""
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


def guide_of(config: Config) -> Guide | None:
    """The guide that a config names, if it names one."""
    return Guide(Path(config.guide), config.guide_pairs) if config.guide else None


def with_guide(
    losses: dict[str, Tensor],
    guide: Guide | None,
    followed: Followed,
    images: Tensor,
    weight: float,
) -> dict[str, Tensor]:
    """`losses` and what following the guide through `images` costs, added to "loss"."""
    if not guide:
        return losses
    cost = guide_loss(followed, guide.features(images))
    return {**losses, "guide": cost, "loss": losses["loss"] + weight * cost}


def guide_loss(followed: Followed, features: Mapping[int, Tensor]) -> Tensor:
    """Mean over pairs of mean((P s - g)²), s the features that follow, P a learned projection.

    `followed` holds P s, (batch, channels of g, h, w), by (own stage, guide stage). Averaging
    brings g to its grid, then each channel of it gets mean 0 and variance 1 over the batch. The
    paper leaves that out, but raw features are far larger than what a fresh projection puts out,
    and much of training goes by until it has grown. 0: all of g is there; 1: as good as none.
    """
    distances = []
    for (_, stage), own in followed.items():
        wanted = functional.adaptive_avg_pool2d(features[stage].float(), own.shape[-2:])
        wanted = functional.batch_norm(wanted, None, None, training=True)
        distances.append(functional.mse_loss(own.float(), wanted))
    return torch.stack(distances).mean()
