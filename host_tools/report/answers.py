"""The four questions a reader comes with, answered at the top of the page, a card each."""

from __future__ import annotations

from collections.abc import Sequence

from host_tools.report.entries import Entry, Row, rows_of, show_cost
from host_tools.report.render import Markup, render
from host_tools.report.scores import (
    computes_as_a_board,
    score_of_student,
    score_of_teacher,
    show_error,
    show_images,
)
from host_tools.report.tags import anchor, short

Card = tuple[str, str, str]  # question, answer, where it comes from


def answers(entries: Sequence[Entry]) -> Markup:
    """One row of cards for each model."""
    models = []
    for entry in entries:
        rows = [row for row in rows_of(entry) if row.subject == "student"]
        cards = [_accurate(entry), _fast(rows), _fits(entry, rows), _true(rows)]
        models.append({"name": entry.name, "anchor": anchor(entry), "cards": cards})
    return render("answers.html", models=models)


def _accurate(entry: Entry) -> Card:
    question = "How accurate is it?"
    best, teacher = score_of_student(entry), score_of_teacher(entry)
    if best is None:
        return question, "not measured", "name the images with --data"
    origin = f"top-1 of {show_images(entry, best)}, {short(best)}"
    if teacher:
        described = f" ({teacher.described})" if teacher.described else ""
        origin += f"; its teacher {show_error(teacher)}{described}"
    return question, show_error(best), origin


def _fast(rows: Sequence[Row]) -> Card:
    """The fastest on a clock in int8, whose accuracy stands beside it, or else in float.

    Emulated boards are counted, so they are named beside it.
    """
    question = "How fast is it?"
    timed = [
        row
        for row in rows
        if row.milliseconds is not None
        and row.place != "estimate"
        and row.target.get("threads") in (None, 1)
    ]
    counted = [row for row in rows if row.cost.get("unit") == "instructions"]
    least = min(counted, key=lambda row: row.cost["p50"], default=None)
    work = f"{show_cost(least)} on {least.name}, emulated" if least else ""
    if not timed:
        return question, show_cost(least) if least else "not measured", "emulated: work, not time"
    in_int8 = [row for row in timed if row.target.get("precision") == "int8"]
    fastest = min(in_int8 or timed, key=lambda row: row.milliseconds or 0.0)
    ratio = f", 1/{1 / fastest.of_large:,.0f} of Swin-L" if fastest.of_large else ""
    said = [f"{short(fastest)}, one {fastest.place} thread{ratio}", work]
    return question, show_cost(fastest), "; ".join(text for text in said if text)


def _fits(entry: Entry, rows: Sequence[Row]) -> Card:
    question = "Does it fit?"
    # The largest of the boards, as in README's table: frames of a camera and PCs are no answer.
    arenas = [
        row
        for row in rows
        if row.place == "board"
        and "arena_bytes" in (row.target.get("memory") or {})
        and not row.target.get("frames")
    ]
    card = entry.card
    parameters = f"{card.parameters / 1e6:.2f} M parameters" if card and card.parameters else ""
    macs = f"{card.macs / 1e6:.3g} M multiply-accumulates" if card and card.macs else ""
    size = ", ".join(text for text in (parameters, macs) if text)
    if not arenas:
        return question, "no board yet", size
    most = max(arenas, key=lambda row: int(row.target["memory"]["arena_bytes"]))
    kibibytes = most.target["memory"]["arena_bytes"] / 1024
    return question, f"{kibibytes:.1f} KiB RAM", f"arena on {most.name}; {size}"


def _true(rows: Sequence[Row]) -> Card:
    """Answers compared with a reference's: the board's where there is one."""
    question = "Is the number true?"
    compared = [row for row in rows if (row.target.get("parity") or {}).get("images")]
    exact = [row for row in compared if "identical" in row.target["parity"]]
    if not exact:
        return question, "not compared", "no target's logits were compared with a reference's"
    # A runtime that rounds in its own way proves nothing about the model.
    row = max(
        exact,
        key=lambda row: (
            row.place == "board" or computes_as_a_board(row),
            row.target["parity"]["images"],
            row.place == "board",
        ),
    )
    parity = row.target["parity"]
    answer = f"{parity['identical']:,} of {parity['images']:,}"
    origin = f"images with logits byte-identical to {parity['reference']}'s, {row.name}"
    return question, answer, origin
