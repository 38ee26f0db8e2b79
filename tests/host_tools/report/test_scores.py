"""What is said beside a score about its size and its split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from report_zoo import ACCURACY, rewrite, target

from host_tools.report.__main__ import main
from host_tools.report.entries import load_entries
from host_tools.report.scores import cautions_of
from host_tools.report.terminal import print_entries


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
