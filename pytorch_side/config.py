"""One frozen record of every choice a run makes; an experiment is a small TOML file of differences.

    base = "small-96.toml"     # optional: start from that file (a path beside this one)
    beta = 0.0                 # any field of Config

`--set key=value` on the command line comes last and wins.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from swin2mcu.common.card import SPLIT_KINDS, SplitRule
from swin2mcu.common.cli import UserError, write_atomic


@dataclass(frozen=True)
class Config:
    """Every choice of a run, with why its default is what it is."""

    seed: int = 0  # of the weights, the order and dropout
    view_seed: int = 0  # its own, so that runs with other seeds can share stored knowledge

    # Networks
    student: str = "tf_mobilenetv3_small_100"  # any timm tf_mobilenetv3_*
    student_size: int = 96  # 96…160 fits boards with 256 KB…512 KB of RAM
    student_init: str = ""  # weights to start from: 5 points over random ones on 12,000 leaves
    teacher: str = "swin_large_patch4_window7_224"  # any timm Swin; "swin" takes teacher_arguments
    teacher_arguments: dict[str, Any] = field(default_factory=dict)  # of timm's SwinTransformer
    teacher_stem: str = ""  # a timm MobileNetV3 whose stages to stride 16 replace patch embedding
    teacher_stem_init: str = ""  # its weights; the point of a stem is that they are pretrained
    teacher_size: int = 224  # what the teacher's windows are made for
    teacher_init: str = ""  # weights to start from, or of the finished teacher when distilling
    teacher_input: str = "half"  # its weights expect "half": (p - 127.5) / 127.5, or "imagenet"
    pretrained: bool = False  # timm's own weights; asks for the network

    # Views: what a training image may look like
    views: int = 0  # cached views an image has (knowledge); 0 = a fresh one every epoch
    view_area_min: float = 0.5  # smaller crops lose the lesion that decides the class
    view_aspect: float = 0.2  # ± share of width to height: leaves are seen at a slant
    view_colour: float = 0.3  # ± share of brightness, contrast and saturation: other cameras
    view_any_angle: float = 0.5  # share of views turned by any angle; the rest by quarter turns
    view_mix: float = 0.0  # mixup: up to this share of a view is of another image; 0.5 at most
    split: str = "given"  # or "random": the same images dealt anew, to see what a leak is worth
    split_seed: int = 0  # its own, so that runs with other seeds are scored on the same images
    val_share: float = 0.12  # of each class, used only where the folder has no split.csv
    test_share: float = 0.12
    group_by: str = ""  # photos that stay on one side: "folder", a regular expression, "none"
    test_group: str = ""  # a group that is test; "" = by the draw

    # Optimisation
    epochs: int = 40
    batch: int = 96  # global: shared out among processes
    learning_rate: float = 1.5e-3
    warmup_epochs: float = 2.0  # AdamW's second moments are noise in the first hundred steps
    weight_decay: float = 0.03  # convolution and linear weights alone
    clip_norm: float = 5.0  # an odd batch must not throw a Swin off; 0 = never clip
    dropout: float = 0.2  # before the classifier
    drop_path: float = 0.0  # of the teacher
    label_smoothing: float = 0.1
    ema: float = 0.9995  # the averaged weights score about a point above the last ones; 0 = off
    bf16: bool = False  # training; 2.5 times faster for a Swin on CPUs that have it, not for CNNs

    # Knowledge: loss = (1 - alpha) * CE + alpha * temperature² * logit loss + beta * attention
    alpha: float = 0.0  # 0 and beta = 0: cross-entropy alone, no teacher needed
    temperature: float = 2.0
    logit_loss: str = "kl"  # "kl", "dkd" or "dist"
    beta: float = 0.0
    attention_map: str = "self"  # of the teacher: "self" (attention received) or "energy"
    attention_formula: str = "paper"  # Zagoruyko & Komodakis as in their "paper" or their "code"
    # [student stage, teacher stage] whose maps are compared; stages count from 0
    attention_pairs: tuple[tuple[int, int], ...] = ((3, 2), (5, 3))
    alignment: bool = True  # learned 1x1 projection of the student's features; off = the ablation
    attention_grid: int = 14  # stored maps are no finer: 196 bytes each
    teacher_views: int = 1  # 8: answers are means over the flips and quarter turns of a view
    teacher_bf16: bool = False  # the teacher's answers; twice as fast on CPUs that have it
    knowledge: str = ""  # folder made by `python -m pytorch_side.distillation.teacher_cache`

    # A guide for networks without ImageNet weights: loss + guide_weight * features (guide.py)
    guide: str = ""  # a finished student.safetensors
    guide_weight: float = 3.0
    # [own stage, guide stage] of one stride each; these are MobileNetV3-Large's after Small's
    guide_pairs: tuple[tuple[int, int], ...] = ((2, 1), (4, 3), (5, 4))

    # Int8
    qat_images: int = 0  # of an epoch of QAT, spread over train; 0 = all. Exact integers are slow


# The least and the most that numbers may be; a mistake is better found now than after an hour.
BOUNDS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1),
    "view_seed": (0, 2**32 - 1),
    "split_seed": (0, 2**32 - 1),
    "student_size": (32, 1024),  # a MobileNetV3 and a Swin both end at a 32nd
    "teacher_size": (32, 1024),
    "views": (0, 10_000),
    "view_area_min": (0.01, 1),
    "view_aspect": (0, 0.9),
    "view_colour": (0, 1),
    "view_any_angle": (0, 1),
    "view_mix": (0, 0.5),
    "val_share": (0, 0.9),
    "test_share": (0, 0.9),
    "epochs": (1, 100_000),
    "batch": (1, 100_000),
    "learning_rate": (0, 10),
    "warmup_epochs": (0, 100_000),
    "weight_decay": (0, 10),
    "clip_norm": (0, math.inf),
    "dropout": (0, 0.99),
    "drop_path": (0, 0.99),
    "label_smoothing": (0, 0.99),
    "ema": (0, 0.999999),
    "alpha": (0, 1),
    "temperature": (0.01, 1000),
    "beta": (0, 1e6),
    "attention_grid": (1, 14),
    "guide_weight": (0, 1e6),
    "qat_images": (0, math.inf),
}
CHOICES: dict[str, tuple[str, ...] | tuple[int, ...]] = {
    "teacher_input": ("half", "imagenet"),
    "teacher_views": (1, 8),
    "split": SPLIT_KINDS,
    "logit_loss": ("kl", "dkd", "dist"),
    "attention_map": ("self", "energy"),
    "attention_formula": ("paper", "code"),
}

# What tomllib raises: UnicodeDecodeError, TOMLDecodeError and that of an integer with thousands of
# digits are ValueErrors; RecursionError is of brackets in brackets.
UNREADABLE = (ValueError, RecursionError)


def load_config(path: Path | None, overrides: Sequence[str] = ()) -> Config:
    """Read a TOML file of differences (and its bases), then apply `key=value` overrides.

    Raises UserError for an unknown key, and a value of the wrong type or out of bounds.
    """
    values = _read(path) if path else {}
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set {text}: write it as key=value")
        values[key.strip()] = _parse(value.strip())
    source = f"{path} with --set" if path and overrides else str(path or "--set")
    return config_from(values, source)


def config_from(values: dict[str, Any], source: str) -> Config:
    """A Config of `values`, checked. Raises UserError naming `source` and what is wrong in it."""
    if not isinstance(values, dict):
        raise UserError(f"{source} is no config: it holds {type(values).__name__}")
    hints = get_type_hints(Config)
    known = {f.name: f for f in dataclasses.fields(Config)}
    if unknown := sorted(set(values) - set(known)):
        raise UserError(
            f"{source}: unknown key {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )
    return Config(**{key: _typed(source, key, value, hints[key]) for key, value in values.items()})


def save_config(config: Config, path: Path) -> None:
    """Write the resolved config as JSON, every field spelled out."""
    write_atomic(path, json.dumps(dataclasses.asdict(config), indent=2) + "\n")


def read_saved_config(path: Path) -> Config:
    """Read a run's config.json back. Raises UserError when it is missing or foreign."""
    try:
        return config_from(json.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"cannot read {path}: {error}; name the folder of a training run"
        ) from error


def _read(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The file's values over its bases'; `above` are the files that it is a base of."""
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise UserError(f"cannot read config {path}: {error.strerror}") from error
    except UNREADABLE as error:
        raise UserError(f"config {path} is not TOML: {error}") from error
    if "base" not in values:
        return values
    base, here = values.pop("base"), path.resolve()
    if not isinstance(base, str):
        raise UserError(f"config {path}: base must be the name of a file, not {base!r}")
    if here in above:
        raise UserError(f"config {path} is its own base: a chain of bases must end")
    return _read(path.parent / base, (*above, here)) | values


def _parse(text: str) -> Any:
    """A TOML value, or the bare text: `--set student=tf_…` needs no quotes."""
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except UNREADABLE:
        return text


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(n) is int for n in value)


def _typed(source: str, key: str, value: Any, wanted: Any) -> Any:
    if key.endswith("_pairs"):
        if not isinstance(value, list) or not all(map(_is_pair, value)):
            raise UserError(f"{source}: {key} must be a list of [own stage, the other's]")
        return tuple(map(tuple, value))
    if isinstance(value, int) and abs(value) >= 2**63:  # TOML's have 64 bits; a float can overflow
        raise UserError(f"{source}: {key} is a number of {value.bit_length()} bits: 64 are known")
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    kind = dict if key == "teacher_arguments" else wanted
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UserError(f"{source}: {key} must be {kind.__name__}, not {value!r}")
    least, most = BOUNDS.get(key, (-math.inf, math.inf))
    if kind in (int, float) and not least <= value <= most:  # nor is nan
        raise UserError(f"{source}: {key} is {value!r}, and must be from {least} to {most}")
    if value not in CHOICES.get(key, (value,)):
        raise UserError(
            f"{source}: {key} is {value!r}; known are {', '.join(map(repr, CHOICES[key]))}"
        )
    return value


def split_rule(config: Config) -> SplitRule:
    """How the config's images are cut."""
    return SplitRule(
        config.split,
        config.split_seed,
        config.val_share,
        config.test_share,
        config.group_by,
        config.test_group,
    )
