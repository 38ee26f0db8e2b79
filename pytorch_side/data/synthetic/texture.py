"""Smooth random fields and the few image operations that leaves and tables share."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from pytorch_side.data.synthetic.shape import Field


def noise(rng: np.random.Generator, size: int, cells: int) -> Field:
    """(size, size) smooth noise, mean about 0, standard deviation about 1, `cells` bumps a side."""
    grid = rng.standard_normal((cells + 2, cells + 2), dtype=np.float32)
    large = Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(large, dtype=np.float32)


def blur(field: Field, radius_px: float) -> Field:
    """Gaussian blur of values 0…1 (8 bits are enough for what is blurred here)."""
    gray = Image.fromarray((field * np.float32(255.0)).astype(np.uint8))
    soft = gray.filter(ImageFilter.GaussianBlur(radius_px))
    return np.asarray(soft, dtype=np.float32) / np.float32(255.0)


def ramp(field: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, linear in between."""
    return np.clip((field - np.float32(low)) / np.float32(high - low), 0.0, 1.0)


def mix(picture: Field, color: tuple[float, float, float] | Field, amount: Field) -> Field:
    """Blend a color (or a picture) into a (size, size, 3) picture; `amount` is its share, 0…1."""
    change = np.asarray(color, dtype=np.float32) - picture
    change *= amount[..., None]
    change += picture
    return change
