"""The table of the README."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from host_tools.report.__main__ import main


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
