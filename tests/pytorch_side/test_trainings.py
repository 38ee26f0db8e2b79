"""Whole trainings of teachers and students on small folders."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pytorch_side.config import Config, with_values
from pytorch_side.distillation.train_student import distill
from pytorch_side.distillation.train_teacher import train_teacher
from pytorch_side.nets.models import make_teacher
from pytorch_side.nets.weights import save_weights
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import scan_folder


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_a_first_training_that_was_made_again_is_not_mixed_with_its_old_weights(
    kind: str, make_folder: Callable[..., Path], tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    """The second training would resume, and hold what the first no longer is."""
    trained = train_teacher if kind == "teacher" else distill
    folder, first, second = scan_folder(make_folder()), tmp_path / "first", tmp_path / "second"
    config = tiny_config({"optimizer.epochs": 1})
    trained(config, folder, first)
    going_on = with_values(config, {f"{kind}.init": str(first / f"{kind}.safetensors")})
    trained(going_on, folder, second)
    before = {path: path.read_bytes() for path in second.iterdir()}
    trained(going_on, folder, second)  # finished: not trained again

    shutil.rmtree(first)
    trained(with_values(config, {"seed": 1}), folder, first)
    with pytest.raises(UserError, match="or teacher outputs that has changed since: use"):
        trained(going_on, folder, second)
    assert {path: path.read_bytes() for path in second.iterdir()} == before
    # An older version's does not say which bytes it began with.
    state = torch.load(second / "checkpoint.pt", weights_only=True)
    del state["started_from"]
    torch.save(state, second / "checkpoint.pt")
    trained(going_on, folder, second)


def test_a_cache_that_was_made_again_is_not_mixed_with_its_old_answers(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    """The second half of the training would come from another teacher."""
    folder, path, run = scan_folder(make_folder()), tmp_path / "t.safetensors", tmp_path / "run"
    config = tiny_config({"distillation.alpha": 0.5, "teacher.init": str(path)})

    def new_teacher() -> None:
        untrained = with_values(config, {"teacher.init": ""}).teacher
        save_weights(make_teacher(untrained, 3), path, {"classes": list(folder.classes)})

    new_teacher()
    distill(config, folder, run)
    shutil.rmtree(run / "teacher_cache")
    distill(config, folder, run)  # finished: not trained again
    shutil.rmtree(run / "teacher_cache")
    new_teacher()
    with pytest.raises(UserError, match="or teacher outputs that has changed since: use another"):
        distill(config, folder, run)
    # An older version's names the weights alone.
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    assert len(state["started_from"]) == 3  # what the cache is, its logits, and the teacher
    torch.save({**state, "started_from": []}, run / "checkpoint.pt")
    distill(config, folder, run)


def test_a_teacher_and_a_student_learn_the_hues(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    """The whole of both commands on colored noise, where color decides and is not changed."""
    folder = scan_folder(make_folder(images=48))
    config = tiny_config(
        {
            "optimizer.epochs": 12,
            "optimizer.learning_rate": 0.005,
            "augment.color": 0.0,
            "optimizer.ema": 0.5,
            "student.dropout": 0.0,
        }
    )
    row = train_teacher(config, folder, tmp_path / "teacher")
    assert float(row["val_top1"]) >= 0.9, "a third by chance"
    distilled = with_values(
        config,
        {
            "teacher.init": str(tmp_path / "teacher/teacher.safetensors"),
            "distillation.alpha": 0.5,
            "distillation.beta": 0.1,
            "optimizer.epochs": 20,
        },
    )
    row = distill(distilled, folder, tmp_path / "student")
    assert float(row["val_top1"]) >= 0.9, "a third by chance"
    assert {"cross_entropy", "logit", "attention"} <= set(row)
    names = {path.name for path in (tmp_path / "student").iterdir()}
    assert {"student.safetensors", "log.csv", "config.json", "checkpoint.pt"} <= names


def test_a_teacher_with_distillation_weights_is_refused(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="alpha and beta"):
        train_teacher(
            tiny_config({"distillation.alpha": 0.5}), scan_folder(make_folder()), tmp_path
        )
