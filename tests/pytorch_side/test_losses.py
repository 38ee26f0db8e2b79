"""Losses on numbers worked out by hand."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from pytorch_side.config import Distillation, load_config
from pytorch_side.data.unlabeled import NO_LABEL
from pytorch_side.distillation.losses import (
    LOGIT_LOSSES,
    class_weights_of,
    cross_entropy,
    dist_loss,
    dkd_loss,
    hybrid_loss,
    kl_loss,
)
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import ImageFolder

LABELS = torch.tensor([0])


def logits(*probabilities: float) -> torch.Tensor:
    return torch.tensor([probabilities]).log()


def test_kl_by_hand() -> None:
    """KL((½, ½) ‖ (¾, ¼)) = ½ ln(½ / ¾) + ½ ln(½ / ¼)."""
    expected = 0.5 * math.log(2 / 3) + 0.5 * math.log(2)
    assert kl_loss(logits(0.75, 0.25), logits(0.5, 0.5), LABELS, 1.0).item() == pytest.approx(
        expected
    )


def test_temperature_divides_the_logits() -> None:
    warm = kl_loss(2 * logits(0.75, 0.25), 2 * logits(0.5, 0.5), LABELS, 2.0)
    plain = kl_loss(logits(0.75, 0.25), logits(0.5, 0.5), LABELS, 1.0)
    assert warm.item() == pytest.approx(plain.item())


def test_dkd_by_hand() -> None:
    """Student (½, ¼, ¼), teacher (½, ⅜, ⅛), true class 0: the two-way part is equal, and the
    others are (½, ½) against (¾, ¼)."""
    student, teacher = logits(0.5, 0.25, 0.25), logits(0.5, 0.375, 0.125)
    others = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert dkd_loss(student, teacher, LABELS, 1.0, 1.0, 8.0).item() == pytest.approx(8 * others)
    student, teacher = logits(0.5, 0.25, 0.25), logits(0.8, 0.1, 0.1)
    target = 0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)
    assert dkd_loss(student, teacher, LABELS, 1.0, 1.0, 8.0).item() == pytest.approx(
        target, abs=1e-6
    )


def test_dist_by_hand() -> None:
    """Rows and columns that rise together correlate by 1, opposed ones by -1."""
    up = torch.tensor([[0.8, 0.2], [0.4, 0.6]]).log()
    same = torch.tensor([[0.6, 0.4], [0.45, 0.55]]).log()
    labels = torch.tensor([0, 1])
    assert dist_loss(up, same, labels, 1.0).item() == pytest.approx(0.0, abs=1e-5)
    assert dist_loss(up, up.flip(1), labels, 1.0).item() == pytest.approx(4.0, abs=1e-5)


# Three classes, two images of different ones, far from uniform: no mistake hides in a symmetry.
STUDENT = ((2.0, -1.0, 0.5), (0.0, 1.5, -0.5))
TEACHER = ((1.0, 0.5, -2.0), (-1.0, 3.0, 0.25))
BOTH_LABELS = (2, 1)
WARMTH = 2.0


def shares(row: Sequence[float]) -> list[float]:
    """softmax(row / WARMTH), spelled out."""
    powers = [math.exp(x / WARMTH) for x in row]
    return [power / sum(powers) for power in powers]


def divergence(wanted: Sequence[float], given: Sequence[float]) -> float:
    return sum(p * math.log(p / q) for p, q in zip(wanted, given, strict=True))


def plain_kl() -> float:
    return statistics.mean(
        divergence(shares(t), shares(s)) for s, t in zip(STUDENT, TEACHER, strict=True)
    )


def plain_dkd() -> float:
    total = 0.0
    for student, teacher, label in zip(STUDENT, TEACHER, BOTH_LABELS, strict=True):
        s, t = shares(student), shares(teacher)
        total += divergence((t[label], 1 - t[label]), (s[label], 1 - s[label]))
        others = [i for i in range(3) if i != label]
        rest = [[row[i] / (1 - row[label]) for i in others] for row in (t, s)]
        total += 8 * divergence(*rest)
    return total / 2


def plain_dist() -> float:
    s, t = [shares(row) for row in STUDENT], [shares(row) for row in TEACHER]
    between = statistics.mean(map(statistics.correlation, s, t))
    within = statistics.mean(
        map(statistics.correlation, zip(*s, strict=True), zip(*t, strict=True))
    )
    assert abs(between - within) > 0.1
    return 2 - between - within


@pytest.mark.parametrize(
    ("name", "plain"), [("kl", plain_kl), ("dkd", plain_dkd), ("dist", plain_dist)]
)
def test_a_batch_at_a_temperature_by_plain_arithmetic(
    name: str, plain: Callable[[], float]
) -> None:
    """And the config's choice is what the hybrid loss takes."""
    student, teacher, labels = (torch.tensor(x) for x in (STUDENT, TEACHER, BOTH_LABELS))
    found = LOGIT_LOSSES[name](student, teacher, labels, WARMTH).item()
    assert found == pytest.approx(plain(), abs=1e-5)
    settings = Distillation(alpha=0.5, temperature=WARMTH, logit_loss=name)  # type: ignore[arg-type]
    soft = hybrid_loss(student, labels, settings, 0.1, teacher)["logit"]
    assert soft.item() == pytest.approx(plain(), abs=1e-5)


@pytest.mark.parametrize("formula", ["paper", "code"])
def test_the_formula_for_maps_is_the_configs(formula: str) -> None:
    maps = torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[3.0, 4.0]]])
    settings = Distillation(beta=1.0, attention_formula=formula)  # type: ignore[arg-type]
    found = hybrid_loss(logits(0.5, 0.5), LABELS, settings, 0.1, maps={(0, 0): maps})["attention"]
    assert found.item() == pytest.approx(0.5 * math.sqrt(0.8) if formula == "paper" else 0.4)


def test_balanced_classes_count_alike(tmp_path: Path) -> None:
    """Three photos of one class and one of the other: a third and one times as much."""
    labels = np.array([0, 0, 0, 1, 1, 1])
    splits = np.array(["train"] * 4 + ["val"] * 2)
    files, empty = tuple("abcdef"), ("",) * 6
    folder = ImageFolder(tmp_path, ("many", "few"), files, labels, splits, empty, empty)
    assert class_weights_of(folder, "") is None
    weights = class_weights_of(folder, "balanced")
    assert weights is not None
    assert weights.tolist() == pytest.approx([4 / (2 * 3), 4 / (2 * 1)])
    rows = torch.tensor([[2.0, 0.0]] * 4)
    of = torch.tensor([0, 0, 0, 1])
    plain = hybrid_loss(rows, of, Distillation(), 0.0)["loss"].item()
    even = hybrid_loss(rows, of, Distillation(), 0.0, class_weights=weights)["loss"].item()
    right, wrong = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    assert plain == pytest.approx((3 * right + wrong) / 4, abs=1e-5)
    assert even == pytest.approx((right + wrong) / 2, abs=1e-5)


def test_a_class_weighs_the_same_with_labels_shares_and_unlabeled_images() -> None:
    """Three images of a class of weight 5: the mean over the images, however many have labels."""
    rows, weights = torch.tensor(((2.0, 0, 0), (0, 1, 0), (1, 0, 0))), torch.tensor([5.0, 0.5, 0.5])
    labels = torch.tensor([0, 0, 0])
    wanted = 5 * cross_entropy(rows, labels, 0.0).item()
    assert cross_entropy(rows, labels, 0.0, weights).item() == pytest.approx(wanted)
    shared = functional.one_hot(labels, 3).float()
    assert cross_entropy(rows, shared, 0.0, weights).item() == pytest.approx(wanted)
    more, some = torch.cat([rows, rows[:1]]), torch.tensor([0, 0, 0, NO_LABEL])
    assert cross_entropy(more, some, 0.0, weights).item() == pytest.approx(wanted * 3 / 4)
    for of in (labels, shared):  # smoothed alike, and without weights torch's own mean
        smooth = cross_entropy(rows, of, 0.1, weights).item()
        assert smooth == pytest.approx(5 * cross_entropy(rows, labels, 0.1).item())
        own = functional.cross_entropy(rows, of, label_smoothing=0.1)
        assert torch.equal(cross_entropy(rows, of, 0.1), own)


def test_a_photo_of_a_large_class_belongs_to_it_also_beside_a_small_one() -> None:
    """A hundred times the weight of the small class, and smoothing: the best answers stay right."""
    weights, of = torch.tensor([0.505, 50.5]), torch.tensor([0] * 100 + [1])
    rows = torch.zeros(2, 2, requires_grad=True)  # what each class's photos are answered with
    for _ in range(400):
        cross_entropy(rows[of], of, 0.1, weights).backward()
        with torch.no_grad():
            rows -= 2 * rows.grad
            rows.grad = None
    assert torch.allclose(
        rows.softmax(dim=1), torch.tensor([[0.95, 0.05], [0.05, 0.95]]), atol=0.01
    )
    mixed = torch.tensor([[0.75, 0.25]])
    one, other = (cross_entropy(rows[:1], torch.tensor([c]), 0.1).item() for c in (0, 1))
    wanted = 0.75 * 0.505 * one + 0.25 * 50.5 * other
    assert cross_entropy(rows[:1], mixed, 0.1, weights).item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("mixed", [False, True])
def test_class_weights_follow_the_logits_to_a_gpu(mixed: bool) -> None:
    """Tensors without values stand in for a GPU's: torch checks their devices alike."""
    with FakeTensorMode():
        rows = torch.randn(4, 3, device="cuda")
        labels = torch.zeros((4, 3) if mixed else 4, device="cuda")
        labels = labels if mixed else labels.long()
        weighted = cross_entropy(rows, labels, 0.1, torch.ones(3))
        assert weighted.device.type == "cuda"


def test_the_hybrid_loss_is_its_weighted_parts() -> None:
    settings = Distillation(alpha=0.25, temperature=2.0, beta=3.0)
    student, teacher = logits(0.75, 0.25), logits(0.5, 0.5)
    maps = {
        (0, 0): (torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[3.0, 4.0]]])),
        (1, 1): (torch.ones(1, 1, 2), torch.ones(1, 1, 2)),
    }
    parts = hybrid_loss(student, LABELS, settings, 0.0, teacher, maps)
    assert set(parts) == {"loss", "cross_entropy", "logit", "attention"}
    hard, soft = -math.log(0.75), kl_loss(student, teacher, LABELS, 2.0).item()
    attention = 0.25 * math.sqrt(0.8)  # the mean over the two pairs, the second of which agrees
    assert parts["attention"].item() == pytest.approx(attention, abs=1e-5)
    assert parts["loss"].item() == pytest.approx(
        0.75 * hard + 0.25 * 4 * soft + 3 * attention, abs=1e-5
    )


def test_label_smoothing_by_hand() -> None:
    parts = hybrid_loss(logits(0.75, 0.25), LABELS, Distillation(), 0.2)
    assert parts["loss"].item() == pytest.approx(-0.9 * math.log(0.75) - 0.1 * math.log(0.25))
    assert set(parts) == {"loss", "cross_entropy"}


def test_an_unknown_logit_loss_is_named() -> None:
    with pytest.raises(UserError, match="mse"):
        load_config(None, ["distillation.logit_loss=mse"])


def test_every_logit_loss_of_the_config_is_there() -> None:
    assert set(LOGIT_LOSSES) == set(get_args(get_type_hints(Distillation)["logit_loss"]))
