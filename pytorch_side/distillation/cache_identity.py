"""What a cache of teacher outputs must have been made for: images, augmentations, teacher."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pytorch_side.config import Config
from pytorch_side.data.augment import augmentation_seed
from pytorch_side.data.cache import DecodedImages
from pytorch_side.data.photos import photos_digest
from pytorch_side.data.training_image import training_image
from pytorch_side.distillation.teacher_store import read_about, split_digest
from swin2mcu.common.card import sha256_of
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import spread

SAMPLED = 16  # images whose pixels are checked when a cache is opened


def cache_folder(config: Config, run: Path) -> Path:
    """Where a run's cached teacher outputs lie; older versions called it knowledge/."""
    if config.distillation.cache:
        return Path(config.distillation.cache)
    older = run / "knowledge"
    return older if older.is_dir() else run / "teacher_cache"


def stages_of(config: Config) -> tuple[int, ...]:
    """The teacher stages whose maps a config compares."""
    return tuple(sorted({teacher for _, teacher in config.distillation.attention_pairs}))


def expectation(config: Config, images: DecodedImages) -> dict[str, Any]:
    """The description that a cache for this config and these images must have."""
    folder = images.folder
    files = [folder.files[i] for i in folder.indices("train")]
    teacher = _expected_teacher(config)
    # Existing caches have these keys: a new name would make them unusable.
    return {
        "split": split_digest(files),
        "classes": list(folder.classes),
        **teacher,
        "views": {
            "count": config.augment.cached,
            "seed": config.augment.seed,
            "area_min": config.augment.area_min,
            "aspect": config.augment.aspect,
            "colour": config.augment.color,
            "any_angle": config.augment.any_angle,
            "mix": config.augment.mixup,
            # Older caches lack it.
            **({"backgrounds": share} if (share := config.augment.backgrounds) else {}),
        },
        **({"crop": config.data.crop} if config.data.crop else {}),
        "map": {
            "kind": config.distillation.attention_map,
            "stages": list(stages_of(config)),
            "grid_max": config.distillation.attention_grid,
        },
        "pixels": _pixel_sample(config, images, teacher["teacher input"]["size"]),
        "photos": photos_digest(folder, "train"),
    }


def _expected_teacher(config: Config) -> dict[str, Any]:
    """What a cache must say about its teacher.

    If the config names no teacher, whatever the cache says is accepted: an ensemble or cross-fitted
    teachers have no single weight file.
    """
    if config.teacher.init:
        return {
            "teacher": sha256_of(Path(config.teacher.init)),
            "teacher views": config.distillation.flips,
            "teacher input": {
                "kind": config.teacher.input,
                "size": config.teacher.size,
                "bf16": config.distillation.bf16,
            },
        }
    about = read_about(Path(config.distillation.cache)) if config.distillation.cache else {}
    try:
        size = about["teacher input"]["size"]
        known = {key: about[key] for key in ("teacher", "teacher input")}
    except (KeyError, TypeError):
        size = known = None
    if not isinstance(size, int) or known is None:
        raise UserError(
            "teacher.init is empty: name the teacher's .safetensors in the config, or a finished "
            "cache as distillation.cache"
        )
    return known


def _pixel_sample(config: Config, images: DecodedImages, size: int) -> str:
    """A digest of one augmentation of a few images.

    It changes if a library computes other pixels: then cached outputs would not belong to the
    images that the student sees. Changed photos are detected by "photos".
    """
    positions = images.folder.indices("train")
    digest = hashlib.sha256()
    for position in positions[spread(len(positions), SAMPLED)]:
        seed = augmentation_seed(config.augment.seed, images.folder.files[position], 0)
        settings = config.augment
        digest.update(
            training_image(images, positions, int(position), seed, settings, size).pixels.tobytes()
        )
    return digest.hexdigest()[:16]
