"""The report: nothing leaves the page, nothing is shown as what it is not."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from markupsafe import escape
from PIL import Image
from tiny_run import CLASSES, make_images, make_run
from webdriver import browser

from host_tools.inputs import load_model
from host_tools.phone.assets import install_runtime
from host_tools.report import paper
from host_tools.report.__main__ import main
from host_tools.report.answers import answers
from host_tools.report.entries import (
    LEARNED_FROM,
    Row,
    load_entries,
    remarks,
    rows_of,
    show_cost,
)
from host_tools.report.paper import PAPER, paper_section
from host_tools.report.scores import cautions_of
from host_tools.report.terminal import print_entries
from pytorch_side.config import Config, save_config, with_values

CONFUSION = [[9 if row == column else 0 for column in range(10)] for row in range(10)]
FOREIGN = '<img src="http://nowhere.test/x">'
FLOAT_PARITY = {"reference": "the PC", "images": 200, "same_top1": 199, "max_logit": 0.0012}
ACCURACY = {
    "split": "test",
    "images": 90,
    "top1": 0.9,
    "confusion": CONFUSION,
    "per_class_recall": dict.fromkeys(CLASSES, 1.0),
    "data": "leaves",
}


def target(kind: str, p50: float, **more: Any) -> dict[str, Any]:
    unit = "instructions" if kind == "board" else "us"
    cost = {"unit": unit, "p50": p50, "p95": 2 * p50, "p99": 3 * p50, "min": p50, "mean": p50}
    return {
        "kind": kind,
        "engine": "engine",
        "precision": "int8",
        "hardware": "hardware",
        "versions": {},
        "threads": 1,
        "command": "command",
        "date": "2026-01-01T00:00:00+00:00",
        "session": "one",
        "accuracy": ACCURACY,
        "cost": {**cost, "runs": 50, "quantiles": [p50 * (1 + i / 10) for i in range(21)]},
        "memory": {},
        "parity": None,
        **more,
    }


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """Two models: one measured everywhere, its name an attack; one on the PC alone."""
    nasty = "<script>fetch('http://nowhere.test/')</script>"
    targets = {
        "pc-torch-swin-large-float32": target(
            "pc", 800_000.0, accuracy=None, precision="float32", model={"macs": 34_000_000_000}
        ),
        "pc-torch-float32": target("pc", 4_000.0, model={"macs": 11_000_000}, precision="float32"),
        "pc-litert-int8": target("pc", 600.0),
        "pc-litert-float32": target("pc", 200.0, precision="float32"),
        "pc-litert-float32-2t": target("pc", 150.0, threads=2),
        "phone-browser-int8": target("phone", 5_000.0, engine=FOREIGN, parity=FLOAT_PARITY),
        "qemu-m7-aot": target(
            "board",
            24_300_000.0,
            hardware="Cortex-M7 (emulated)",
            memory={"arena_bytes": 75_000},
            profile=[{"step": "conv0", "operators": "CONV_2D 0", "cost": 1000}],
        ),
        "esp32s3": target("estimate", 400_000.0, note="from 6 cycles per MAC"),
    }
    stage = {"name": "int8", "against": "float", "images": 9, "top1_agreement": 0.99}
    for number, chosen in enumerate((targets, {"pc-litert-int8": target("pc", 900.0)})):
        run = make_run(tmp_path / "zoo" / f"model-{number}", f"model-{number}")
        results = {"schema": 1, "model_sha256": load_model(str(run)).sha256, "targets": chosen}
        results["name"] = nasty if number == 0 else "plain"
        (run / "results.json").write_text(json.dumps(results))
        (run / "parity.json").write_text(json.dumps({"stages": [stage]}))
    return tmp_path / "zoo"


def rows(zoo: Path) -> dict[str, Row]:
    entries, _ = load_entries([zoo])
    return {row.name: row for row in rows_of(entries[0])}


def test_instructions_are_never_milliseconds(zoo: Path) -> None:
    row = rows(zoo)["qemu-m7-aot"]
    assert row.milliseconds is None
    assert show_cost(row) == "24.3 M instructions"
    assert any("not a time" in remark for remark in remarks(load_entries([zoo])[0][0]))


def test_ratios_are_of_one_run_and_as_many_threads(zoo: Path) -> None:
    found = rows(zoo)
    assert found["pc-litert-int8"].of_large == 600 / 800_000
    for name in ("pc-litert-float32-2t", "phone-browser-int8", "qemu-m7-aot"):
        assert found[name].of_large is None, name
    path = zoo / "model-0" / "results.json"
    results = json.loads(path.read_text())
    results["targets"]["pc-litert-int8"]["session"] = "another day"
    path.write_text(json.dumps(results))
    assert rows(zoo)["pc-litert-int8"].of_large is None


def test_on_a_busy_machine_ratios_are_of_cpu_time(zoo: Path) -> None:
    path = zoo / "model-0" / "results.json"
    results = json.loads(path.read_text())
    for name, cpu_us in (("pc-torch-swin-large-float32", 400_000.0), ("pc-litert-int8", 600.0)):
        results["targets"][name]["cost"]["cpu_p50"] = cpu_us
    path.write_text(json.dumps(results))
    assert rows(zoo)["pc-litert-int8"].of_large == 600 / 400_000
    said = " ".join(remarks(load_entries([zoo])[0][0]))
    assert "The machine was busy: Swin-L took 2.0 times its CPU time" in said


def test_what_could_be_misread_is_said(zoo: Path) -> None:
    said = " ".join(remarks(load_entries([zoo])[0][0]))
    assert "1/200 of Swin-L's time and 1/3,091 of its multiply-accumulates" in said
    assert "pc-litert-int8: int8 is 3.0 times slower than float32" in said


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


def test_a_foreign_picture_is_refused_by_the_page_itself(zoo: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert main([str(zoo), "--out", str(out), "--no-pictures"]) == 0
    html = out.read_text()
    start = html.index('<meta http-equiv="Content-Security-Policy"')
    unguarded = html[:start] + html[html.index(">", start) + 1 :]
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


def test_the_terminal_shows_the_same(zoo: Path, tmp_path: Path, capsys: Any) -> None:
    assert main([str(zoo), "--out", str(tmp_path / "r.html"), "--no-pictures"]) == 0
    shown = capsys.readouterr().out
    assert "No phone result yet: python host_tools/bench_phone.py" in shown
    assert "24.3 M" in shown and "1/1,333" in shown and "plain" in shown
    tables = [line for line in shown.splitlines() if line.startswith(("pc-", "qemu-", "esp32"))]
    assert tables and all(len(line) <= 100 and "…" not in line for line in tables)
    assert "~400 ms" in shown, "an estimate is marked as one"


def test_attention_maps_are_read_from_the_run(zoo: Path, tmp_path: Path, capsys: Any) -> None:
    out, title = tmp_path / "r.html", "Where teacher and student look"
    sheet = zoo / "model-0" / "attention.png"
    Image.new("RGB", (1600, 320), "teal").save(sheet)
    (zoo / "model-1" / "attention.png").write_text("no picture")
    assert main([str(zoo), "--out", str(out)]) == 0
    assert out.read_text().count(title) == 1 and "data:image/jpeg" in out.read_text()
    assert "no attention maps of plain" in capsys.readouterr().err
    assert main([str(zoo), "--out", str(out), "--no-pictures"]) == 0
    assert title not in out.read_text()
    (zoo / "model-0" / "student.safetensors").touch()
    sheet.unlink()
    (tmp_path / "teacher.safetensors").touch()
    taught = {"teacher.init": str(tmp_path / "teacher.safetensors"), "distillation.alpha": 0.5}
    for changes in ({}, {**taught, "distillation.alpha": 0.0}, taught):
        save_config(with_values(Config(), changes), zoo / "model-0" / "config.json")
        assert main([str(zoo), "--out", str(out)]) == 0
        suggested = "pytorch_side.evaluate attention" in capsys.readouterr().err
        assert suggested is (changes is taught), "labels alone: there is no teacher to draw"


def test_the_four_questions_come_first(zoo: Path, tmp_path: Path) -> None:
    path = zoo / "model-0" / "results.json"
    results = json.loads(path.read_text())
    board = results["targets"]["qemu-m7-aot"]
    board["parity"] = {"reference": "tflite-micro", "images": 90, "identical": 89, "max_lsb": 1}
    few = results["targets"]["pc-litert-int8"]
    few["accuracy"] = {**few["accuracy"], "images": 20}
    path.write_text(json.dumps(results))
    assert main([str(zoo), "--out", str(tmp_path / "r.html"), "--no-pictures"]) == 0
    html = (tmp_path / "r.html").read_text()
    asked = ["How accurate is it?", "How fast is it?", "Does it fit?", "Is the number true?"]
    places = [html.index(question) for question in asked]
    assert places == sorted(places) and places[-1] < html.index("Accuracy against cost")
    assert "89 of 90" in html and "73.2 KB RAM" in html and "no board yet" in html
    assert "90.0% ± 6.7% of 20<" in html, "a score of fewer images says of how many"
    first = html[places[1] : places[2]]
    assert "0.20 ms" in first and "24.3 M instructions on qemu-m7-aot, emulated" in first


def test_without_a_board_what_computes_like_one_answers(zoo: Path, tmp_path: Path) -> None:
    """LiteRT rounds in its own way: it may score more, and is no evidence against the model."""
    path = zoo / "model-0" / "results.json"
    results = json.loads(path.read_text())
    score = {"split": "test", "images": 9, "confusion": [], "per_class_recall": {}, "data": "x"}
    common = {"kind": "pc", "precision": "int8", "cost": {"unit": "us", "p50": 1.0}, "versions": {}}
    results["targets"] = {
        name: {
            **common,
            "engine": name,
            "accuracy": {**score, "top1": top1},
            "parity": {"reference": "tflite-micro", "images": 9, "identical": identical},
        }
        for name, top1, identical in (("pc-litert-int8", 0.9, 3), ("pc-aot-int8", 0.8, 9))
    }
    path.write_text(json.dumps(results))
    entries, _ = load_entries([path])
    shown = answers(entries)
    assert "80.00%" in shown and "90.00%" not in shown
    assert "9 of 9" in shown and "3 of 9" not in shown


def beside_the_paper(zoo: Path) -> list[str]:
    """The section's lines, as text without tags."""
    section = paper_section(load_entries([zoo])[0]).partition("<tbody>")[2]
    rows = section.replace("<small>", " | ").replace("</td>", " | ").split("</tr>")
    return [re.sub(r"<[^>]+>|\n", "", row) for row in rows]


def test_no_score_is_picked_beside_the_paper(zoo: Path) -> None:
    """Eight images that are all right say less than a split, and the best of many is no figure."""
    exact = {"reference": "tflite-micro", "images": 8, "identical": 8}
    board = target(
        "board", 1e6, accuracy={**ACCURACY, "images": 8, "top1": 1.0}, engine="aot", parity=exact
    )
    like_litert = {"reference": "LiteRT on the PC", "images": 90, "identical": 90}
    better = {**ACCURACY, "top1": 0.95}
    few = {**ACCURACY, "images": 20, "top1": 0.5}
    chosen: list[dict[str, Any]] = [
        {
            "qemu-m7-aot": board,
            "pc-litert-int8": target("pc", 600.0, accuracy=better, parity=like_litert),
            "pc-litert-float32": target("pc", 200.0, accuracy=better, precision="float32"),
            "pc-aot-int8": target("pc", 900.0, accuracy=few, parity=exact),
            "pc-tflm-int8": target("pc", 5_000.0, engine="TFLite Micro"),
        },
        {"qemu-m7-aot": board},
    ]
    for number, targets in enumerate(chosen):
        rewrite(zoo / f"model-{number}", targets)
    stage = {"name": "int8", "against": "float", "images": 9, "top1_agreement": 0.99}
    parity = {"split": "test", "split_images": 90, "stages": [stage]}
    (zoo / "model-1" / "parity.json").write_text(json.dumps(parity))
    *_, first, second, _ = beside_the_paper(zoo)
    assert "90.00% ± 3.16% | tflm-int8, 90 test images" in first
    assert second.startswith("plain | 100.00% ± 8.10% | qemu-m7-aot, only 8 of 90 test images")
    assert "100.0" not in first and "95.00" not in first
    shown = answers(load_entries([zoo])[0])
    agreed = "90.00% ± 3.16%<small>top-1 of 90 test images, tflm-int8"
    assert agreed in shown, "both places say the same"


def rewrite(run: Path, targets: dict[str, Any]) -> None:
    results = json.loads((run / "results.json").read_text())
    (run / "results.json").write_text(json.dumps({**results, "targets": targets}))


def test_a_runtime_that_rounds_otherwise_speaks_where_no_board_saw_the_split(zoo: Path) -> None:
    exact = {"reference": "tflite-micro", "images": 8, "identical": 8}
    few = {**ACCURACY, "images": 8, "top1": 1.0}
    rewrite(
        zoo / "model-1",
        {
            "qemu-m7-aot": target("board", 1e6, accuracy=few, engine="aot", parity=exact),
            "pc-litert-int8": target("pc", 600.0),
        },
    )
    assert "90.00% ± 3.16% | litert-int8, 90 test images" in beside_the_paper(zoo)[-2]


def test_the_papers_figures_are_those_of_the_results_page(
    zoo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown = beside_the_paper(zoo)
    for row in json.loads(PAPER.read_text())["rows"]:
        line = next(line for line in shown if line.startswith(f"{escape(row['name'])} |"))
        top1 = row.get("int8") or row.get("float") or ""
        assert all(escape(row.get(key, "")) in line for key in ("teacher", "latency"))
        assert escape(top1) in line
    ours = json.loads(PAPER.read_text())
    ours["rows"] += [{"name": "<b>new</b>", "float": "1 %", "int8": "2 %"}, {"name": "bare"}]
    monkeypatch.setattr(paper, "PAPER", tmp_path / "paper.json")
    (tmp_path / "paper.json").write_text(json.dumps(ours))
    *_, new, bare, _, _, _ = beside_the_paper(zoo)
    assert new.startswith("&lt;b&gt;new&lt;/b&gt; | 2 % | int8 |") and bare.startswith("bare |")


def test_a_teacher_with_a_stem_says_so_beside_its_number(
    zoo: Path, tmp_path: Path, capsys: Any
) -> None:
    described = "Swin 192, depths 4-2, over the stages of tf_mobilenetv3_small_100 to stride 16"
    note = f"{LEARNED_FROM}: {described}"
    teacher = target("pc", 9_000.0, precision="float32", note=note)
    results = json.loads((zoo / "model-0" / "results.json").read_text())["targets"]
    rewrite(zoo / "model-0", {**results, "pc-torch-teacher-float32": teacher})
    old = {**teacher, "note": LEARNED_FROM}
    rewrite(
        zoo / "model-1",
        {"pc-litert-int8": results["pc-litert-int8"], "pc-torch-teacher-float32": old},
    )
    entries, _ = load_entries([zoo])
    assert f"; its teacher 90.00% ± 3.16% ({described})<" in answers(entries)
    assert f"90.00% ± 3.16% | {described}; 90 test images" in beside_the_paper(zoo)[-3]
    assert "; its teacher 90.00% ± 3.16%<" in answers(entries), "an older note says nothing"
    assert "90.00% ± 3.16% | 90 test images" in beside_the_paper(zoo)[-2]
    assert remarks(entries[0])[0] == f"The teacher is {described}."
    assert not any("The teacher is" in remark for remark in remarks(entries[1]))
    assert main([str(zoo), "--out", str(tmp_path / "r.html"), "--no-pictures"]) == 0
    assert f"The teacher is {described}" in capsys.readouterr().out
    assert (tmp_path / "r.html").read_text().count(described) == 4, "and in its table of notes"


def test_the_readme_table_has_a_line_for_each_model(zoo: Path, tmp_path: Path, capsys: Any) -> None:
    assert main([str(zoo), "--markdown", "--out", str(tmp_path / "no.html")]) == 0
    title, rule, *lines = capsys.readouterr().out.splitlines()
    assert {line.count("|") for line in (title, rule, *lines)} == {8}
    assert len(lines) == len(list(zoo.iterdir()))
    line = next(line for line in lines if "qemu-m7-aot" in line)
    assert "qemu-m7-aot: 24.3 M instructions" in line and "| 73.2 KB |" in line
    assert "ms |" in line
    assert any(line.startswith("| plain") for line in lines), "a model without results is named"
    assert "<script" not in "".join(lines)
    assert not (tmp_path / "no.html").exists()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda results: results | {"schema": 2}, "schema 2"),
        (lambda results: results | {"model_sha256": "0" * 64}, "another model"),
        (lambda results: {"schema": 1}, "lacks"),
        (
            lambda results: results | {"targets": {"x": {"kind": "pc", "cost": {}}}},
            "cost of target x",
        ),
    ],
)
def test_a_foreign_file_is_left_out_and_named(
    zoo: Path, tmp_path: Path, capsys: Any, damage: Any, words: str
) -> None:
    path = zoo / "model-1" / "results.json"
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    out = tmp_path / "report.html"
    assert main([str(zoo), "--out", str(out), "--no-pictures"]) == 0
    said = capsys.readouterr().err
    assert words in said and str(path) in said
    assert "Left out" in out.read_text()
    assert main([str(path), "--out", str(out)]) == 2, "nothing readable at all is an error"


def test_a_folder_without_results_is_one_line(tmp_path: Path, capsys: Any) -> None:
    assert main([str(tmp_path), "--out", str(tmp_path / "r.html")]) == 2
    assert "holds no results.json" in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


def test_what_a_score_is_worth_stands_beside_it(zoo: Path, tmp_path: Path, capsys: Any) -> None:
    """The largest class, a small split, and a matrix that is not of all images."""
    results = json.loads((zoo / "model-0" / "results.json").read_text())["targets"]
    few = {**ACCURACY, "images": 20, "confusion": [[2] * 10] + [[0] * 10] * 9}
    rewrite(zoo / "model-0", {**results, "qemu-m7-aot": target("board", 1e6, accuracy=few)})
    entries, _ = load_entries([zoo / "model-0"])
    said = cautions_of(entries[0])
    assert any("The largest class is 10.0% of the 90 test images" in one for one in said)
    assert any("Warning: test is small: ± 3.2 points" in one for one in said)
    assert any("fewer than 10 test images of kind_0" in one for one in said)
    print_entries(entries)
    shown = capsys.readouterr().out
    assert "Warning: test is small" in shown and "± 3.16%" in shown
    out = tmp_path / "report.html"
    assert main([str(zoo / "model-0"), "--out", str(out), "--no-pictures"]) == 0
    page = out.read_text()
    assert "Warning: test is small" in page
    assert "90 images of the test split" in page  # not the board's 20
    assert 'class="board error"' in page and "6.7 % of 20 images only" in page


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
