"""A guide's features: what following them costs, and that nothing but the student learns."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pytorch_side.config import Config
from pytorch_side.distill import WatchedStudent, distill
from pytorch_side.distillation.hint import Guide, guide_loss
from pytorch_side.nets.models import load_student, make_student
from pytorch_side.nets.weights import read_weights, save_weights
from pytorch_side.teacher import train_teacher
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import scan_folder

PAIRS = ((1, 1), (2, 2))


@pytest.fixture
def guide_file(tmp_path: Path, tiny_config: Callable[..., Config]) -> Path:
    torch.manual_seed(3)
    config = tiny_config()
    path = tmp_path / "guide.safetensors"
    about = {"student": config.student, "size": 32, "classes": ["a", "b", "c"]}
    save_weights(make_student(config, 3), path, about)
    return path


def test_the_loss_is_the_share_of_the_features_that_is_missing() -> None:
    # Mean 20, deviation 10: standardised it is 1, -1, -1, 1. Two by two places make one of mean 0.
    wanted = {1: torch.tensor([[[[30.0, 10.0], [10.0, 30.0]]], [[[10.0, 30.0], [10.0, 30.0]]]])}
    signs = (wanted[1] - 20) / 10
    assert guide_loss({(0, 1): signs}, wanted).item() == pytest.approx(0.0, abs=1e-6)
    assert guide_loss({(0, 1): 0 * signs}, wanted).item() == pytest.approx(1.0, abs=1e-6)
    half = {(0, 1): 0.5 * signs, (2, 1): -signs}
    assert guide_loss(half, wanted).item() == pytest.approx((0.25 + 4.0) / 2, abs=1e-6)
    # On a coarser grid a place is the mean of four: 20 and 20 here, of which nothing is left.
    coarse = {(0, 1): torch.full((2, 1, 1, 1), 3.0)}
    assert guide_loss(coarse, wanted).item() == pytest.approx(9.0, abs=1e-2)


def test_the_guide_itself_learns_nothing(
    guide_file: Path, tiny_config: Callable[..., Config]
) -> None:
    guide, student = Guide(guide_file, PAIRS), load_student(guide_file)[0]
    watched = WatchedStudent(student, (), {}, PAIRS, guide.channels)
    images = torch.randn(4, 3, 64, 64)
    guide_loss(watched(images)[2], guide.features(images)).backward()
    assert watched.followers["2-2"].weight.grad is not None
    assert all(weight.grad is None for weight in guide.network.parameters())
    assert not guide.network.training


def test_following_a_guide_brings_its_features_nearer(
    guide_file: Path,
    tmp_path: Path,
    make_folder: Callable[..., Path],
    tiny_config: Callable[..., Config],
) -> None:
    before = guide_file.read_bytes()
    config = tiny_config(
        guide=str(guide_file), guide_pairs=[list(pair) for pair in PAIRS], epochs=6, views=0
    )
    distill(config, scan_folder(make_folder(images=20)), tmp_path / "run")
    rows = list(csv.DictReader((tmp_path / "run/log.csv").open()))
    assert 0 < float(rows[-1]["guide"]) < 0.9 * float(rows[0]["guide"])
    assert guide_file.read_bytes() == before
    saved, _ = read_weights(tmp_path / "run/student.safetensors")
    assert not any("follow" in name or "guide" in name for name in saved)


def test_a_teacher_follows_a_guide_too(
    guide_file: Path,
    tmp_path: Path,
    make_folder: Callable[..., Path],
    tiny_config: Callable[..., Config],
) -> None:
    folder = scan_folder(make_folder(images=20))
    guided = tiny_config(
        guide=str(guide_file), guide_pairs=[[0, 1], [1, 2]], epochs=6, views=0, learning_rate=0.005
    )
    train_teacher(guided, folder, tmp_path / "guided")
    rows = list(csv.DictReader((tmp_path / "guided/log.csv").open()))
    assert 0 < float(rows[-1]["guide"]) < 0.9 * float(rows[0]["guide"])
    whole = float(rows[0]["cross_entropy"]) + guided.guide_weight * float(rows[0]["guide"])
    assert float(rows[0]["loss"]) == pytest.approx(whole, abs=1e-4)
    saved, _ = read_weights(tmp_path / "guided/teacher.safetensors")
    train_teacher(replace(guided, guide="", epochs=1), folder, tmp_path / "alone")
    alone, _ = read_weights(tmp_path / "alone/teacher.safetensors")
    assert saved.keys() == alone.keys()  # what followed the guide is no part of the teacher
    with pytest.raises(UserError, match="the teacher has stages 0 to 1, not 2"):
        train_teacher(replace(guided, guide_pairs=((2, 1),)), folder, tmp_path / "wrong")


def test_a_foreign_file_is_no_guide(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone"):
        Guide(tmp_path / "gone.safetensors", PAIRS)
