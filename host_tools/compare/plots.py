"""Drawings of the report as inline SVG: they print, scale, follow dark mode and need no library.

Colours are CSS classes of the page (`pc`, `phone`, `board`), never values of their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 30, 44


@dataclass(frozen=True)
class Point:
    x: float
    y: float
    series: str  # points of one series are joined, and named once
    label: str
    place: str  # its CSS class
    hollow: bool = False  # float32; int8 is filled


def scatter(points: Sequence[Point], x_title: str, y_title: str) -> str:
    """Accuracy (linear, %) against cost (logarithmic), a line for each series."""
    low, high = _decades([point.x for point in points])
    floor, ceiling, step = _percent_axis([point.y for point in points])

    def at(point: Point) -> tuple[float, float]:
        across = (math.log10(point.x) - low) / (high - low)
        up = (point.y - floor) / (ceiling - floor)
        return (
            LEFT + across * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )

    parts = []
    for decade in range(math.ceil(low), math.floor(high) + 1):
        x, _ = at(Point(10.0**decade, floor, "", "", ""))
        parts.append(_line(x, TOP, x, HEIGHT - BOTTOM))
        parts.append(_text(x, HEIGHT - BOTTOM + 18, _plain(10.0**decade), "middle"))
    value = floor
    while value <= ceiling + 1e-9:
        _, y = at(Point(10.0**low, value, "", "", ""))
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y))
        parts.append(_text(LEFT - 8, y + 4, f"{value:g}", "end"))
        value += step
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_title, "middle", "title"))
    parts.append(_text(0, TOP - 16, y_title, "start", "title"))
    ordered = sorted(points, key=lambda point: (point.series, point.x))
    # What labels must not cover: first the points, then the labels that are there already.
    taken = [(x - 8, y - 8, x + 8, y + 8) for x, y in map(at, ordered)]
    for series in dict.fromkeys(point.series for point in ordered):
        members = [point for point in ordered if point.series == series]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(at, members))
        parts.append(f'<polyline class="{members[0].place} series" points="{path}"/>')
        for point in members:
            x, y = at(point)
            shape = "hollow" if point.hollow else "solid"
            parts.append(
                f'<circle class="{point.place} {shape}" cx="{x:.1f}" cy="{y:.1f}" r="5.5"><title>'
                f"{escape(point.label)}, {escape(series)}: {point.y:.1f} %, {_plain(point.x)}"
                "</title></circle>"
            )
        x, y, anchor = _free_place(*at(members[-1]), 6.7 * len(series), taken)
        parts.append(_text(x, y, series, anchor))
    return _svg(WIDTH, HEIGHT, "".join(parts), f"{y_title} against {x_title}")


def distributions(rows: Sequence[tuple[str, str, Sequence[float]]], unit: str) -> str:
    """One line per (label, place, quantiles from 0 to 100 %): range, middle half, median."""
    pitch, left = 30, 190
    height = TOP + pitch * len(rows) + BOTTOM
    low, high = _decades([value for _, _, quantiles in rows for value in quantiles])

    def across(value: float) -> float:
        return left + (math.log10(value) - low) / (high - low) * (WIDTH - left - RIGHT)

    parts = []
    for decade in range(math.ceil(low), math.floor(high) + 1):
        x = across(10.0**decade)
        parts.append(_line(x, TOP, x, height - BOTTOM))
        parts.append(_text(x, height - BOTTOM + 18, _plain(10.0**decade), "middle"))
    for number, (label, place, quantiles) in enumerate(rows):
        y = TOP + pitch * number + pitch / 2
        last = len(quantiles) - 1
        cuts = [quantiles[round(share * last)] for share in (0, 0.25, 0.5, 0.75, 0.95)]
        start, lower, median, upper, most = (across(value) for value in cuts)
        parts.append(_text(left - 12, y + 4, label, "end"))
        parts.append(_line(start, y, most, y, f"{place} whisker"))
        parts.append(
            f'<rect class="{place} box" x="{lower:.1f}" y="{y - 6:.1f}" rx="2" '
            f'width="{max(upper - lower, 2):.1f}" height="12"/>'
        )
        parts.append(_line(median, y - 9, median, y + 9, f"{place} median"))
    parts.append(_text((left + WIDTH - RIGHT) / 2, height - 6, unit, "middle", "title"))
    return _svg(WIDTH, height, "".join(parts), f"distribution of single runs, {unit}")


Box = tuple[float, float, float, float]  # left, top, right, bottom


def _free_place(x: float, y: float, width: float, taken: list[Box]) -> tuple[float, float, str]:
    """Where a label of a point fits: beside it, above or below, and if need be further off."""
    for far in (0, 14, 28, 42):
        for dx, dy, anchor in (
            (10, 4, "start"),
            (-10, 4, "end"),
            (0, -11 - far, "middle"),
            (0, 20 + far, "middle"),
            (8, -9 - far, "start"),
            (8, 18 + far, "start"),
            (-8, -9 - far, "end"),
            (-8, 18 + far, "end"),
        ):
            left = x + dx - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
            box = (left, y + dy - 10, left + width, y + dy + 3)
            inside = box[0] > LEFT and box[2] < WIDTH and box[1] > TOP and box[3] < HEIGHT - BOTTOM
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                return x + dx, y + dy, anchor
    return x + 10, y + 4, "start"


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _decades(values: Sequence[float]) -> tuple[float, float]:
    low, high = math.log10(min(values)), math.log10(max(values))
    margin = max(0.12 * (high - low), 0.15)
    return math.floor((low - margin) * 4) / 4, math.ceil((high + margin) * 4) / 4


def _percent_axis(values: Sequence[float]) -> tuple[float, float, float]:
    spread = max(values) - min(values)
    step = next(step for step in (1, 2, 5, 10, 20, 50) if spread / step <= 6)
    floor = max(0.0, math.floor(min(values) / step - 0.25) * step)
    ceiling = min(100.0, math.ceil(max(values) / step + 0.25) * step)
    return floor, max(ceiling, floor + step), step


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:.3g}"


def _line(x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'
    )


def _svg(width: int, height: int, body: str, name: str) -> str:
    return (
        '<div class="plot" tabindex="0" role="group" aria-label="drawing, scrolls sideways">'
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(name)}">{body}</svg>'
        "</div>"
    )
