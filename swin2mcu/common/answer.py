"""A model's answer to a photo: calibrated probabilities, or *not sure*.

Probabilities are softmax(logits / temperature) (Guo et al. 2017, arXiv 1706.04599). *Not sure*
depends on the evidence, log(sum(exp(logit / temperature))): the negative free energy of Liu et al.
2020 (arXiv 2010.03759). For a photo of something else all logits may be small, and one class can
still get a probability near 1; its evidence is low. A device needs no logarithm: it sums entries of
a table of exp(logit / temperature) for the 256 possible logits, and compares with one number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from swin2mcu.common.card import TEMPERATURE_MAX, TEMPERATURE_MIN, THRESHOLD_MAX, Card

SHOWN = 3  # classes that an answer names
NOT_SURE = "not sure"
COARSE = 20  # steps of 1 %, of a first search for a temperature

Logits = npt.NDArray[Any]  # (images, classes), real or int8 as each function says


def softmax(logits: Logits, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Probabilities (images, classes) of real logits."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    shares: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def evidence(logits: Logits, temperature: float) -> npt.NDArray[np.float64]:
    """log(sum(exp(logit / temperature))) of each image's real logits."""
    scaled = logits.astype(np.float64) / temperature
    top = scaled.max(axis=1)
    found: npt.NDArray[np.float64] = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
    return found


def best_temperature(logits: Logits, labels: npt.NDArray[np.int64]) -> float:
    """The softmax temperature with the lowest cross-entropy (Guo et al. 2017), to about 1 %.

    The labels are softened to (n + 1) / (n + 2) as in Platt 1999: n images that are all right do
    not show that every image will be.
    """
    rows, (count, classes) = np.arange(len(labels)), logits.shape
    kept = (count + 1) / (count + 2)
    other = (1 - kept) / max(1, classes - 1)

    def cross_entropy(temperature: float) -> float:
        logs = logits.astype(np.float64) / temperature - evidence(logits, temperature)[:, None]
        right = logs[rows, labels]
        return float(-(kept * right + other * (logs.sum(axis=1) - right)).mean())

    # The limits of a card, whose threshold is an evidence: about the largest logit / temperature.
    low = max(TEMPERATURE_MIN, float(logits.max()) / (THRESHOLD_MAX / 2))
    low = min(low, TEMPERATURE_MAX)
    steps = int(np.log(TEMPERATURE_MAX / low) / 0.01)
    grid = [float(t) for t in np.geomspace(low, TEMPERATURE_MAX, steps + 1)]
    # Convex in 1 / temperature, so it has one minimum: a coarse search, then a fine one around it.
    coarse = min(range(0, steps + 1, COARSE), key=lambda place: cross_entropy(grid[place]))
    around = grid[max(0, coarse - COARSE) : coarse + COARSE + 1]
    return min(around, key=cross_entropy)


def auroc(known: npt.NDArray[np.float64], unknown: npt.NDArray[np.float64]) -> float:
    """The share of pairs in which the known photo has more evidence; 0.5 is chance."""
    sides = [np.searchsorted(np.sort(unknown), known, side=side) for side in ("left", "right")]
    return float(np.mean(sides) / len(unknown))  # a pair that is equal counts as half


def auroc_error(found: float, known: int, unknown: int) -> float:
    """The most that the standard error of an AUROC of so many photos each can be (Bamber 1975)."""
    return float(np.sqrt(found * (1 - found) / min(known, unknown)))


def real_logits(logits: Logits, card: Card) -> npt.NDArray[np.float64]:
    """int8 logits → real ones, by the card's output quantization.

    The logarithm of a probability is such a logit; half a step stands for a probability of 0.
    """
    scale, zero_point = card.output_scale or 1.0, card.output_zero_point or 0
    steps = np.asarray(logits).astype(np.float64) - zero_point
    if card.gives_probabilities:
        shares: npt.NDArray[np.float64] = np.log(np.maximum(steps, 0.5) * scale)
        return shares
    real: npt.NDArray[np.float64] = steps * scale
    return real


@dataclass(frozen=True)
class Answer:
    """One photo's answer."""

    ranked: tuple[tuple[str, float], ...]  # the most likely classes and their probabilities
    evidence: float
    sure: bool | None  # None: the card has no calibration

    def words(self) -> str:
        """The answer as terminal and phone show it."""
        classes = ", ".join(f"{name.replace('_', ' ')} {share:.0%}" for name, share in self.ranked)
        return f"{NOT_SURE} ({classes})" if self.sure is False else classes


def answer_of(logits: Logits, card: Card) -> Answer:
    """The answer to one image of int8 logits (classes,). Ties go to the first class."""
    real = real_logits(logits, card)[None]
    fitted = card.calibration
    temperature = fitted.temperature if fitted else 1.0
    shares, found = softmax(real, temperature)[0], float(evidence(real, temperature)[0])
    order = np.argsort(-real[0], kind="stable")[:SHOWN]
    return Answer(
        tuple((card.classes[i], float(shares[i])) for i in order),
        found,
        found >= fitted.threshold if fitted else None,
    )
