"""A model that answers one class for every photo is told by the commands that made it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pytorch_side import distill, qat, teacher
from pytorch_side.command import val_summary
from pytorch_side.config import Config, save_config
from pytorch_side.log import read_log
from pytorch_side.nets.models import make_teacher, student_from
from pytorch_side.nets.weights import save_weights

CLASSES = ("class_0", "class_1", "class_2")
SENTENCE = "it answers class_1 for every image: it has learned nothing"
CONSTANT = {"data.val_share": 0.34, "optimizer.epochs": 1, "optimizer.learning_rate": 0.0}


@pytest.fixture
def config(tiny_config: Callable[..., Config], tmp_path: Path) -> Config:
    """A student and a teacher whose answer is class_1, and a config that does not change them."""
    made = tiny_config(CONSTANT)
    student, large = student_from(made.student, 3), make_teacher(made.teacher, 3)
    with torch.no_grad():
        student.classifier.bias.copy_(torch.tensor([0.0, 50.0, 0.0]))
        large.head.fc.bias.copy_(torch.tensor([0.0, 50.0, 0.0]))
    named = {"size": 32, "classes": list(CLASSES)}
    save_weights(student, tmp_path / "student.safetensors", {"student": made.student.name, **named})
    described = {"teacher": "swin", "arguments": made.teacher.arguments, "input": "own", **named}
    save_weights(large, tmp_path / "teacher.safetensors", described)
    save_config(made, tmp_path / "config.json")
    return made


def test_a_student_that_answers_one_class(
    config: Config,
    make_folder: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, run = make_folder(images=30), tmp_path / "run"
    values = {**CONSTANT, "student.init": tmp_path / "student.safetensors"}
    values |= {"student.name": config.student.name, "student.size": 32, "optimizer.batch": 6}
    command = ["--data", str(data), "--out", str(run)]
    for key, value in values.items():
        command += ["--set", f"{key}={value}"]
    for _ in range(2):  # also when there is nothing left to train
        assert distill.main(command) == 0
        assert SENTENCE in capsys.readouterr().out
    assert "val_confusion" not in read_log(run)[0]
    assert qat.main([str(run), "--data", str(data), "--epochs", "0"]) == 0
    assert f"warning: {SENTENCE}" in capsys.readouterr().out


def test_a_teacher_that_answers_one_class(
    config: Config,
    make_folder: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "small.toml"
    file.write_text(
        '[teacher]\nname = "swin"\nsize = 32\n'
        f'init = "{tmp_path / "teacher.safetensors"}"\n'
        "arguments = {patch_size = 4, window_size = 4, embed_dim = 8, depths = [1, 2], "
        "num_heads = [1, 2]}\n"
    )
    command = ["--data", str(make_folder(images=30)), "--out", str(tmp_path / "large")]
    for key, value in {**CONSTANT, "optimizer.batch": 6}.items():
        command += ["--set", f"{key}={value}"]
    assert teacher.main([*command, "--config", str(file)]) == 0
    assert SENTENCE in capsys.readouterr().out


def test_a_summary_of_val_says_what_its_figure_is_worth() -> None:
    said = val_summary([[6, 4, 0], [5, 7, 0], [3, 6, 0]], CLASSES)
    assert said.startswith(
        "41.94% ± 8.86% of 31 images (the largest class is 38.7% of them) on val"
    )
    assert "val is small" in said and "every image" not in said
    assert "as good" in val_summary([[10, 0, 0], [12, 0, 0], [8, 1, 0]], CLASSES)
