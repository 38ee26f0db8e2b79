"""A student on new augmentations learns from the mean of a photo's cached logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pytorch_side.config import Config, with_values
from pytorch_side.data.cache import DecodedImages
from pytorch_side.data.loader import TrainBatches
from pytorch_side.distillation.fill_cache import make_teacher_cache
from pytorch_side.distillation.train_student import distill
from swin2mcu.common.cli import UserError


@pytest.mark.parametrize("cycle", [1, 3])
def test_new_augmentations_have_the_mean_of_a_photos_answers(
    cached: tuple[DecodedImages, Config], tmp_path: Path, cycle: int
) -> None:
    images, config = cached
    values = {"distillation.beta": 0.0, "augment.cached": cycle}
    made = make_teacher_cache(images, with_values(config, values), tmp_path / "cache")
    config = with_values(config, {**values, "distillation.consistent": False})
    size = config.student.size
    alone = with_values(config, {"augment.cached": 0})
    pictures = set()
    for epoch in range(4):
        taught = list(TrainBatches(images, config, size, made).epoch(epoch))
        for batch, same in zip(taught, TrainBatches(images, alone, size).epoch(epoch), strict=True):
            assert torch.equal(batch.images, same.images), "as without a teacher"
            assert batch.teacher_maps == {} and batch.teacher_logits is not None
            pictures |= {image.numpy().tobytes() for image in batch.images}
            for file, logits in zip(batch.files, batch.teacher_logits, strict=True):
                own = made.logits[made.row[file]].astype(np.float32)
                assert np.allclose(logits, own.mean(axis=0), atol=1e-6)
    assert len(pictures) > cycle * len(images.folder.indices("train"))
    assert float(distill(config, images.folder, tmp_path / "run")["logit"]) > 0


@pytest.mark.parametrize("key", ["distillation.beta", "augment.mixup"])
def test_what_belongs_to_one_augmentation_is_refused_before_the_teacher_answers(
    cached: tuple[DecodedImages, Config], tmp_path: Path, key: str
) -> None:
    images, config = cached
    values = {"distillation.beta": 0.0, "distillation.consistent": False, key: 0.1}
    with pytest.raises(UserError, match=f"consistent = false needs {key} = 0"):
        distill(with_values(config, values), images.folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()
