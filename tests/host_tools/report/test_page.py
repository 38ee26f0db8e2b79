"""The HTML page in a browser: it loads nothing, fits a phone, and gives a screenshot."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from PIL import Image
from tiny_run import make_images
from webdriver import browser

from host_tools.phone.assets import install_runtime
from host_tools.report.__main__ import main
from host_tools.report.entries import load_entries
from host_tools.report.page import page
from host_tools.report.tags import anchor
from swin2mcu.common.paths import ZOO


def test_each_run_has_an_anchor_of_its_own() -> None:
    names = ("a b", "a-b", "a_b", "a_20_b", "small-96", "é", "x")
    found = [anchor(SimpleNamespace(name=name)) for name in names]  # type: ignore[arg-type]
    assert len(set(found)) == len(names) and "model-small-96" in found


def test_the_page_loads_nothing_and_fits_a_phone(zoo: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    images = make_images(tmp_path / "images")
    assert main([str(zoo), "--out", str(out), "--data", str(images)]) == 0
    with browser() as page:
        page.open("about:blank")
        page.requests()
        page.open(out.as_uri())
        page.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
        text = page.run("return document.body.innerText")
        for words in (
            "24.3 M instructions",
            "Confusion matrix",
            "(estimate)",
            "the form it must equal",
        ):
            assert words in text, words
        assert "same top-1 for 199, at most 0.0012 off" in text
        assert "The worst mistakes" in text
        assert page.run("return document.scripts.length") == 0, "names are text, not markup"
        asked = [one for one in page.requests() if not one.startswith(("data:", "chrome"))]
        assert asked == [out.as_uri()]
        page.run((install_runtime(development=True) / "axe-core" / "axe.min.js").read_text())
        found = page.run("return axe.run().then(r => r.violations.map(v => v.id + ': ' + v.help))")
        assert found == []
        page.resize(390, 844)
        # Not innerWidth: a page that is too wide makes a phone zoom out, and that grows with it.
        assert page.run("return document.scrollingElement.scrollWidth") <= 390
        right = page.run(
            "return Math.max(...[...document.querySelectorAll('svg, table')].map(one => "
            "one.getBoundingClientRect().right))"
        )
        assert 300 < right <= 390, "every drawing and table fits"


class Beacon(BaseHTTPRequestHandler):
    """Hears whatever a page sends to nowhere.test."""

    heard: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.heard.append(self.path)
        self.send_error(404)


def test_the_plots_say_what_the_largest_class_alone_gives() -> None:
    entries, _ = load_entries([ZOO])
    text = page(entries, [], {}, {})
    plots = text.partition("Accuracy against cost")[2].partition("</section>")[0]
    figures = plots.count("<figure>")
    assert plots.count("The largest class alone gives 29.7%.") == figures == 2
    # Another data set among them: then there is no such share for all.
    one = dict(next(iter(entries[0].results.targets.values())))
    one["accuracy"] = {**one["accuracy"], "confusion": [[1000, 0], [4, 800]]}
    entries[0].results.targets["another"] = one
    assert "The largest class alone gives" not in page(entries, [], {}, {})


def test_a_foreign_picture_is_refused_by_the_page_itself(zoo: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert main([str(zoo), "--out", str(out), "--no-pictures"]) == 0
    html = out.read_text()
    start = html.index('<meta http-equiv="Content-Security-Policy"')
    unguarded = html[:start] + html[html.index(">", start) + 1 :]
    Beacon.heard.clear()
    beacon = ThreadingHTTPServer(("127.0.0.1", 0), Beacon)
    threading.Thread(target=beacon.serve_forever, daemon=True).start()
    rules = f"--host-resolver-rules=MAP nowhere.test 127.0.0.1:{beacon.server_port}"
    with browser(rules) as page:
        for name, text in (("guarded", html), ("unguarded", unguarded)):
            file = tmp_path / f"{name}.html"
            picture = f'<main><img src="http://nowhere.test/{name}.png">'
            file.write_text(text.replace("<main>", picture))
            page.open(file.as_uri())
    beacon.shutdown()
    beacon.server_close()
    assert Beacon.heard == ["/unguarded.png"], "without the guard it is heard: the check can fail"


def test_a_screenshot_is_small(zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, picture = tmp_path / "r.html", tmp_path / "r.png"
    arguments = [str(zoo), "--out", str(out), "--no-pictures", "--screenshot", str(picture)]
    assert main(arguments) == 0
    with Image.open(picture) as image:
        assert image.size == (1000, 760)
        assert len(image.convert("RGB").getcolors() or []) > 8, "an empty page has fewer"
    assert picture.stat().st_size < 60_000
    monkeypatch.setenv("PATH", "")
    assert main(arguments) == 2
