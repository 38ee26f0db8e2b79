"""A pretrained convolutional stem under a Swin, in place of its patch embedding.

"Early Convolutions Help Transformers See Better", Xiao et al. 2021 (arXiv 2106.14881). Here the
stem is the stages of a MobileNet or EfficientNet up to stride 16, with ImageNet weights. A small
Swin trained on ten thousand images is worse without it. Reports name the stem beside such a
teacher's accuracy.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

STRIDE = 16


class ConvStem(nn.Module):
    """timm's `embed_layer`: images (batch, 3, h, w) → tokens (batch, h / 16, w / 16, channels)."""

    def __init__(self, trunk: nn.Module, img_size: int, embed_dim: int, **_: Any) -> None:
        """`trunk` is a timm MobileNetV3 or EfficientNet; its stages up to stride 16 are kept."""
        super().__init__()
        self.conv_stem, self.bn1 = trunk.conv_stem, trunk.bn1
        strides = [int(info["reduction"]) for info in trunk.feature_info]
        last = max(i for i, stride in enumerate(strides) if stride <= STRIDE)
        stages = int(trunk.feature_info[last]["stage"])
        self.blocks = nn.Sequential(*trunk.blocks[:stages])
        self.project = nn.Conv2d(int(trunk.feature_info[last]["num_chs"]), embed_dim, 1)
        self.norm = nn.LayerNorm(embed_dim)
        self.grid_size = (img_size // STRIDE, img_size // STRIDE)
        self.patch_size = (STRIDE, STRIDE)

    def forward(self, images: Tensor) -> Tensor:
        # Depthwise convolutions are slower in bf16, and batch norm needs its statistics in float.
        with torch.autocast(images.device.type, enabled=False):
            x = self.project(self.blocks(self.bn1(self.conv_stem(images.float()))))
            return self.norm(x.permute(0, 2, 3, 1))
