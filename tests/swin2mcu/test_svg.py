"""A smaller SVG is the same picture."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from matplotlib.figure import Figure

from swin2mcu.common.svg import save_svg, simplify

TITLE = "A title <of> its own"


def drawn(path: Path) -> str:
    figure = Figure(figsize=(3, 2))
    axes = figure.add_subplot(title=TITLE, xlabel="epoch")
    axes.plot([0, 1, 2], [0.123456789, -1e-9, 12345.6789], marker="o", label="line")
    axes.legend()
    save_svg(figure, path)
    return path.read_text()


def test_equal_figures_give_equal_bytes(tmp_path: Path) -> None:
    text = drawn(tmp_path / "one.svg")
    assert text == drawn(tmp_path / "two.svg")
    assert simplify(text) == text


def test_every_glyph_that_is_used_is_defined_once_and_keeps_its_place(tmp_path: Path) -> None:
    text = drawn(tmp_path / "one.svg")
    assert "DejaVuSans-" not in text
    root = ElementTree.fromstring(text)
    defined = [node.get("id") for node in root.iter() if node.get("id")]
    assert len(defined) == len(set(defined))
    link = "{http://www.w3.org/1999/xlink}href"
    uses = list(root.iter("{http://www.w3.org/2000/svg}use"))
    assert len(uses) > 20
    for node in uses:
        assert (node.get("href") or node.get(link)).removeprefix("#") in defined
    title = text.partition(f"<!-- {escape(TITLE)} -->")[2].partition("</g>")[0]
    places = [float(x) for x in re.findall(r'<use href="#g[0-9a-f]+" x="([0-9.]+)"/>', title)]
    letters = len(TITLE) - TITLE.count(" ")  # a space draws nothing; the first letter is at 0
    assert len(places) == letters - 1 and places == sorted(places)


def test_numbers_keep_two_digits_and_small_ones_all() -> None:
    picture = '<svg width="1.23456pt"><path d="M 1.0 -2.345 \nL 0.015625 7 \nz\n"/></svg>'
    assert simplify(picture) == '<svg width="1.23pt"><path d="M1 -2.35L0.015625 7z"/></svg>'
