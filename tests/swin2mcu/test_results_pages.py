"""RESULTS.md and its pages: the gain of distillation, and what is kept where runs are missing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_runs import TABLE, write_run

from pytorch_side.config import Config, with_values
from swin2mcu.research.data_audit import background_lines, unknown_lines
from swin2mcu.research.distillation_gain import draw_gains, gain_lines, gains
from swin2mcu.research.pages import Figures, pages, parts
from swin2mcu.research.table import find_tables, read_table


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.toml"
    path.write_text(TABLE)
    (tmp_path / "plain.toml").write_text("optimizer.epochs = 2\n")
    (tmp_path / "distilled.toml").write_text('base = "plain.toml"\ndistillation.alpha = 0.5\n')
    return path


def test_a_distilled_row_stands_beside_its_matched_control(table: Path, tmp_path: Path) -> None:
    """Which is the baseline only where nothing but distillation differs."""
    more = TABLE + "".join(
        f'[[rows]]\nname = "{name}"\nconfig = "plain.toml"\nrun = "{name}"\n'
        for name in ("small crops", "distilled on small crops", "distilled without a control")
    )
    table.write_text(more)
    runs, crops = tmp_path / "runs", {"augment.area_min": 0.1}
    rows: dict[str, tuple[dict[str, float], float]] = {
        "plain": ({}, 0.90),
        "distilled": ({"distillation.alpha": 0.5, "augment.cached": 3}, 0.93),
        "small crops": (crops, 0.80),
        "distilled on small crops": (crops | {"distillation.beta": 1.0}, 0.79),
        "distilled without a control": ({"distillation.alpha": 0.5, "optimizer.batch": 7}, 0.99),
    }
    for name, (changes, val) in rows.items():
        config = with_values(Config(), {"optimizer.epochs": 2, **changes})
        for seed in (0, 1):
            folder = runs / (f"{name}-seed1" if seed else name)
            write_run(folder, with_values(config, {"seed": seed}), [0.5, val + 0.01 * seed])
    read = read_table(table, runs)
    found = gains([read, read])
    shown = {gain.name: (round(gain.points, 6), gain.seeds) for gain in found}
    student = "tf_mobilenetv3_small_100, 96 px"
    assert shown == {
        f"distilled ({student})": (3.0, 2),
        f"distilled on small crops ({student})": (-1.0, 2),
    }
    text = "\n".join(gain_lines(found, "plot.svg"))
    assert "2 ways to distill" in text
    assert "On val 1 gained and 1 lost" in text
    assert "With several seeds: 2, of which 1 gained more than twice" in text
    assert "+3.00 ± 0.71 points" in text
    assert "nothing is shown" not in text
    worse = "\n".join(gain_lines([gain for gain in found if gain.points < 0], "plot.svg"))
    assert "So nothing is shown in favor of the hybrid here. The paper reports +3.5" in worse
    draw_gains(found, tmp_path / "gain.svg")
    assert (tmp_path / "gain.svg").read_text().count("<svg") == 1


@pytest.mark.parametrize(
    ("part", "start"), [("gain", "student.pretrained = true\n"), ("gain-random", "")]
)
def test_an_experiment_alone_leaves_the_gains_of_all_as_they_are(
    part: str, start: str, table: Path, tmp_path: Path
) -> None:
    """Its own page is written; the gains of other experiments are not known here."""
    runs = tmp_path / "runs"
    (tmp_path / "plain.toml").write_text(f"optimizer.epochs = 2\n{start}")
    for name, alpha in (("plain", 0.0), ("distilled", 0.5)):
        changes = {"optimizer.epochs": 1, "distillation.alpha": alpha}
        write_run(runs / name, with_values(Config(), changes), [0.9])
    shown = Figures({"table": read_table(table, runs)}, True, runs, tmp_path, tmp_path)
    assert "1 way to distill, each beside" in "\n".join(parts(shown)[part])
    (other,) = {"gain", "gain-random"} - {part}
    assert parts(shown)[other] == [], "students that start otherwise"
    alone = replace(shown, every_table=False)
    assert parts(alone)[part] == []
    assert list(pages(alone)) == ["table"]
    (tmp_path / "other.toml").write_text(TABLE)
    row = '[[rows]]\nname = "never run"\nconfig = "plain.toml"\nrun = "never run"\n'
    table.write_text(TABLE + row)
    written = parts(replace(shown, tables={"table": read_table(table, runs)}))[part]
    assert bool(written) == (part == "gain-random"), "the others were run to their end"
    assert find_tables(tmp_path) == [tmp_path / "other.toml", table]


def test_one_finished_row_makes_no_page(table: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    config = with_values(Config(), {"optimizer.epochs": 2})
    write_run(runs / "plain", config, [0.8, 0.9])
    write_run(runs / "distilled", with_values(config, {"distillation.alpha": 0.5}), [0.8])
    shown = Figures({"table": read_table(table, runs)}, True, runs, tmp_path, tmp_path)
    assert list(pages(shown)) == []
    (runs / "distilled/log.csv").write_text(
        "epoch,val_top1,seconds,waiting_share\n" + "1,0.8,1,0\n" * 2
    )
    assert list(pages(shown)) == ["table"]


def test_swapped_backgrounds_are_a_row_a_model(tmp_path: Path) -> None:
    assert background_lines(tmp_path) == []
    for name, top1 in (("a", 0.5), ("b", 0.25)):
        report = {
            "model": name,
            "split": "val",
            "images": 1000,
            "not_cut": 3,
            "top1": {"the photo itself": top1},
            "standard_error": {"the photo itself": 0.01},
        }
        (tmp_path / f"leaves-backgrounds-{name}.json").write_text(json.dumps(report))
    lines = background_lines(tmp_path)
    assert lines[-2:] == [
        "| a, 1,000 leaves of val | 50.0% ± 1.0% |",
        "| b, 1,000 leaves of val | 25.0% ± 1.0% |",
    ]
    assert "could not be cut out: 3, 3" in lines[0]


def test_a_line_a_model_says_what_it_refuses(tmp_path: Path) -> None:
    assert unknown_lines(tmp_path) == []
    report = {
        "unknown": {"photos of cats": {"photos": 12, "not_sure": 10, "auroc": 0.9}},
        "test": {"images": 1000, "refused": 0.1, "top1": 0.8, "top1_answered": 0.9},
    }
    (tmp_path / "leaves-unknown-small.json").write_text(json.dumps(report))
    assert unknown_lines(tmp_path) == [
        "small is *not sure* of 10 of 12 photos of cats, and of 10.0% of 1,000 test photos; of "
        "the answered ones 90.00% ± 1.00% are right."
    ]
