"""Save a matplotlib figure as a small SVG; equal figures give equal bytes."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from swin2mcu.common.cli import write_atomic

NUMBER = re.compile(r"-?\d+\.\d+")
EMPTY = re.compile(r'<path id="(g[\da-f]+)" transform="[^"]*"/>\s*')  # the space: no outline
GLYPH = re.compile(r'(?<=id=")DejaVu[\w-]+')
UNUSED = re.compile(r'<g id="(?:line2d|text|[xy]tick)_\d+"')
DIGITS = 2  # after the decimal point, of a length in points (1/72 inch) or in a glyph's units


def save_svg(figure: Any, path: Path) -> None:
    """Write `figure` to `path` atomically."""
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "swin2mcu"}):  # without it, ids are random
        figure.savefig(text, format="svg", metadata={"Date": None})
    write_atomic(path, simplify(text.getvalue()))


def simplify(text: str) -> str:
    """The same picture in fewer bytes: short names of glyphs, none for a space, shorter numbers.

    Text remains glyphs, so that it looks the same without matplotlib's font.
    """
    for number, name in enumerate(dict.fromkeys(GLYPH.findall(text))):
        text = re.sub(rf'(?<=["#]){re.escape(name)}(?=")', f"g{number:x}", text)
    text = re.sub(r'<use xlink:href="(#g[\da-f]+)"', r'<use href="\1"', text)
    text = re.sub(
        r'(<use href="#g[\da-f]+") transform="translate\((\S+) 0\)"/>',
        lambda found: f'{found[1]} x="{round(float(found[2]))}"/>',  # a unit is below 0.1 points
        text,
    )
    for name in EMPTY.findall(text):
        text = re.sub(rf'<use href="#{name}"[^>]*/>\s*', "", text)
    text = EMPTY.sub("", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = UNUSED.sub("<g", text).replace("<g/>", "")  # nothing refers to these groups
    head, svg, body = text.partition("<svg ")
    body = NUMBER.sub(lambda found: _short(found[0]), body)
    body = re.sub(r"\s*\n\s*", "\n", body)
    body = re.sub(r' (?=[\n"])', "", body)
    body = re.sub(r'/>\n(?=<use href="#g)', "/>", body)  # a line of text is a line
    body = re.sub(
        r'(?<= d=")[^"]*', lambda found: re.sub(r"\s*([A-Za-z])\s*", r"\1", found[0]), body
    )
    return head + svg + body


def _short(number: str) -> str:
    return (
        f"{float(number):.{DIGITS}f}".rstrip("0").rstrip(".") if abs(float(number)) >= 1 else number
    )
