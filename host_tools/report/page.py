"""Entries → one HTML page that needs no network, no script and no file beside it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from host_tools.report.answers import answers
from host_tools.report.entries import Entry, Row, most_images, rows_of
from host_tools.report.model_section import model_section
from host_tools.report.paper import paper_section
from host_tools.report.pictures import Picture
from host_tools.report.plots import Point, scatter
from host_tools.report.tags import anchor, count, place_class, short
from swin2mcu.common.accuracy import standard_error

STYLE = Path(__file__).with_name("style.css")
# The page may load nothing at all; a browser enforces it even if a name in the data tried.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(
    entries: Sequence[Entry],
    complaints: Sequence[str],
    pictures: dict[str, list[Picture]],
    attention: dict[str, str],
) -> str:
    """The whole document; a model's name leads to its worst mistakes and its attention maps."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    links = "".join(f'<a href="#{anchor(entry)}">{escape(entry.name)}</a>' for entry in entries)
    targets = sum(len(entry.results.targets) for entry in entries)
    body = [
        "<header><h1>From a Swin Transformer to a microcontroller</h1>",
        f'<p class="soft">{count(len(entries), "model")}, {count(targets, "measurement")} on '
        f"{escape(_places(entries))}. Generated {now}.</p>",
        "".join(f'<p class="remark">Left out: {escape(line)}</p>' for line in complaints),
        f'<nav aria-label="models">{links}<a href="#paper">The paper</a></nav></header>',
        answers(entries),
        _overview(entries),
        *(
            model_section(entry, pictures.get(entry.name, []), attention.get(entry.name))
            for entry in entries
        ),
        paper_section(entries),
        "<footer>Made by host_tools/report from results.json files. The page loads nothing."
        "</footer>",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>swin2mcu report</title><style>{STYLE.read_text(encoding='utf-8')}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _places(entries: Sequence[Entry]) -> str:
    """Where anything was measured at all, and no place more."""
    found = {row.place for entry in entries for row in rows_of(entry)}
    known = [place for place in ("PC", "phone", "board", "estimate") if place in found]
    return " and ".join(filter(None, (", ".join(known[:-1]), *known[-1:])))


def _overview(entries: Sequence[Entry]) -> str:
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
            figures.append(
                f"<figure>{scatter(points, title, 'top-1 %')}"
                f"<figcaption>{_legend(points)} {caption}</figcaption></figure>"
            )
    if not figures:
        return ""
    names = ", ".join(escape(entry.name) for entry in entries)
    lines = f"<p>A line joins what one target makes of {names}.</p>" if len(entries) > 1 else ""
    return (
        f"<section><h2>Accuracy against cost</h2>{lines}"
        f'<div class="overview">{"".join(figures)}</div></section>'
    )


def _legend(points: Sequence[Point]) -> str:
    places = dict.fromkeys(point.place for point in points)
    names = {"pc": "PC", "phone": "phone", "board": "board", "estimate": "estimate"}
    return " ".join(f'<span class="dot {place}"></span>{names[place]}' for place in places) + "."


def _part(row: Row, most: int) -> str:
    """Of how many images a point is, where another of its model is of more."""
    images = row.target["accuracy"]["images"]
    return "" if images == most else f" of {images:,} images only"
