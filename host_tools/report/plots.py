"""Drawings of the report as inline SVG: they print, scale, follow dark mode and need no library.

Colors are CSS classes of the page (`pc`, `phone`, `board`), never values of their own. Each is
drawn twice, for a desk and for a phone; the page's style shows the one that fits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from host_tools.report.render import Markup

HEIGHT = 340
LEFT, RIGHT, TOP, BOTTOM = 42, 24, 30, 44  # the right one holds half of the last tick's number
SCATTER_WIDTHS = (570, 360)  # desk: two side by side; phone
DISTRIBUTION_WIDTHS = (760, 360)
TICK_APART = 44  # px that "10,000" needs
LABELS_LEFT = 160  # of a distribution: room for the longest target's name


@dataclass(frozen=True)
class Point:
    x: float
    y: float
    series: str  # points of one series are joined, and named once
    label: str
    place: str  # its CSS class
    hollow: bool = False  # float32; int8 is filled
    error: float = 0.0  # one standard error of y
    images: str = ""  # the number of images, if another point has more


@dataclass(frozen=True)
class Curve:
    name: str
    place: str  # its CSS class
    points: Sequence[tuple[float, float]]


def curves(found: Sequence[Curve], x_title: str, y_title: str, percent: bool) -> Markup:
    """Curves over one axis, both linear; with `percent` the other one ends at 0 and 100."""
    return _for_both(SCATTER_WIDTHS, lambda width: _curves(found, x_title, y_title, percent, width))


def scatter(points: Sequence[Point], x_title: str, y_title: str) -> Markup:
    """Accuracy (linear, %) against cost (logarithmic), a line for each series."""
    return _for_both(SCATTER_WIDTHS, lambda width: _scatter(points, x_title, y_title, width))


def distributions(rows: Sequence[tuple[str, str, Sequence[float]]], unit: str) -> Markup:
    """One line per (label, place, quantiles from 0 to 100 %): range, middle half, median."""
    return _for_both(DISTRIBUTION_WIDTHS, lambda width: _distributions(rows, unit, width))


def _for_both(widths: tuple[int, int], draw: Callable[[int], Markup]) -> Markup:
    wide, narrow = (draw(width) for width in widths)
    return Markup('<div class="wide">{}</div><div class="narrow">{}</div>').format(wide, narrow)


def _scatter(points: Sequence[Point], x_title: str, y_title: str, width: int) -> Markup:
    low, high = _decades([point.x for point in points])
    floor, ceiling, step = _percent_axis([point.y for point in points])

    def at(point: Point) -> tuple[float, float]:
        across = (math.log10(point.x) - low) / (high - low)
        up = (point.y - floor) / (ceiling - floor)
        return (
            LEFT + across * (width - LEFT - RIGHT),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )

    parts: list[Markup] = []
    for decade in _ticks(low, high, width - LEFT - RIGHT):
        x, _ = at(Point(10.0**decade, floor, "", "", ""))
        parts.append(_line(x, TOP, x, HEIGHT - BOTTOM))
        parts.append(_text(x, HEIGHT - BOTTOM + 18, _plain(10.0**decade), "middle"))
    value = floor
    while value <= ceiling + 1e-9:
        _, y = at(Point(10.0**low, value, "", "", ""))
        parts.append(_line(LEFT, y, width - RIGHT, y))
        parts.append(_text(LEFT - 8, y + 4, f"{value:g}", "end"))
        value += step
    parts.append(_text((LEFT + width - RIGHT) / 2, HEIGHT - 6, x_title, "middle", "title"))
    parts.append(_text(0, TOP - 16, y_title, "start", "title"))
    ordered = sorted(points, key=lambda point: (point.series, point.x))
    # What labels must not cover: first the points, then the labels that exist already.
    taken = [(x - 8, y - 8, x + 8, y + 8) for x, y in map(at, ordered)]
    for series in dict.fromkeys(point.series for point in ordered):
        members = [point for point in ordered if point.series == series]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(at, members))
        parts.append(
            Markup('<polyline class="{} series" points="{}"/>').format(members[0].place, path)
        )
        for point in members:
            x, y = at(point)
            if point.error:
                _, top = at(replace(point, y=min(point.y + point.error, ceiling)))
                _, bottom = at(replace(point, y=max(point.y - point.error, floor)))
                parts.append(_line(x, top, x, bottom, f"{point.place} error"))
            shape = "hollow" if point.hollow else "solid"
            told = (
                f"{point.label}, {series}: {point.y:.1f} ± {point.error:.1f} %{point.images}, "
                f"{_plain(point.x)}"
            )
            parts.append(
                Markup(
                    '<circle class="{} {}" cx="{:.1f}" cy="{:.1f}" r="5.5">'
                    "<title>{}</title></circle>"
                ).format(point.place, shape, x, y, told)
            )
        x, y, anchor = _free_place(*at(members[-1]), 6.7 * len(series), width, taken)
        parts.append(_text(x, y, series, anchor))
    return _svg(width, HEIGHT, parts, f"{y_title} against {x_title}")


def _curves(
    found: Sequence[Curve], x_title: str, y_title: str, percent: bool, width: int
) -> Markup:
    across = [x for curve in found for x, _ in curve.points]
    up = [y for curve in found for _, y in curve.points]
    first, last = min(across), max(max(across), min(across) + 1)
    floor, ceiling, step = _percent_axis(up) if percent else _axis(up)

    def at(x: float, y: float) -> tuple[float, float]:
        right, high = (x - first) / (last - first), (y - floor) / (ceiling - floor)
        return (
            LEFT + right * (width - LEFT - RIGHT),
            HEIGHT - BOTTOM - high * (HEIGHT - TOP - BOTTOM),
        )

    parts: list[Markup] = []
    every = next(n for n in _round_numbers() if (last - first) / n * TICK_APART < width - LEFT)
    for tick in range(math.ceil(first / every) * every, int(last) + 1, every):
        x, bottom = at(tick, floor)
        parts.append(_line(x, TOP, x, bottom))
        parts.append(_text(x, bottom + 18, f"{tick:,}", "middle"))
    for number in range(round((ceiling - floor) / step) + 1):
        left, y = at(first, floor + number * step)
        parts.append(_line(left, y, width - RIGHT, y))
        parts.append(_text(left - 8, y + 4, f"{floor + number * step:.4g}", "end"))
    parts.append(_text((LEFT + width - RIGHT) / 2, HEIGHT - 6, x_title, "middle", "title"))
    parts.append(_text(0, TOP - 16, y_title, "start", "title"))
    for curve in found:
        path = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in curve.points)
        parts.append(Markup('<polyline class="{} curve" points="{}"/>').format(curve.place, path))
        (x, y), value = at(*curve.points[-1]), curve.points[-1][1]
        parts.append(
            Markup(
                '<circle class="{} solid" cx="{:.1f}" cy="{:.1f}" r="4"><title>{}</title></circle>'
            ).format(curve.place, x, y, f"{curve.name}, last: {value:.4g}")
        )
    return _svg(width, HEIGHT, parts, f"{y_title} over {x_title}s")


def _distributions(
    rows: Sequence[tuple[str, str, Sequence[float]]], unit: str, width: int
) -> Markup:
    pitch, left = 30, LABELS_LEFT
    height = TOP + pitch * len(rows) + BOTTOM
    low, high = _decades([value for _, _, quantiles in rows for value in quantiles])

    def across(value: float) -> float:
        return left + (math.log10(value) - low) / (high - low) * (width - left - RIGHT)

    parts: list[Markup] = []
    for decade in _ticks(low, high, width - left - RIGHT):
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
            Markup(
                '<rect class="{} box" x="{:.1f}" y="{:.1f}" rx="2" width="{:.1f}" height="12"/>'
            ).format(place, lower, y - 6, max(upper - lower, 2))
        )
        parts.append(_line(median, y - 9, median, y + 9, f"{place} median"))
    parts.append(_text((left + width - RIGHT) / 2, height - 6, unit, "middle", "title"))
    return _svg(width, height, parts, f"distribution of single runs, {unit}")


Box = tuple[float, float, float, float]  # left, top, right, bottom


def _free_place(
    x: float, y: float, length: float, width: int, taken: list[Box]
) -> tuple[float, float, str]:
    """Where a point's label fits: beside it, above or below, or farther away if necessary."""
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
            left = x + dx - {"start": 0.0, "middle": length / 2, "end": length}[anchor]
            box = (left, y + dy - 10, left + length, y + dy + 3)
            inside = box[0] > LEFT and box[2] < width and box[1] > TOP and box[3] < HEIGHT - BOTTOM
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


def _ticks(low: float, high: float, length: float) -> range:
    """The powers of ten that are drawn: every second one where their numbers would touch."""
    apart = length / (high - low)
    return range(math.ceil(low), math.floor(high) + 1, 1 if apart > TICK_APART else 2)


def _round_numbers() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50, …"""
    return (digit * 10**power for power in range(10) for digit in (1, 2, 5))


def _axis(values: Sequence[float]) -> tuple[float, float, float]:
    """Lowest and highest value of an axis that holds `values`, and the distance of its ticks."""
    spread = max(values) - min(values) or abs(max(values)) or 1.0
    unit = 10.0 ** math.floor(math.log10(spread / 6))
    step = next(n * unit for n in (1, 2, 5, 10) if spread / (n * unit) <= 6)
    floor = math.floor(min(values) / step) * step
    return floor, max(math.ceil(max(values) / step) * step, floor + step), step


def _percent_axis(values: Sequence[float]) -> tuple[float, float, float]:
    spread = max(values) - min(values)
    step = next(step for step in (1, 2, 5, 10, 20, 50) if spread / step <= 6)
    floor = max(0.0, math.floor(min(values) / step - 0.25) * step)
    ceiling = min(100.0, math.ceil(max(values) / step + 0.25) * step)
    return floor, max(ceiling, floor + step), step


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:.3g}"


def _line(x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> Markup:
    line = Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
    return line.format(kind, x1, y1, x2, y2)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> Markup:
    element = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>')
    return element.format(x, y, anchor, kind, text)


def _svg(width: int, height: int, parts: Sequence[Markup], name: str) -> Markup:
    return Markup(
        '<svg viewBox="0 0 {0} {1}" style="max-width: {0}px" role="img" aria-label="{2}">{3}</svg>'
    ).format(width, height, name, Markup("").join(parts))
