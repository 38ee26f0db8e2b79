"""How every command shows an accuracy: ± one standard error, number of images, largest class.

75.6 % of 90 photos may be 71 or 80 %, and is not much if the largest class alone gives 51 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

UNSURE_POINTS = 3.0  # with a larger standard error, a caution is shown
CLASS_IMAGES_MIN = 10  # with fewer, one photo changes a class's recall by more than 10 points

Confusion = Sequence[Sequence[int]]  # row: true class, column: answer


def standard_error(top1: float, images: int) -> float:
    """Of a binomial share. It is above 0 even if all or none of the images are right: the share is
    then moved by about half an image."""
    edge = 0.5 / (images + 1)
    share = min(max(top1, edge), 1 - edge)
    return float((share * (1 - share) / images) ** 0.5)


def confusion_of(labels: Sequence[int], answered: Sequence[int], classes: int) -> list[list[int]]:
    """The confusion matrix of images with these true classes and answers."""
    counts = [[0] * classes for _ in range(classes)]
    for label, answer in zip(labels, answered, strict=True):
        counts[label][answer] += 1
    return counts


def recalls(confusion: Confusion, classes: Sequence[str]) -> dict[str, float]:
    """The recall of each class that has images."""
    return {
        name: confusion[i][i] / sum(confusion[i])
        for i, name in enumerate(classes)
        if sum(confusion[i])
    }


def largest_share(confusion: Confusion) -> float:
    """The accuracy of always choosing the most frequent class."""
    sizes = [sum(row) for row in confusion]
    return max(sizes) / max(1, sum(sizes))


def balanced_accuracy(confusion: Confusion) -> float:
    """The mean of the recalls of the classes that have images."""
    recalls = [row[i] / sum(row) for i, row in enumerate(confusion) if sum(row)]
    return sum(recalls) / max(1, len(recalls))


def show_accuracy(top1: float, images: int, digits: int = 2) -> str:
    """97.95% ± 0.33%, for tables that give the number of images elsewhere."""
    return f"{top1:.{digits}%} ± {standard_error(top1, images):.{digits}%}"


def say_accuracy(top1: float, images: int, largest: float | None = None) -> str:
    """The accuracy with the number of images and the share of the largest class, for a terminal."""
    beside = "" if largest is None else f" (the largest class is {largest:.1%} of them)"
    return f"{show_accuracy(top1, images)} of {images:,} images{beside}"


def cautions(
    top1: float,
    images: int,
    confusion: Confusion | None = None,
    classes: Sequence[str] = (),
    split: str = "test",
) -> list[str]:
    """Warnings for an accuracy that is less certain or less good than it seems."""
    said = []
    error = 100 * standard_error(top1, images)
    if error > UNSURE_POINTS:
        said.append(
            f"{split} is small: ± {error:.1f} points, so differences of a few points mean nothing"
        )
    if confusion is None or len(confusion) < 2:
        return said
    answered = [sum(row[i] for row in confusion) for i in range(len(confusion))]
    if sum(count > 0 for count in answered) == 1:
        only = answered.index(max(answered))
        said.append(f"it answers {_name(classes, only)} for every image: it has learned nothing")
    elif top1 <= largest_share(confusion):
        said.append("naming the largest class for every image would be as good")
    few = [i for i, row in enumerate(confusion) if 0 < sum(row) < CLASS_IMAGES_MIN]
    if few:
        names = ", ".join(_name(classes, i) for i in few[:5]) + (", …" if len(few) > 5 else "")
        said.append(f"fewer than {CLASS_IMAGES_MIN} {split} images of {names}: too few to judge")
    return said


def qat_caution(accuracy: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A warning if QAT lowered the accuracy on val, by the card's figures."""
    stages = [accuracy.get(stage) for stage in ("ptq", "qat")]
    if any(one is None or one.get("split") != "val" for one in stages):
        return []
    ptq, qat = (one["top1"] for one in stages if one)
    if qat >= ptq:
        return []
    return [f"QAT made it worse on val: {qat:.2%} after, {ptq:.2%} before (PTQ)"]


def _name(classes: Sequence[str], number: int) -> str:
    return classes[number] if number < len(classes) else f"class {number}"
