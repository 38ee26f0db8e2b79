"""Views mixed with views of other images: mixup (Zhang et al. 2018, arXiv 1710.09412), replayable.

What a view is mixed with, and how much, is drawn from its seed, so that a teacher's answer to the
mixed image can be stored. No label says what a teacher sees in it (Beyer et al. 2022, arXiv
2106.05237).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from pytorch_side.data.augment import Pixels, ViewSettings, make_view
from pytorch_side.data.cache import DecodedImages


@dataclass(frozen=True)
class TrainView:
    """A view of one training image, perhaps mixed with one of another."""

    pixels: Pixels  # (size, size, 3)
    position: int  # of its image in the folder
    other: int  # of the image mixed in; the same where none is
    share: float  # of the other, 0 to ViewSettings.mix


def train_view(
    images: DecodedImages,
    train: npt.NDArray[np.int64],
    position: int,
    seed: int,
    settings: ViewSettings,
    size: int,
) -> TrainView:
    """The view `seed` of the image at `position`, mixed with one of those at `train`.

    The other's share is drawn evenly from 0 to `settings.mix`; 0.5 is mixup with beta(1, 1).
    """
    (view,) = make_view(images[position], seed, settings, (size,))
    if settings.mix == 0:
        return TrainView(view, position, position, 0.0)
    draw = np.random.Generator(np.random.PCG64([seed, 1]))  # apart from make_view's own
    other, other_seed = int(draw.choice(train)), int(draw.integers(2**63))
    share = settings.mix * draw.random()
    (second,) = make_view(images[other], other_seed, settings, (size,))
    mixed = cv2.addWeighted(view, 1.0 - share, second, share, 0.0)
    return TrainView(np.asarray(mixed, dtype=np.uint8), position, other, share)


def labels_of(
    views: list[TrainView], labels: npt.NDArray[np.int64], classes: int, mixed: bool
) -> Tensor:
    """(batch,) int64, or where views are mixed each class's share of a view, (batch, classes)."""
    own = torch.from_numpy(labels[[view.position for view in views]])
    if not mixed:
        return own
    others = torch.from_numpy(labels[[view.other for view in views]])
    shares = torch.tensor([[view.share] for view in views])
    one, two = (functional.one_hot(x, classes).float() for x in (own, others))
    return (1.0 - shares) * one + shares * two
