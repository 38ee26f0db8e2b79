"""A model's card says in one line how it was trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytorch_side.config import Config, load_config, with_values
from pytorch_side.nets.describe import describe_training
from swin2mcu.common.card import TRAINING_MAX, load_card

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "40 epochs on labels alone, from random weights"),
        ({"student.init": "weights/net.safetensors"}, "alone, from the weights of net"),
        ({"student.init": "runs/mine/student.safetensors"}, "from the weights of mine"),
        ({"student.pretrained": True}, "from timm's pretrained weights"),
        ({"student.selected_from": "wide", "student.init": "w"}, "channels of wide (the weights"),
        ({"distillation.beta": 0.5}, "on labels and the attention of Swin_large_patch4"),
        ({"distillation.alpha": 0.5}, "on labels and the logits of Swin"),
        (
            {"distillation.alpha": 0.5, "distillation.cache": "runs/folds/teacher_cache"},
            "logits of several teachers (folds)",
        ),
        (
            {"distillation.alpha": 0.5, "distillation.cache": "/home/me/runs/both"},
            "logits of several teachers (both)",
        ),
        (
            {
                "distillation.alpha": 0.5,
                "teacher.name": "tf_mobilenetv3_small_100",
                "teacher.init": "runs/mine/student.safetensors",
                "teacher.size": 96,
            },
            "logits of the student tf_mobilenetv3_small_100, 96 px (alpha",
        ),
        ({"hint.init": "runs/hint/student.safetensors"}, ", with hints from hint"),
        ({"augment.backgrounds": 0.5}, "; 50% of the leaves on backgrounds of other classes"),
    ],
)
def test_start_teacher_and_augmentation_are_named(values: dict[str, object], said: str) -> None:
    assert said in describe_training(with_values(Config(), values))


def test_it_is_a_line_whatever_a_file_is_called() -> None:
    line = describe_training(with_values(Config(), {"student.init": "a\n" + "b" * 900}))
    assert "\n" not in line and len(line) == TRAINING_MAX


@pytest.mark.parametrize("path", sorted((ROOT / "tinyml/zoo").glob("*/card.json")))
def test_published_cards_say_what_their_configs_say(path: Path) -> None:
    config = load_config(ROOT / "configs" / f"{path.parent.name}.toml")
    assert load_card(path).training == describe_training(config)
