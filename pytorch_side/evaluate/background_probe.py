"""Background probe: the accuracy of a linear classifier that sees only background pixels.

On PlantVillage, eight background pixels are enough to classify half of the photos correctly, among
38 classes (arXiv 2206.04374). Compare a network's accuracy with this before you trust it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from swin2mcu.common.accuracy import standard_error
from swin2mcu.common.dataset import ImageFolder, load_split_pixels

SIZE = 64  # side of the photos, in pixels
FRAME = 4  # pixels of the border that the frame probe sees
EPOCHS = 40
BATCH = 256
DECAYS = (1e-4, 1e-2)  # strengths of the ridge penalty that are tried; the best on val is used

Split = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]  # pixels (n, h, w, 3), labels (n,)


def frame_pixels(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(n, h, w, 3) → (n, values): the outermost FRAME pixels on every side."""
    seen = np.ones(pixels.shape[1:3], dtype=bool)
    seen[FRAME:-FRAME, FRAME:-FRAME] = False
    return pixels[:, seen].reshape(len(pixels), -1)


def eight_pixels(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(n, h, w, 3) → (n, 24): the four corners and the middles of the four sides."""
    bottom, right = pixels.shape[1] - 1, pixels.shape[2] - 1
    rows = [0, 0, 0, bottom // 2, bottom // 2, bottom, bottom, bottom]
    columns = [0, right // 2, right, 0, right, 0, right // 2, right]
    return pixels[:, rows, columns].reshape(len(pixels), -1)


def all_pixels(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(n, h, w, 3) → (n, values): the whole photo, for comparison."""
    return pixels.reshape(len(pixels), -1)


REGIONS = {"eight pixels": eight_pixels, "frame": frame_pixels, "whole photo": all_pixels}


def read_pixels(folder: ImageFolder) -> dict[str, Split]:
    """Train, val and test of a folder at SIZE pixels."""
    read = {split: load_split_pixels(folder, split, SIZE) for split in ("train", "val", "test")}
    return {split: (pixels, labels) for split, (pixels, labels, _, _) in read.items()}


def probe(data: dict[str, Split], region: str, seed: int = 0) -> dict[str, Any]:
    """Fit multinomial logistic regression on one region; decay and epoch are chosen on val.

    Returns its test accuracy with the standard error, and the accuracy of always choosing the class
    that is most frequent in train.
    """
    select = REGIONS[region]
    tensors = {
        name: torch.from_numpy(select(p).astype(np.float32)) for name, (p, _) in data.items()
    }
    labels = {name: torch.from_numpy(known) for name, (_, known) in data.items()}
    mean, deviation = tensors["train"].mean(dim=0), tensors["train"].std(dim=0) + 1.0
    inputs = {name: (x - mean) / deviation for name, x in tensors.items()}
    fits = [_fit(inputs, labels, decay, seed) for decay in DECAYS]
    val, test, train = max(fits, key=lambda found: found[0])
    count = len(labels["test"])
    common = torch.bincount(labels["train"]).argmax()
    return {
        "region": region,
        "values": inputs["train"].shape[1],
        "train_top1": round(train, 5),
        "val_top1": round(val, 5),
        "test_top1": round(test, 5),
        "test_standard_error": round(standard_error(test, count), 5),
        "test_images": count,
        "majority_top1": round((labels["test"] == common).float().mean().item(), 5),
    }


def _fit(
    inputs: dict[str, Tensor], labels: dict[str, Tensor], decay: float, seed: int
) -> tuple[float, float, float]:
    """One fit → accuracy on val, test and train, after the epoch that is best on val."""
    generator = torch.Generator().manual_seed(seed)
    count, width = inputs["train"].shape
    classes = int(max(known.max() for known in labels.values())) + 1
    layer = torch.nn.Linear(width, classes)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    # Neighboring pixels are alike, so changes of their weights add up: more pixels, smaller steps.
    rate = 0.03 / max(1.0, width / 24) ** 0.5
    optimizer = torch.optim.Adam(layer.parameters(), lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    best = (-1.0, 0.0, 0.0)  # below every accuracy, so that the first epoch replaces it
    for _ in range(EPOCHS):
        for rows in torch.randperm(count, generator=generator).split(BATCH):
            loss = functional.cross_entropy(layer(inputs["train"][rows]), labels["train"][rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        with torch.inference_mode():
            right = {
                name: (layer(x).argmax(dim=1) == labels[name]).float().mean().item()
                for name, x in inputs.items()
            }
        best = max(best, (right["val"], right["test"], right["train"]), key=lambda found: found[0])
    return best
