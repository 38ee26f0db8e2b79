"""Images that no camera took, for tests that need pixels of any kind."""

from __future__ import annotations

import numpy as np

SIZE, CLASSES = 64, ("blight", "healthy", "mold")


def pixels(count: int, seed: int = 0, size: int = SIZE) -> np.ndarray:
    """Images of colored blotches, (count, size, size, 3) uint8."""
    draw = np.random.default_rng(seed)
    rough = draw.integers(0, 256, (count, size // 8, size // 8, 3))
    fine = draw.integers(-40, 40, (count, size, size, 3))
    whole = rough.repeat(8, axis=1).repeat(8, axis=2) + fine
    return whole.clip(0, 255).astype(np.uint8)
