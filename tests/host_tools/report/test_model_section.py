"""The report says of each model what *not sure* means, by the numbers in its card."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from host_tools.report.entries import load_entries
from host_tools.report.model_section import model_section
from swin2mcu.common.card import Calibration

SMALL = Path(__file__).resolve().parents[3] / "tinyml/zoo/small-96"


def test_the_two_numbers_of_the_card_are_shown() -> None:
    (entry,), _ = load_entries([SMALL])
    assert entry.card
    fitted = Calibration(temperature=0.75, threshold=3.5, coverage=0.9125, images=1234)
    calibrated = dataclasses.replace(entry.card, calibration=fitted)
    text = str(model_section(dataclasses.replace(entry, card=calibrated), [], None))
    assert "below 3.50; that leaves 91.2% of 1,234 val photos answered" in text
    assert "temperature 0.750" in text
    without = dataclasses.replace(entry.card, calibration=None)
    text = str(model_section(dataclasses.replace(entry, card=without), [], None))
    assert "Not calibrated" in text and "temperature" not in text
