"""Mixed augmentations: replayable, counted in shares, and the same for a teacher and a student."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytorch_side.config import Augment, Config, Distillation, with_values
from pytorch_side.data.augment import augment_image
from pytorch_side.data.cache import DecodedImages, decode_images
from pytorch_side.data.loader import TrainBatches
from pytorch_side.data.training_image import TrainingImage, labels_of, training_image
from pytorch_side.distillation.losses import dkd_loss, hybrid_loss
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import scan_folder

PLAIN = Augment()
MIXED = Augment(mixup=0.5)


@pytest.fixture
def images(make_folder: Callable[..., Path]) -> DecodedImages:
    return decode_images(scan_folder(make_folder()))


def test_an_image_without_mixup_is_its_augmentation(images: DecodedImages) -> None:
    train = images.folder.indices("train")
    position = int(train[2])
    made = training_image(images, train, position, 7, PLAIN, 24)
    assert (made.pixels == augment_image(images[position], 7, PLAIN, (24,))[0]).all()
    assert (made.position, made.other, made.share) == (position, position, 0.0)


def test_a_mixed_image_is_its_seed_at_any_size(images: DecodedImages) -> None:
    train = images.folder.indices("train")
    position = int(train[2])
    shares, others = [], set()
    for seed in range(200):
        made = training_image(images, train, position, seed, MIXED, 24)
        again = training_image(images, train, position, seed, MIXED, 24)
        assert (made.pixels == again.pixels).all()
        larger = training_image(images, train, position, seed, MIXED, 40)
        assert larger.pixels.shape == (40, 40, 3)
        assert (larger.other, larger.share) == (made.other, made.share)
        shares.append(made.share)
        others.add(made.other)
    # Evenly from 0 to a half; every training image, and none of another split.
    assert 0 <= min(shares) < 0.02
    assert 0.48 < max(shares) <= 0.5
    assert 0.22 < np.mean(shares) < 0.28
    assert others == set(train.tolist())


def test_its_pixels_are_the_two_images_in_their_shares() -> None:
    """Of a dark and a bright image: 10 + share · 200."""
    flat: Any = [np.full((8, 8, 3), level, dtype=np.uint8) for level in (10, 210)]
    still = Augment(area_min=1.0, aspect=0.0, color=0.0, any_angle=0.0, mixup=0.5)
    for seed in range(50):
        made = training_image(flat, np.array([0, 1]), 0, seed, still, 8)
        expected = 10 + 200 * made.share * (made.other == 1)
        assert np.abs(made.pixels - expected).max() <= 0.501


def test_labels_are_shares() -> None:
    pixels = np.zeros((1, 1, 3), dtype=np.uint8)
    labels = np.array([2, 0, 1], dtype=np.int64)
    augmentations = [TrainingImage(pixels, 0, 1, 0.25), TrainingImage(pixels, 2, 2, 0.5)]
    assert labels_of(augmentations, labels, 3, False).tolist() == [2, 1]
    assert labels_of(augmentations, labels, 3, True).tolist() == [[0.25, 0, 0.75], [0, 1, 0]]


def test_batches_mix_and_say_so(images: DecodedImages, tiny_config: Callable[..., Config]) -> None:
    config = tiny_config({"augment.mixup": 0.5})
    plain, mixed = (
        next(TrainBatches(images, c, 32).epoch(0))
        for c in (with_values(config, {"augment.mixup": 0.0}), config)
    )
    assert plain.files == mixed.files
    assert plain.labels.shape == (6,)
    assert mixed.labels.shape == (6, 3)
    assert torch.allclose(mixed.labels.sum(dim=1), torch.ones(6))
    # An augmentation is more of its own image than of another: at least half of it.
    own = mixed.labels[torch.arange(6), plain.labels]
    assert (own >= 0.5).all()
    assert (own < 1).any()
    assert not torch.equal(plain.images, mixed.images)


def test_a_part_of_the_images_is_mixed_as_the_whole_is(
    images: DecodedImages, tiny_config: Callable[..., Config]
) -> None:
    """Or stored answers would be replayed on other pixels in an epoch of fewer images."""

    def replayed(limit: int | None) -> dict[str, bytes]:
        batches = TrainBatches(
            images, tiny_config({"augment.mixup": 0.5, "optimizer.batch": 2}), 32, limit=limit
        )
        return {
            file: pixels.numpy().tobytes()
            for batch in batches.epoch(0)
            for file, pixels in zip(batch.files, batch.images, strict=True)
        }

    whole, part = replayed(None), replayed(6)
    assert len(part) == 6 < len(whole)
    assert all(whole[file] == pixels for file, pixels in part.items())


def test_cross_entropy_of_shares_by_hand() -> None:
    """-(¾ ln ½ + ¼ ln ¼) for logits that say (½, ¼, ¼)."""
    logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    loss = hybrid_loss(logits, torch.tensor([[0.75, 0.25, 0.0]]), Distillation(), 0.0)["loss"]
    assert loss.item() == pytest.approx(-(0.75 * np.log(0.5) + 0.25 * np.log(0.25)))


def test_what_cannot_be_mixed_is_refused() -> None:
    for share in (0.6, -0.1):
        with pytest.raises(UserError, match=r"augment\.mixup is"):
            with_values(Config(), {"augment.mixup": share})
    logits = torch.zeros(1, 3)
    with pytest.raises(UserError, match="dkd"):
        dkd_loss(logits, logits, torch.tensor([[0.75, 0.25, 0.0]]), 1.0)
