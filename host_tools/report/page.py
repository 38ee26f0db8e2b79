"""Entries → one HTML page that needs no network, no script and no file beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from host_tools.report.answers import answers
from host_tools.report.entries import Entry, Row, most_images, rows_of
from host_tools.report.model_section import model_section
from host_tools.report.paper import paper_section
from host_tools.report.pictures import Picture
from host_tools.report.plots import Point, scatter
from host_tools.report.render import render
from host_tools.report.tags import anchor, count, place_class, short
from swin2mcu.common.accuracy import largest_share, standard_error

# The page may load nothing; the browser enforces it even if a name in the data holds markup.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(
    entries: Sequence[Entry],
    complaints: Sequence[str],
    pictures: Mapping[Path, list[Picture]],
    attention: Mapping[Path, str],
) -> str:
    """The whole document; a model's folder leads to its worst mistakes and its attention maps."""
    targets = sum(len(entry.results.targets) for entry in entries)
    return render(
        "page.html",
        policy=POLICY,
        summary=f"{count(len(entries), 'model')}, {count(targets, 'measurement')} on "
        f"{_places(entries)}.",
        now=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        complaints=complaints,
        links=[(anchor(entry), entry.name) for entry in entries],
        answers=answers(entries),
        figures=_overview(entries),
        models=[
            model_section(entry, pictures.get(entry.folder, []), attention.get(entry.folder))
            for entry in entries
        ],
        paper=paper_section(entries),
    )


def _places(entries: Sequence[Entry]) -> str:
    """The places where something was measured."""
    found = {row.place for entry in entries for row in rows_of(entry)}
    known = [place for place in ("PC", "phone", "board", "estimate") if place in found]
    return " and ".join(filter(None, (", ".join(known[:-1]), *known[-1:])))


def _overview(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Accuracy against cost, once per unit: a clock's milliseconds and instructions do not mix."""
    figures = []
    shown = [(entry, rows, most_images(rows)) for entry in entries for rows in [rows_of(entry)]]
    for unit, title in (("us", "milliseconds, median"), ("instructions", "million instructions")):
        points = [
            Point(
                row.cost["p50"] / (1000 if unit == "us" else 1e6),
                100 * row.top1,
                short(row),
                entry.name,
                place_class(row),
                row.target.get("precision") == "float32",
                100 * standard_error(row.top1, row.target["accuracy"]["images"]),
                _part(row, most),
            )
            for entry, rows, most in shown
            for row in rows
            if row.cost.get("unit") == unit
            and row.cost["p50"] > 0  # the axis is logarithmic
            and row.top1 is not None
            and (row.target.get("threads") or 1) == 1
        ]
        if points:
            caption = (
                "On one thread; filled: int8, ring: float32."
                if unit == "us"
                else ("Emulated boards: a count of instructions, not a time.")
            )
            caption += _largest_class(shown)
            plot = scatter(points, title, "top-1 %")
            figures.append({"plot": plot, "places": _legend(points), "caption": caption})
    return figures


def _largest_class(shown: Sequence[tuple[Entry, Sequence[Row], int]]) -> str:
    """What always answering the largest class scores, if all whole sets of images agree on it."""
    whole = [
        accuracy
        for _, rows, most in shown
        for row in rows
        if (accuracy := row.target.get("accuracy") or {}).get("images") == most
    ]
    shares = {f"{largest_share(a['confusion']):.1%}" for a in whole if a.get("confusion")}
    return f" The largest class alone gives {shares.pop()}." if len(shares) == 1 else ""


def _legend(points: Sequence[Point]) -> list[tuple[str, str]]:
    """(CSS class, name) of each place that has a point."""
    names = {"pc": "PC", "phone": "phone", "board": "board", "estimate": "estimate"}
    return [(place, names[place]) for place in dict.fromkeys(point.place for point in points)]


def _part(row: Row, most: int) -> str:
    """The number of images of a point, if another point of its model has more."""
    images = row.target["accuracy"]["images"]
    return "" if images == most else f" of {images:,} images only"
