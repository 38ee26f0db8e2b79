"""Many short trainings: one thread each. And images with a teacher that is not trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pytorch_side.config import Config, with_values
from pytorch_side.data.cache import DecodedImages, decode_images
from pytorch_side.nets.models import make_teacher
from pytorch_side.nets.weights import save_weights
from swin2mcu.common.dataset import scan_folder

torch.set_num_threads(1)


@pytest.fixture
def cached(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config], tmp_path: Path
) -> tuple[DecodedImages, Config]:
    """Images, and a config that names an untrained teacher for them."""
    torch.manual_seed(0)
    images = decode_images(scan_folder(make_folder()))
    config = tiny_config({"distillation.alpha": 0.5, "distillation.beta": 0.1, "augment.cached": 3})
    teacher = make_teacher(config.teacher, 3)
    path = tmp_path / "teacher.safetensors"
    save_weights(teacher, path, {"classes": list(images.folder.classes)})
    return images, with_values(config, {"teacher.init": str(path)})
