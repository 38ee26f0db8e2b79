"""The table of the README."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from host_tools.report.__main__ import main


def test_the_readme_table_has_a_line_for_each_model(zoo: Path, tmp_path: Path, capsys: Any) -> None:
    assert main([str(zoo), "--markdown", "--out", str(tmp_path / "no.html")]) == 0
    title, rule, *lines = capsys.readouterr().out.splitlines()
    assert {line.count("|") for line in (title, rule, *lines)} == {8}
    assert len(lines) == len(list(zoo.iterdir()))
    line = next(line for line in lines if "qemu-m7-aot" in line)
    assert "qemu-m7-aot: 24.3 M instructions" in line and "| 73.2 KiB |" in line
    assert "ms |" in line
    assert any(line.startswith("| plain") for line in lines), "a model without results is named"
    assert "<script" not in "".join(lines)
    assert not (tmp_path / "no.html").exists()


def test_times_of_two_pcs_name_their_processor(zoo: Path, tmp_path: Path, capsys: Any) -> None:
    command = [str(zoo), "--markdown", "--out", str(tmp_path / "no.html")]
    assert main(command) == 0
    assert "ms (" not in capsys.readouterr().out
    path = next(p for p in sorted(zoo.glob("*/results.json")) if "pc-litert-int8" in p.read_text())
    results = json.loads(path.read_text())
    results["targets"]["pc-litert-int8"]["hardware"] = "Another CPU, 2 cores, Linux"
    path.write_text(json.dumps(results))
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "ms (Another CPU)" in shown and "ms (hardware)" in shown
