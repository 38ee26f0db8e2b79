"""An accuracy is never said without its error, and warns where it could be believed too much."""

from __future__ import annotations

import pytest

from swin2mcu.common.accuracy import (
    balanced_accuracy,
    cautions,
    largest_share,
    qat_caution,
    say_accuracy,
    show_accuracy,
    standard_error,
)

CONFUSION = [[40, 10], [5, 15]]  # 50 of one class, 20 of the other


def test_an_accuracy_carries_its_error_its_count_and_the_largest_class() -> None:
    assert standard_error(0.5, 100) == 0.05
    assert show_accuracy(0.9795, 1804) == "97.95% ± 0.33%"
    assert say_accuracy(0.756, 90, 0.512) == (
        "75.60% ± 4.53% of 90 images (the largest class is 51.2% of them)"
    )
    assert say_accuracy(0.756, 90) == "75.60% ± 4.53% of 90 images"


def test_all_right_is_not_certain() -> None:
    assert standard_error(1.0, 7) == pytest.approx((0.0625 * 0.9375 / 7) ** 0.5)
    assert standard_error(0.0, 7) == standard_error(1.0, 7) > standard_error(1.0, 700) > 0


def test_shares_of_a_confusion() -> None:
    assert largest_share(CONFUSION) == pytest.approx(50 / 70)
    assert balanced_accuracy(CONFUSION) == pytest.approx((0.8 + 0.75) / 2)
    assert balanced_accuracy([[3, 1], [0, 0]]) == 0.75  # a class without images has no recall


@pytest.mark.parametrize(
    ("confusion", "words"),
    [
        (CONFUSION, "± 4.9 points"),
        ([[50, 0], [20, 0]], "answers early for every image"),
        ([[400, 100], [300, 0]], "would be as good"),
        ([[500, 0], [1, 4]], "fewer than 10 test images of late"),
    ],
)
def test_plain_words_beside_a_figure(confusion: list[list[int]], words: str) -> None:
    images = sum(map(sum, confusion))
    top1 = sum(row[i] for i, row in enumerate(confusion)) / images
    assert any(words in line for line in cautions(top1, images, confusion, ("early", "late")))


def test_nothing_is_said_of_a_sound_figure() -> None:
    assert cautions(0.95, 1000, [[480, 20], [30, 470]], ("early", "late")) == []
    assert cautions(0.95, 1000) == []


def test_qat_that_did_harm_is_told() -> None:
    card = {"ptq": {"split": "val", "top1": 0.91}, "qat": {"split": "val", "top1": 0.90}}
    assert qat_caution(card) == ["QAT made it worse on val: 90.00% after, 91.00% before (PTQ)"]
    assert qat_caution(card | {"qat": {"split": "val", "top1": 0.91}}) == []
    assert qat_caution({}) == [] and qat_caution({"qat": card["qat"]}) == []
