"""A results.json that cannot be trusted is left out and named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from host_tools.report.__main__ import main


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
        *(
            (
                lambda results, part=part, scored=scored: (
                    results | {"targets": {"x": {"kind": "pc", part: scored}}}
                ),
                f"{part} of target x",
            )
            for part, scored in (
                ("accuracy", {"split": "test", "images": 0, "top1": 0.0}),
                ("photos", {"images": 0, "top1": 0.0}),
            )
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
