"""The report's last section: the paper's figures, and each of our models under them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from host_tools.report.entries import SWIN_LARGE, Entry, rows_of, show_cost
from host_tools.report.render import Markup, Table, render
from host_tools.report.scores import score_of_student, score_of_teacher, show_error, show_images
from host_tools.report.tags import figure, short
from swin2mcu.common.paths import PAPER

COLUMNS = ("Model", "Top-1", "Its teacher", "Latency on a PC's CPU", "Latency on a phone's CPU")


def paper_section(entries: Sequence[Entry]) -> Markup:
    """The paper's figures above ours; the text says that the machines differ."""
    paper = json.loads(PAPER.read_text(encoding="utf-8"))
    return render(
        "paper.html",
        about_theirs=f"{paper['note']} Source: {paper['source']}. "
        "Neither machines nor split are known, so the figures are for orientation only.",
        about_ours=_about_ours(entries),
        lines=Table(COLUMNS, [*map(_theirs, paper["rows"]), *map(_ours, entries)]),
    )


def _theirs(row: dict[str, Any]) -> list[str]:
    """The cells of a row of paper.json, whose values are texts."""
    top1 = next((figure(row[key], key) for key in ("int8", "float") if row.get(key)), "")
    times = [f"{row[key]} ms" if row.get(key) else "" for key in ("latency", "phone")]
    texts = (row.get("name", ""), row.get("teacher", ""), *times)
    name, teacher, pc, phone = (str(text) for text in texts)
    return [name, top1, teacher, pc, phone]


def _ours(entry: Entry) -> list[str]:
    student, teacher = score_of_student(entry), score_of_teacher(entry)
    cells = [entry.name]
    if student is None:
        cells.append("not measured")
    else:
        about = f"{short(student)}, {show_images(entry, student)}"
        cells.append(figure(show_error(student), about))
    if teacher is None:
        cells.append("not measured")
    else:
        texts = (teacher.described, show_images(entry, teacher))
        cells.append(figure(show_error(teacher), "; ".join(text for text in texts if text)))
    return [*cells, _latency(entry, "PC"), _latency(entry, "phone")]


def _latency(entry: Entry, place: str) -> str:
    """The student's fastest target in one place, on one thread of a real clock.

    In int8, whose accuracy stands beside it, or in float where that is all there is.
    """
    timed = [
        (row.milliseconds, row)
        for row in rows_of(entry)
        if row.subject == "student"
        and row.place == place
        and row.milliseconds is not None
        and (row.target.get("threads") or 1) == 1
    ]
    if not timed:
        return "not measured"
    in_int8 = [pair for pair in timed if pair[1].target.get("precision") == "int8"]
    row = min(in_int8 or timed, key=lambda pair: pair[0])[1]
    return figure(show_cost(row), short(row))


def _about_ours(entries: Sequence[Entry]) -> str:
    """How the scores of our models were chosen, and what Swin-L cost beside each model."""
    said = (
        "Our models are not ordered or chosen by their score: top-1 is the int8 "
        "model's, in a board's own integers wherever those saw the whole split, ± one standard "
        "error; latency is the median of the fastest int8 runtime on one thread."
    )
    costs = [
        f"{show_cost(row)} beside {entry.name}"
        for entry in entries
        for row in rows_of(entry)
        if row.name == SWIN_LARGE
    ]
    if costs:
        said += f" Swin-L took, in PyTorch on one thread of a PC, {', '.join(costs)}."
    return said
