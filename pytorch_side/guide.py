"""A guide: a small trained CNN whose features a network follows that starts from random weights.

The idea is Locality Guidance (Li et al. 2022, arXiv 2207.10026), there for transformers on few
images. A CNN without ImageNet weights gains by it for the same reason: a feature map says at every
place of every image what to see there, a label says one thing an image.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from pytorch_side.models import Pairs, load_student, stage_width, student_features


class Guide:
    """A finished student of ours, frozen. It sees what the network sees, at the same size."""

    def __init__(self, path: Path, pairs: Pairs) -> None:
        """Raises UserError when `path` is no finished student."""
        self.network = load_student(path)[0].requires_grad_(False)
        self.stages = tuple(sorted({theirs for _, theirs in pairs}))
        self.channels = {stage: stage_width(self.network, stage) for stage in self.stages}

    @torch.no_grad()
    def features(self, images: Tensor) -> dict[int, Tensor]:
        """Stage → (batch, channels, h, w) of images (batch, 3, height, width)."""
        self.network.to(images.device, memory_format=torch.channels_last)
        return student_features(self.network, images, self.stages)[1]


def guide_loss(
    followed: Mapping[tuple[int, int], Tensor], features: Mapping[int, Tensor]
) -> Tensor:
    """Mean over pairs of mean((P s - g)²), s the student's features, P a learned projection.

    `followed` holds P s, (batch, channels of g, h, w), by (student stage, guide stage). Averaging
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
