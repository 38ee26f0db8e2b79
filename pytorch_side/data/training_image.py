"""One training image from its seed: augmented, with another background or mixed with another image.

Mixup is of Zhang et al. 2018, arXiv 1710.09412. The other image and its share are drawn from the
seed too, so a teacher's outputs for the mixed image can be cached. Such outputs describe a mixed
image better than labels do (Beyer et al. 2022, arXiv 2106.05237).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from pytorch_side.config import Augment
from pytorch_side.data.augment import Pixels, augment_image
from pytorch_side.data.backgrounds import photo_of
from pytorch_side.data.cache import DecodedImages


@dataclass(frozen=True)
class TrainingImage:
    """An augmented training image; with mixup, it is blended with another augmented image."""

    pixels: Pixels  # (size, size, 3)
    position: int  # of its image in the folder
    other: int  # position of the image mixed in; the same position if there is none
    share: float  # of the other image, 0 to Augment.mixup


def training_image(
    images: DecodedImages,
    train: npt.NDArray[np.int64],
    position: int,
    seed: int,
    settings: Augment,
    size: int,
) -> TrainingImage:
    """Augment the image at `position` with `seed`, and mix in one of the images at `train`.

    Its leaf may be put on another background before: see backgrounds.py.

    The share of the other image is uniform from 0 to `settings.mixup`; 0.5 is mixup with
    beta(1, 1).
    """
    photo = photo_of(images, train, position, seed, settings)
    (augmentation,) = augment_image(photo, seed, settings, (size,))
    if settings.mixup == 0:
        return TrainingImage(augmentation, position, position, 0.0)
    draw = np.random.Generator(np.random.PCG64([seed, 1]))  # independent of augment_image's numbers
    other, other_seed = int(draw.choice(train)), int(draw.integers(2**63))
    share = settings.mixup * draw.random()
    (second,) = augment_image(images[other], other_seed, settings, (size,))
    mixed = cv2.addWeighted(augmentation, 1.0 - share, second, share, 0.0)
    return TrainingImage(np.asarray(mixed, dtype=np.uint8), position, other, share)


def labels_of(
    images: list[TrainingImage], labels: npt.NDArray[np.int64], classes: int, mixed: bool
) -> Tensor:
    """Labels, (batch,) int64; with mixup (batch, classes), the share of each class in an image."""
    own = torch.from_numpy(labels[[image.position for image in images]])
    if not mixed:
        return own
    others = torch.from_numpy(labels[[image.other for image in images]])
    shares = torch.tensor([[image.share] for image in images])
    one, two = (functional.one_hot(x, classes).float() for x in (own, others))
    return (1.0 - shares) * one + shares * two
