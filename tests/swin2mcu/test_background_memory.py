"""`swin2mcu backgrounds` keeps no photo: a phone's would fill the memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
from PIL import Image

from pytorch_side.data import cutout
from swin2mcu import backgrounds
from swin2mcu.common.dataset import scan_folder

SIDE, PHOTOS = 600, 20  # of each class


def test_cut_leaves_hold_no_photo(tmp_path: Path) -> None:
    """Green squares on gray tables; two photos are kept, and of the others small masks."""
    draw = np.random.default_rng(0)
    for number, name in enumerate(("rust", "scab")):
        (tmp_path / name).mkdir()
        for i in range(PHOTOS):
            photo = draw.integers(130, 150, (SIDE, SIDE, 3)).astype(np.uint8)
            photo[200 : 400 + 5 * i, 200 : 400 + 20 * number] = (60, 140, 40)
            Image.fromarray(photo).save(tmp_path / name / f"{i}.png", compress_level=1)
    folder = scan_folder(tmp_path)
    tracemalloc.start()
    leaves, failed = backgrounds.cut_leaves(folder, "train", None, (96, 96))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(leaves) > PHOTOS and failed == 0
    assert held < len(leaves) * SIDE * SIDE * 3 / 4, "a quarter of the photos alone"
    # What is read again is what was cut.
    leaf = leaves[0]
    photo = np.asarray(Image.open(leaf.path))
    assert np.array_equal(leaf.photo, photo)
    mask = cutout.leaf_mask(photo)
    assert mask is not None and np.array_equal(leaf.mask, mask)
