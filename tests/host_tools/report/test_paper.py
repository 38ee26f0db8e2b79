"""The section that compares our models with the paper's figures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape
from report_zoo import ACCURACY, rewrite, target

from host_tools.report import paper
from host_tools.report.__main__ import main
from host_tools.report.answers import answers
from host_tools.report.entries import load_entries, remarks
from host_tools.report.paper import PAPER, paper_section
from host_tools.results import LEARNED_FROM


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
    frames = target(
        "board",
        1e6,
        accuracy={**ACCURACY, "top1": 0.8},
        engine="aot",
        parity={**exact, "images": 90},
    )
    frames |= {"frames": "rgb565be:320x240", "parity": {**exact, "images": 90, "identical": 90}}
    rewrite(zoo / "model-0", {"host-aot-rgb565be-320x240": frames, **chosen[0]})
    assert "90.00% ± 3.16% | tflm-int8, 90 test images" in beside_the_paper(zoo)[-3], "no camera's"
    shown = answers(load_entries([zoo])[0])
    agreed = "90.00% ± 3.16%<small>top-1 of 90 test images, tflm-int8"
    assert agreed in shown, "both places say the same"


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
