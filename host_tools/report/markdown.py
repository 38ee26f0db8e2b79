"""The results table of the README, as Markdown: one line a model."""

from __future__ import annotations

from collections.abc import Sequence

from host_tools.report.entries import Entry, Row, rows_of, show_cost, show_memory, three_digits
from host_tools.report.scores import score_of_student, show_error, show_images
from swin2mcu.common.accuracy import largest_share

PC = "on the PC"
TITLES = (
    "model",
    "input",
    "int8 top-1 ± one standard error",
    PC,
    "on boards",
    "arena",
    "bytes equal to the PC's",
)


def markdown(entries: Sequence[Entry]) -> str:
    """Each model's score in the board's own integers, its cost on the PC and on every board.

    The processor stands in the heading, or beside each time where there are several: times of
    different PCs are not compared.
    """
    processors = {_hardware(row) for entry in entries for row in _on_pc(entry)}
    several = len(processors) > 1
    one = f" ({processors.pop()})" if len(processors) == 1 else ""
    heads = [title + (one if title == PC else "") for title in TITLES]
    lines = ["| " + " | ".join(map(_escaped, heads)) + " |", "|" + "---|" * len(TITLES)]
    for entry in entries:
        cells = (entry.name, _input(entry), _score(entry), *_costs(entry, several))
        lines.append("| " + " | ".join(_escaped(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _input(entry: Entry) -> str:
    if entry.card is None:
        return ""
    macs = f", {three_digits(entry.card.macs / 1e6)} M MACs" if entry.card.macs else ""
    return f"{entry.card.input_shape[0]} px{macs}"


def _score(entry: Entry) -> str:
    row = score_of_student(entry)
    if row is None:
        return ""
    confusion = row.target["accuracy"].get("confusion")
    largest = f"; the largest class is {largest_share(confusion):.1%}" if confusion else ""
    return f"{show_error(row)}, {show_images(entry, row)}{largest}"


def _students(entry: Entry) -> list[Row]:
    return [row for row in rows_of(entry) if row.subject == "student" and row.cost]


def _on_pc(entry: Entry) -> list[Row]:
    """In the runtime that people would use."""
    return [row for row in _students(entry) if row.name == "pc-litert-int8"]


def _hardware(row: Row) -> str:
    return str(row.target.get("hardware", "an unknown PC")).partition(",")[0]


def _costs(entry: Entry, several: bool) -> tuple[str, str, str, str]:
    """On the PC, with its processor if there are `several`; on boards, the arena, the bytes."""
    students = _students(entry)
    # What a camera's frames cost is said in the report, beside the same photos without a camera.
    boards = [row for row in students if row.place == "board" and not row.target.get("frames")]
    return (
        "; ".join(
            show_cost(row) + (f" ({_hardware(row)})" if several else "") for row in _on_pc(entry)
        ),
        "; ".join(f"{row.name}: {show_cost(row)}" for row in boards),
        max((show_memory(row).removesuffix(" arena") for row in boards), key=_number, default=""),
        "; ".join(dict.fromkeys(_identical(row) for row in boards)),
    )


def _number(shown: str) -> float:
    return float(shown.split(" ")[0].replace(",", "") or 0)


def _identical(row: Row) -> str:
    parity = row.target.get("parity") or {}
    return f"{parity.get('identical', 0):,} of {parity.get('images', 0):,} images"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
