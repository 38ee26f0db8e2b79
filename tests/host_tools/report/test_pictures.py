"""The attention maps of a run in its report."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from PIL import Image

from host_tools.report.__main__ import main
from pytorch_side.config import Config, save_config, with_values


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


def test_two_models_of_one_name_keep_their_own_pictures(zoo: Path, tmp_path: Path) -> None:
    for number, color in enumerate(("teal", "maroon")):
        Image.new("RGB", (1600, 320), color).save(zoo / f"model-{number}" / "attention.png")
        results = zoo / f"model-{number}" / "results.json"
        results.write_text(json.dumps(json.loads(results.read_text()) | {"name": "mine"}))
    out = tmp_path / "r.html"
    assert main([str(zoo), "--out", str(out)]) == 0
    page = out.read_text()
    sheets = re.findall(r"data:image/jpeg;base64,[^\"]*", page)
    assert len(sheets) == len(set(sheets)) == 2
    assert all(f"mine ({zoo / name})" in page for name in ("model-0", "model-1"))
    ids = re.findall(r'id="(model-[^"]*)"', page)
    assert len(ids) == len(set(ids)) == 2, "each link leads to its own model"
