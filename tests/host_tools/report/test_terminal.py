"""The tables in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from host_tools.report.__main__ import main


def test_the_terminal_shows_the_same(zoo: Path, tmp_path: Path, capsys: Any) -> None:
    assert main([str(zoo), "--out", str(tmp_path / "r.html"), "--no-pictures"]) == 0
    shown = capsys.readouterr().out
    assert "No phone result yet: python host_tools/bench_phone.py" in shown
    assert "24.3 M" in shown and "1/1,333" in shown and "plain" in shown
    tables = [line for line in shown.splitlines() if line.startswith(("pc-", "qemu-", "esp32"))]
    assert tables and all(len(line) <= 100 and "…" not in line for line in tables)
    assert "~400 ms" in shown, "an estimate is marked as one"
