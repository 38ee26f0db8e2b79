"""Caches of teachers of random weights, and runs that say which photos they were trained on."""

from __future__ import annotations

from pathlib import Path

from pytorch_side.config import Config, with_values
from pytorch_side.data.cache import decode_images
from pytorch_side.distillation.fill_cache import make_teacher_cache
from pytorch_side.distillation.teacher_store import TeacherCache
from pytorch_side.nets.models import make_teacher
from pytorch_side.nets.weights import save_weights
from swin2mcu.common.dataset import ImageFolder
from swin2mcu.common.dataset.trained import hash_of, write_trained


def answered(
    folder: ImageFolder, config: Config, place: Path, changes: dict[str, object] | None = None
) -> TeacherCache:
    """The cache of a teacher of random weights in `place`/cache."""
    place.mkdir(exist_ok=True)
    path = place / "teacher.safetensors"
    save_weights(make_teacher(config.teacher, 3), path, {"classes": list(folder.classes)})
    config = with_values(config, {"teacher.init": str(path), **(changes or {})})
    return make_teacher_cache(decode_images(folder), config, place / "cache")


def saw(folder: ImageFolder, split: str, run: Path) -> str:
    """Let `run` have been trained on the first photo of a split, and name it."""
    file = folder.files[folder.indices(split)[0]]
    path = folder.root / file
    write_trained(run, [(hash_of(path), path.stat().st_size, "another name")], [])
    return file
