"""A teacher in a few words, wherever its number stands."""

from __future__ import annotations

from pathlib import Path

from pytorch_side.config import Config, read_saved_config


def describe_teacher(config: Config, weights: Path | None) -> str:
    """What a config's teacher is, and what it owes a network that knew more: its stem, its hint.

    Whose stem and which hint the config.json beside its `weights` says, where there is one.
    """
    sizes = config.teacher.arguments
    text = config.teacher.name.replace("swin", "Swin", 1)
    if "embed_dim" in sizes:
        text += f" {sizes['embed_dim']}"
    if "depths" in sizes:
        text += f", depths {'-'.join(str(depth) for depth in sizes['depths'])}"
    own = weights.with_name("config.json") if weights else None
    made = read_saved_config(own) if own and own.is_file() else Config()
    if config.teacher.stem:
        text += f", over the stages of {config.teacher.stem} to stride 16"
        text += f" as {_of(made.teacher.stem_init)} learned them" if made.teacher.stem_init else ""
    text += f", {config.teacher.size} px"
    return f"{text}, with hints from {_of(made.hint.init)}" if made.hint.init else text


def _of(path: str) -> str:
    """The run that a weight file belongs to, or the file where it is of none."""
    file = Path(path)
    return file.parent.name if file.stem in ("student", "teacher") else file.stem
