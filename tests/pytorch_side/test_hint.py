"""The hint loss, and that nothing but the student learns from it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pytorch_side.config import Config, with_values
from pytorch_side.distillation.hint import HintNetwork, hint_loss
from pytorch_side.distillation.train_student import StudentWithMaps, distill
from pytorch_side.distillation.train_teacher import train_teacher
from pytorch_side.nets.models import load_student, student_from
from pytorch_side.nets.weights import read_weights, save_weights
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import scan_folder

PAIRS = ((1, 1), (2, 2))


@pytest.fixture
def hint_file(tmp_path: Path, tiny_config: Callable[..., Config]) -> Path:
    torch.manual_seed(3)
    config = tiny_config()
    path = tmp_path / "hint.safetensors"
    about = {"student": config.student.name, "size": 32, "classes": ["a", "b", "c"]}
    save_weights(student_from(config.student, 3), path, about)
    return path


def test_the_loss_is_the_share_of_the_features_that_is_missing() -> None:
    # Mean 20, deviation 10: standardized it is 1, -1, -1, 1. Two by two places make one of mean 0.
    wanted = {1: torch.tensor([[[[30.0, 10.0], [10.0, 30.0]]], [[[10.0, 30.0], [10.0, 30.0]]]])}
    signs = (wanted[1] - 20) / 10
    assert hint_loss({(0, 1): signs}, wanted).item() == pytest.approx(0.0, abs=1e-6)
    assert hint_loss({(0, 1): 0 * signs}, wanted).item() == pytest.approx(1.0, abs=1e-6)
    half = {(0, 1): 0.5 * signs, (2, 1): -signs}
    assert hint_loss(half, wanted).item() == pytest.approx((0.25 + 4.0) / 2, abs=1e-6)
    # On a coarser grid a place is the mean of four: 20 and 20 here, of which nothing is left.
    coarse = {(0, 1): torch.full((2, 1, 1, 1), 3.0)}
    assert hint_loss(coarse, wanted).item() == pytest.approx(9.0, abs=1e-2)


def test_the_hint_network_learns_nothing(
    hint_file: Path, tiny_config: Callable[..., Config]
) -> None:
    hint, student = HintNetwork(hint_file, PAIRS), load_student(hint_file)[0]
    model = StudentWithMaps(student, (), {}, PAIRS, hint.channels)
    images = torch.randn(4, 3, 64, 64)
    hint_loss(model(images)[2], hint.features(images)).backward()
    assert model.regressors["2-2"].weight.grad is not None
    assert all(weight.grad is None for weight in hint.network.parameters())
    assert not hint.network.training


def test_the_hint_loss_brings_features_nearer(
    hint_file: Path,
    tmp_path: Path,
    make_folder: Callable[..., Path],
    tiny_config: Callable[..., Config],
) -> None:
    before = hint_file.read_bytes()
    config = tiny_config(
        {
            "hint.init": str(hint_file),
            "hint.pairs": [list(pair) for pair in PAIRS],
            "optimizer.epochs": 6,
            "augment.cached": 0,
        }
    )
    distill(config, scan_folder(make_folder(images=20)), tmp_path / "run")
    rows = list(csv.DictReader((tmp_path / "run/log.csv").open()))
    assert 0 < float(rows[-1]["hint"]) < 0.9 * float(rows[0]["hint"])
    assert hint_file.read_bytes() == before
    saved, _ = read_weights(tmp_path / "run/student.safetensors")
    assert not any("regress" in name or "hint" in name for name in saved)


def test_a_teacher_takes_hints_too(
    hint_file: Path,
    tmp_path: Path,
    make_folder: Callable[..., Path],
    tiny_config: Callable[..., Config],
) -> None:
    folder = scan_folder(make_folder(images=20))
    config = tiny_config(
        {
            "hint.init": str(hint_file),
            "hint.pairs": [[0, 1], [1, 2]],
            "optimizer.epochs": 6,
            "augment.cached": 0,
            "optimizer.learning_rate": 0.005,
        }
    )
    train_teacher(config, folder, tmp_path / "hinted")
    rows = list(csv.DictReader((tmp_path / "hinted/log.csv").open()))
    assert 0 < float(rows[-1]["hint"]) < 0.9 * float(rows[0]["hint"])
    whole = float(rows[0]["cross_entropy"]) + config.hint.weight * float(rows[0]["hint"])
    assert float(rows[0]["loss"]) == pytest.approx(whole, abs=1e-4)
    saved, _ = read_weights(tmp_path / "hinted/teacher.safetensors")
    train_teacher(
        with_values(config, {"hint.init": "", "optimizer.epochs": 1}),
        folder,
        tmp_path / "alone",
    )
    alone, _ = read_weights(tmp_path / "alone/teacher.safetensors")
    assert saved.keys() == alone.keys()  # the regressors are no part of the teacher
    with pytest.raises(UserError, match="the teacher has stages 0 to 1, not 2"):
        train_teacher(with_values(config, {"hint.pairs": ((2, 1),)}), folder, tmp_path / "wrong")


def test_a_foreign_file_gives_no_hints(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone"):
        HintNetwork(tmp_path / "gone.safetensors", PAIRS)
