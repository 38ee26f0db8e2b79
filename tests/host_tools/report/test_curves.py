"""A run's log becomes two curves; a bad log becomes one line and ends no report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from host_tools.report.curves import training_figures
from host_tools.report.entries import load_entries
from host_tools.report.model_section import model_section
from pytorch_side.log import write_log
from swin2mcu.common.cli import UserError

ROOT = Path(__file__).resolve().parents[3]


def log(run: Path, losses: list[float], top1: list[float]) -> None:
    run.mkdir(parents=True, exist_ok=True)
    rows = [
        {"epoch": i, "loss": loss, "val_top1": share, "seconds": 1.0, "waiting_share": 0.0}
        for i, (loss, share) in enumerate(zip(losses, top1, strict=True), start=1)
    ]
    write_log(run / "log.csv", rows)


def test_both_logs_are_drawn_one_after_the_other(tmp_path: Path) -> None:
    log(tmp_path, [2.0, float("nan"), 1.0], [0.25, 0.5, 0.75])
    log(tmp_path / "qat", [1.5], [0.7])
    loss, accuracy = training_figures(tmp_path)
    both = [("pc", "training in float"), ("board", "fine-tuning in int8")]
    assert loss["places"] == accuracy["places"] == both
    assert 'aria-label="loss over epochs"' in loss["plot"]
    assert 'aria-label="top-1 % on val over epochs"' in accuracy["plot"]
    paths = re.findall(r'polyline class="(\w+) curve" points="([^"]*)"', str(accuracy["plot"]))
    desk = [
        (place, [tuple(map(float, p.split(","))) for p in path.split()]) for place, path in paths
    ]
    (_, floats), (_, (fine_tuned,)) = desk[:2]
    assert len(floats) == 3 and [x for x, _ in floats] == sorted(x for x, _ in floats)
    assert floats[0][1] > floats[1][1] > floats[2][1], "higher is further up"
    assert fine_tuned[0] > floats[-1][0], "int8 follows"
    assert floats[2][1] < fine_tuned[1] < floats[1][1]
    # A value that is no number is left out of its curve alone.
    assert str(loss["plot"]).count("curve") == 4 and "nan" not in str(loss["plot"])
    assert "last: 75" in str(accuracy["plot"]) and "last: 70" in str(accuracy["plot"])


@pytest.mark.parametrize("epochs", [1, 2, 7, 300])
@pytest.mark.parametrize("loss", [0.0, 1e-9, 3.0, -2.0, 1e8])
def test_any_log_fits_its_axes(tmp_path: Path, epochs: int, loss: float) -> None:
    log(tmp_path, [loss] * epochs, [0.1] * epochs)
    for figure in training_figures(tmp_path):
        for place in re.findall(r'(?:cx|x1|x2)="([-\d.]+)"', str(figure["plot"])):
            assert 0 <= float(place) <= 570
        for place in re.findall(r'(?:cy|y1|y2)="([-\d.]+)"', str(figure["plot"])):
            assert 0 <= float(place) <= 340
        assert 2 <= len(re.findall(r"<text", str(figure["plot"]))) / 2 <= 30


def test_the_report_shows_them_and_survives_a_bad_log(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("results.json", "card.json"):
        (run / name).write_bytes((ROOT / "tinyml/zoo/small-96" / name).read_bytes())
    (entry,), _ = load_entries([run])
    assert "<h3>Training</h3>" not in str(model_section(entry, [], None))
    log(run, [2.0, 1.0], [0.5, 0.75])
    assert "<h3>Training</h3>" in str(model_section(entry, [], None))
    (run / "log.csv").write_text("epoch,val_top1\n1,much\n")
    with pytest.raises(UserError):
        training_figures(run)
    text = str(model_section(entry, [], None))
    assert "no curves of its training" in text and "<h3>Training</h3>" not in text
