"""How a teacher's outputs are rounded for the cache."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional


def pack_logits(logits: Tensor) -> npt.NDArray[np.float16]:
    """(batch, classes) → float16: 3 decimal digits, which is more precise than a teacher is."""
    return logits.float().clamp(-65504, 65504).cpu().numpy().astype(np.float16)


def pack_maps(maps: Tensor, grid_max: int) -> npt.NDArray[np.uint8]:
    """(batch, h, w) ≥ 0 → uint8 on a grid no finer than `grid_max`, each map's maximum at 255."""
    grid = (min(grid_max, maps.shape[1]), min(grid_max, maps.shape[2]))
    small = functional.adaptive_avg_pool2d(maps.float()[:, None], grid)[:, 0]
    top = small.flatten(1).amax(dim=1).clamp_min(1e-12)
    return (small / top[:, None, None] * 255).round().to(torch.uint8).cpu().numpy()
