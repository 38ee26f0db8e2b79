"""The four questions at the top of the page."""

from __future__ import annotations

import json
from pathlib import Path

from host_tools.report.__main__ import main
from host_tools.report.answers import answers
from host_tools.report.entries import load_entries


def test_the_four_questions_come_first(zoo: Path, tmp_path: Path) -> None:
    path = zoo / "model-0" / "results.json"
    results = json.loads(path.read_text())
    board = results["targets"]["qemu-m7-aot"]
    board["parity"] = {"reference": "tflite-micro", "images": 90, "identical": 89, "max_lsb": 1}
    frames = {**board, "frames": "rgb565be:4x4", "memory": {"arena_bytes": 1024}}
    results["targets"]["host-aot-rgb565be-4x4"] = frames
    few = results["targets"]["pc-litert-int8"]
    few["accuracy"] = {**few["accuracy"], "images": 20}
    path.write_text(json.dumps(results))
    assert main([str(zoo), "--out", str(tmp_path / "r.html"), "--no-pictures"]) == 0
    html = (tmp_path / "r.html").read_text()
    asked = ["How accurate is it?", "How fast is it?", "Does it fit?", "Is the number true?"]
    places = [html.index(question) for question in asked]
    assert places == sorted(places) and places[-1] < html.index("Accuracy against cost")
    assert "89 of 90" in html and "73.2 KiB RAM" in html and "no board yet" in html
    assert "90.0% ± 6.7% of 20<" in html, "a score of fewer images says of how many"
    first = html[places[1] : places[2]]
    assert "0.60 ms" in first, "of int8, whose accuracy stands beside it"
    assert "24.3 M instructions on qemu-m7-aot, emulated" in first


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
