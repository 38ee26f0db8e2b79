"""Translation of older configs, which were one flat record: the new name of each key."""

from __future__ import annotations

from typing import Any

MOVED: dict[str, tuple[str, ...]] = {
    "view_seed": ("augment.seed",),
    "student": ("student.name",),
    "student_size": ("student.size",),
    "student_init": ("student.init",),
    "teacher": ("teacher.name",),
    "teacher_arguments": ("teacher.arguments",),
    "teacher_stem": ("teacher.stem",),
    "teacher_stem_init": ("teacher.stem_init",),
    "teacher_size": ("teacher.size",),
    "teacher_init": ("teacher.init",),
    "teacher_input": ("teacher.input",),
    "pretrained": ("student.pretrained", "teacher.pretrained"),
    "views": ("augment.cached",),
    "view_area_min": ("augment.area_min",),
    "view_aspect": ("augment.aspect",),
    "view_colour": ("augment.color",),
    "view_any_angle": ("augment.any_angle",),
    "view_mix": ("augment.mixup",),
    "split": ("data.split",),
    "split_seed": ("data.split_seed",),
    "val_share": ("data.val_share",),
    "test_share": ("data.test_share",),
    "group_by": ("data.group_by",),
    "test_group": ("data.test_group",),
    "dropout": ("student.dropout",),
    "drop_path": ("teacher.drop_path",),
    "teacher_views": ("distillation.flips",),
    "teacher_bf16": ("distillation.bf16",),
    "knowledge": ("distillation.cache",),
    "guide": ("hint.init",),
    "guide_weight": ("hint.weight",),
    "guide_pairs": ("hint.pairs",),
    "qat_images": ("int8.qat_images",),
    **{
        name: (f"optimizer.{name}",)
        for name in (
            *("epochs", "batch", "learning_rate", "warmup_epochs", "weight_decay", "clip_norm"),
            *("label_smoothing", "ema", "bf16"),
        )
    },
    **{
        name: (f"distillation.{name}",)
        for name in (
            *("alpha", "temperature", "logit_loss", "beta", "attention_map", "attention_formula"),
            *("attention_pairs", "alignment", "attention_grid"),
        )
    },
}


def moved(key: str) -> str:
    """The new name of an old key; "" for any other key."""
    return " and ".join(MOVED.get(key, ()))


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Sort a flat record's values into today's tables. Unknown keys are kept and refused later."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key not in MOVED:
            found[key] = value
        for name in MOVED.get(key, ()):
            section, _, field = name.partition(".")
            found.setdefault(section, {})[field] = value
    return found
