"""Probabilities, *not sure*, and the card that carries their two numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from swin2mcu.common.answer import (
    answer_of,
    auroc,
    auroc_error,
    best_temperature,
    evidence,
    real_logits,
    softmax,
)
from swin2mcu.common.card import Calibration, Card, load_card, save_card
from swin2mcu.common.cli import UserError

CARD = Card("m", "net", ("a", "b", "c", "d"), (8, 8, 3), output_scale=0.1, output_zero_point=-10)


def test_an_answer_is_the_softmax_at_the_cards_temperature() -> None:
    card = replace(CARD, calibration=Calibration(2.0, 3.0, 0.9, 50))
    logits = np.array([10, 30, -10, 30], dtype=np.int8)  # 2, 4, 0, 4
    given = answer_of(logits, card)
    powers = np.exp([1.0, 2.0, 0.0, 2.0])
    assert [name for name, _ in given.ranked] == ["b", "d", "a"]  # the first of equals
    assert given.ranked[0][1] == pytest.approx(powers[1] / powers.sum())
    assert given.evidence == pytest.approx(np.log(powers.sum()))
    assert given.sure is False  # the evidence is 2.92
    assert given.words() == "not sure (b 40%, d 40%, a 15%)"
    sure = answer_of(logits, replace(CARD, calibration=Calibration(2.0, 2.9, 0.9, 50)))
    assert sure.sure is True and sure.words() == "b 40%, d 40%, a 15%"
    assert answer_of(logits, CARD).sure is None


def test_probabilities_of_a_softmax_are_the_answers_own() -> None:
    """A second softmax would turn a probability of 100 % into 48 %."""
    card = replace(CARD, output_scale=1 / 256, output_zero_point=-128, ops={"SOFTMAX": 1})
    assert (
        answer_of(np.array([-128, 127, -128, -128], np.int8), card).words() == "b 99%, a 0%, c 0%"
    )
    halves = answer_of(np.array([0, 0, -128, -128], np.int8), card)
    assert halves.ranked[0] == ("a", pytest.approx(0.5, abs=0.002))
    inside = replace(card, output_scale=0.1)  # a softmax that is not the last operator
    assert answer_of(np.array([-128, 127, -128, -128], np.int8), inside).ranked[0][1] > 0.999


def test_evidence_is_no_probability() -> None:
    """Little evidence, nearly all of it for one class: the probability alone would be sure."""
    weak, strong = np.array([[1.0, -9, -9, -9]]), np.array([[9.0, -1, -1, -1]])
    assert softmax(weak) == pytest.approx(softmax(strong))
    assert evidence(weak, 1.0) + 8 == pytest.approx(evidence(strong, 1.0))


def test_a_table_of_256_numbers_decides_the_same_on_a_device() -> None:
    draw = np.random.default_rng(0)
    logits = draw.integers(-128, 128, (500, 4)).astype(np.int8)
    real = real_logits(logits, CARD)
    found = evidence(real, 1.3)
    threshold = float(np.median(found)) + 1e-6
    entries = np.exp(real_logits(np.arange(-128, 128, dtype=np.int8), CARD) / 1.3)
    sums = entries[logits.astype(int) + 128].sum(axis=1)
    assert ((sums >= np.exp(threshold)) == (found >= threshold)).all()


def test_the_best_temperature_undoes_a_scale() -> None:
    draw = np.random.default_rng(1)
    logits = draw.normal(0, 2, (4000, 4))
    shares = softmax(logits)
    labels = np.array([draw.choice(4, p=row) for row in shares])
    assert best_temperature(logits, labels) == pytest.approx(1.0, abs=0.08)
    for scale in (0.02, 0.05, 3.0, 12.0, 80.0):
        found = best_temperature(scale * logits, labels)
        assert found == pytest.approx(scale, rel=0.08)


@pytest.mark.parametrize("scale", [0.0, 0.01, 9.0, 4000.0])
def test_logits_that_say_nothing_have_a_temperature_that_a_card_takes(
    scale: float, tmp_path: Path
) -> None:
    """The higher the better, without an end; and where all are right the lower the better."""
    labels = np.arange(40) % 4
    for said in ([1, 2, 3, 0], [0, 1, 2, 3]):
        logits = scale * (labels[:, None] == said)
        temperature = best_temperature(logits, labels)
        threshold = float(evidence(logits, temperature).max())
        save_card(
            replace(CARD, calibration=Calibration(temperature, threshold, 1.0, 40)), tmp_path / "c"
        )
        load_card(tmp_path / "c")


@pytest.mark.parametrize("count", [20, 24, 60])
def test_a_few_photos_that_are_all_right_are_no_certainty(count: int) -> None:
    labels = np.arange(count) % 2
    logits = np.random.default_rng(2).uniform(2, 6, (count, 1)) * (labels[:, None] == [0, 1])
    shares = softmax(logits, best_temperature(logits, labels))
    assert 0.9 < shares.max(axis=1).mean() <= (count + 1.5) / (count + 2)


@pytest.mark.parametrize("spread", [0.1, 1.0, 10.0])
def test_an_aurocs_error_is_not_larger_than_said(spread: float) -> None:
    draw = np.random.default_rng(4)
    known, unknown = draw.normal(1, 1, (2000, 60)), draw.normal(0, spread, (2000, 12))
    found = [auroc(*pair) for pair in zip(known, unknown, strict=True)]
    said = auroc_error(float(np.mean(found)), 60, 12)
    assert np.std(found) < 1.05 * said
    assert spread < 10 or np.std(found) > 0.9 * said


def test_auroc_counts_ties_as_half() -> None:
    assert auroc(np.array([2.0, 3.0]), np.array([1.0])) == 1
    assert auroc(np.array([1.0]), np.array([1.0, 2.0])) == 0.25


def test_a_card_carries_the_calibration_and_old_cards_have_none(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    fitted = Calibration(0.62, 9.5, 0.92, 1817)
    save_card(replace(CARD, calibration=fitted), path)
    assert load_card(path).calibration == fitted
    values = json.loads(path.read_text())
    del values["calibration"]
    path.write_text(json.dumps(values))
    assert load_card(path).calibration is None
    good = {"temperature": 1.0, "threshold": 2.0, "coverage": 0.9, "images": 9}
    for wrong in (
        {"temperature": 0.0},
        {"threshold": float("nan")},
        {"coverage": 2},
        {"images": -1},
        {"more": 1},
    ):
        path.write_text(json.dumps(values | {"calibration": good | wrong}))
        with pytest.raises(UserError, match="'calibration' must be an object of temperature"):
            load_card(path)
