"""Which target gives a model's accuracy, and how sure that is; the best score is not preferred."""

from __future__ import annotations

from host_tools.report.entries import Entry, Row, most_images, rows_of
from swin2mcu.common.accuracy import (
    balanced_accuracy,
    cautions,
    largest_share,
    qat_caution,
    show_accuracy,
)
from tinyml.parity.record import BYTE_STAGES


def score_of_student(entry: Entry) -> Row | None:
    """The int8 student's score in a board's own integers over the whole split, or the nearest to
    it.

    Chosen by how it was measured, not by its value. The maximum over targets would be a selection
    on the test split, and a target with eight images that are all right would win.
    """
    whole = split_images(entry)
    scored = [row for row in rows_of(entry) if row.subject == "student" and row.top1 is not None]
    return max(
        scored,
        key=lambda row: (
            not row.target.get("frames"),  # other pixels: what a camera costs is told apart
            row.target.get("precision") == "int8",
            computes_as_a_board(row) and _images(row) == whole,
            _images(row),
            computes_as_a_board(row),
            row.place == "board",
        ),
        default=None,
    )


def score_of_teacher(entry: Entry) -> Row | None:
    rows = rows_of(entry)
    return next((row for row in rows if row.subject == "teacher" and row.top1 is not None), None)


def computes_as_a_board(row: Row) -> bool:
    """Whether its logits are a reference's in the board's integers: it is that, or has its bytes.

    A browser's are compared with LiteRT's on the PC, which rounds in its own way.
    """
    parity = row.target.get("parity") or {}
    same = parity.get("images") and parity.get("identical") == parity["images"]
    return (bool(same) and parity.get("reference") in BYTE_STAGES) or row.engine == "TFLite Micro"


def split_images(entry: Entry) -> int:
    """How many images the test split has, as far as the files beside the results say."""
    parity = entry.parity or {}
    compared = parity.get("split_images", 0) if parity.get("split") == "test" else 0
    card = entry.card.accuracy.get("int8", {}) if entry.card else {}
    in_card = card.get("images", 0) if card.get("split") == "test" else 0
    return max(most_images(rows_of(entry)), compared, in_card)


def show_error(row: Row) -> str:
    """Top-1 ± one standard error."""
    return show_accuracy(row.target["accuracy"]["top1"], _images(row))


def cautions_of(entry: Entry) -> list[str]:
    """What a reader must know before believing this model's scores."""
    said = qat_caution(entry.card.accuracy) if entry.card else []
    row = score_of_student(entry)
    if row is None:
        return said
    accuracy = row.target["accuracy"]
    confusion, split = accuracy.get("confusion") or [], accuracy["split"]
    classes = entry.card.classes if entry.card else list(accuracy.get("per_class_recall", {}))
    if confusion:
        said.append(
            f"± is one standard error. The largest class is {largest_share(confusion):.1%} of the "
            f"{_images(row):,} {split} images; balanced over classes {row.name} has "
            f"{balanced_accuracy(confusion):.2%}."
        )
    warned = cautions(accuracy["top1"], _images(row), confusion, classes, split)
    return said + [f"Warning: {one}." for one in warned]


def show_images(entry: Entry, row: Row) -> str:
    """What a score is of; a part of the split says so."""
    split, whole = row.target["accuracy"]["split"], split_images(entry)
    if _images(row) < whole:
        return f"only {_images(row):,} of {whole:,} {split} images"
    return f"{_images(row):,} {split} images"


def _images(row: Row) -> int:
    return int(row.target["accuracy"]["images"])
