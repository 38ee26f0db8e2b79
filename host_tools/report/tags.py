"""Small pieces of HTML, and names as several sections of the report write them."""

from __future__ import annotations

from host_tools.report.entries import Entry, Row
from host_tools.report.render import Markup


def bar(share: float, text: str) -> Markup:
    """A bar as long as its share of 1, before its text."""
    return Markup('<span class="bar" style="--share:{}"></span> {}').format(
        f"{0.7 * share:.4f}", text
    )


def dot(row: Row) -> Markup:
    """A target's name behind a dot in the color of its place."""
    return Markup('<span class="dot {}" aria-hidden="true"></span>{}').format(
        place_class(row), row.name
    )


def figure(shown: str, about: str) -> Markup:
    """A figure with what it is of in small letters."""
    return Markup("<span>{}<small>{}</small></span>").format(shown, about)


def place_class(row: Row) -> str:
    return row.place.lower() if row.place in ("PC", "phone", "board", "estimate") else "estimate"


def short(row: Row) -> str:
    return row.name.removeprefix("pc-").removeprefix("phone-")


def words(name: str) -> str:
    return name.replace("_", " ")


def anchor(entry: Entry) -> str:
    """An id of the page; each name has its own."""
    return "model-" + "".join(c if c.isalnum() or c == "-" else f"_{ord(c):x}_" for c in entry.name)


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
