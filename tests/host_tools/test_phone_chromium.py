"""The tool opens a headless Chromium itself, and says what was measured: a PC's browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_run import make_images, make_run

from host_tools.bench_phone import main
from host_tools.phone import chromium
from host_tools.report.entries import load_entries, missing, rows_of

FEW = ["--images", "20", "--runs", "10"]


@pytest.mark.parametrize("scheme", [[], ["--https"]])
def test_one_command_measures_without_a_phone(tmp_path: Path, scheme: list[str]) -> None:
    run = make_run(tmp_path / "run")
    images = make_images(tmp_path / "leaves", per_class=8)
    assert main([str(run), "--data", str(images), "--chromium", *FEW, *scheme]) == 0
    (entry,), _ = load_entries([run])
    rows = {row.name: row for row in rows_of(entry)}
    for precision in ("int8", "float32"):
        row = rows[f"pc-browser-{precision}"]
        assert row.place == "PC" and "no phone" in row.target["hardware"]
        assert row.target["parity"]["images"] == row.target["accuracy"]["images"] == 20
        assert row.target["versions"]["LiteRT.js"][0].isdigit()
    assert any("bench_phone.py" in line for line in missing(entry)), "a phone is still missing"


def test_no_chromium_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(chromium.shutil, "which", lambda _: None)
    with pytest.raises(chromium.UserError, match="apt install chromium"):
        chromium.headless_chromium("http://127.0.0.1:9/").__enter__()
    assert main([str(make_run(tmp_path / "run")), "--chromium", "--keep"]) == 2
    assert "--chromium goes with neither" in capsys.readouterr().err
