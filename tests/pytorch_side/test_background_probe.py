"""The background probe where val says nothing."""

from __future__ import annotations

import numpy as np

from pytorch_side.evaluate import background_probe as probe


def test_the_probe_tells_test_accuracy_where_val_has_none_right() -> None:
    """All val photos are labeled wrongly, so every epoch is as good as the first."""
    pixels = np.repeat(np.uint8([40, 200]), 20)[:, None, None, None] * np.ones(
        (1, 12, 12, 3), dtype=np.uint8
    )
    labels = np.repeat(np.int64([0, 1]), 20)
    data = {"train": (pixels, labels), "val": (pixels, 1 - labels), "test": (pixels, labels)}
    found = probe.probe(data, "eight pixels")
    assert (found["train_top1"], found["val_top1"], found["test_top1"]) == (1.0, 0.0, 1.0)
