"""Short descriptions of a teacher and of a training, which cards and reports show."""

from __future__ import annotations

from pathlib import Path

from pytorch_side.config import Config, read_saved_config
from pytorch_side.nets.packaged import PREFIX
from swin2mcu.common.card import TRAINING_MAX


def describe_teacher(config: Config, made: Config | None) -> str:
    """Describe a config's teacher, and the pretrained networks of its stem and its hints.

    `made`, if known, is the config that the teacher was trained with; it names those networks. The
    averaged or cross-fitted outputs of several teachers are named by their cache.
    """
    if config.several_teachers:
        return f"several teachers ({cache_name(Path(config.distillation.cache))})"
    if config.teacher.is_student:
        return f"the student {config.teacher.name}, {config.teacher.size} px"
    made = made or Config()
    sizes = config.teacher.arguments
    text = config.teacher.name.replace("swin", "Swin", 1)
    if "embed_dim" in sizes:
        text += f" {sizes['embed_dim']}"
    if "depths" in sizes:
        text += f", depths {'-'.join(str(depth) for depth in sizes['depths'])}"
    if config.teacher.stem:
        text += f", over the stages of {config.teacher.stem} to stride 16"
        text += f" as {_of(made.teacher.stem_init)} learned them" if made.teacher.stem_init else ""
    text += f", {config.teacher.size} px"
    return f"{text}, with hints from {_of(made.hint.init)}" if made.hint.init else text


def cache_name(folder: Path) -> str:
    """A folder of cached outputs, named by its run if it lies in one."""
    return (folder.parent if folder.name == "teacher_cache" else folder).name


def describe_training(config: Config) -> str:
    """Describe how a student is trained, in one line for its card."""
    student, settings, augment = config.student, config.distillation, config.augment
    start = "random weights"
    if student.pretrained:
        start = "timm's pretrained weights"
    if student.init:
        start = f"the weights of {_of(student.init)}"
    if student.selected_from:
        start = f"evenly chosen channels of {student.selected_from} ({start})"
    taught = "labels alone"
    if settings.used:
        parts = {"logits": settings.alpha, "attention": settings.beta}
        taught = f"labels and the {' and '.join(k for k, share in parts.items() if share)} of "
        weights = Path(config.teacher.init) if config.teacher.init else None
        taught += describe_teacher(config, saved_beside(weights))
        taught += f" (alpha {settings.alpha:g}, beta {settings.beta:g})"
    text = f"{config.optimizer.epochs} epochs on {taught}, from {start}"
    if config.hint.init:
        text += f", with hints from {_of(config.hint.init)}"
    if augment.backgrounds:
        text += f"; {augment.backgrounds:.0%} of the leaves on backgrounds of other classes"
    # A file's name may hold anything.
    return "".join(c if c.isprintable() else "?" for c in text)[:TRAINING_MAX]


def saved_beside(weights: Path | None) -> Config | None:
    """The config.json beside a weight file, if there is one."""
    path = weights.with_name("config.json") if weights else None
    return read_saved_config(path) if path and path.is_file() else None


def _of(path: str) -> str:
    """The name of the run that a weight file belongs to, or else of the file or the package."""
    if path.startswith(PREFIX):
        return path.removeprefix(PREFIX)
    file = Path(path)
    return file.parent.name if file.stem in ("student", "teacher") else file.stem
