"""A table of runs: read, run once, and reported from the runs' own files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import pytest

from pytorch_side.config import Config, load_config
from pytorch_side.evaluate import score
from swin2mcu import research as experiments
from swin2mcu.common.cli import UserError
from swin2mcu.common.test_access import log_access, read_accesses
from swin2mcu.research.__main__ import look_at_finished, main
from swin2mcu.research.comparison import differences, section
from swin2mcu.research.distillation_gain import draw_gains, gains, worth_section
from swin2mcu.research.table import read_table

TABLE = """
title = "Worth"
seeds = [0, 1]
baseline = "plain"
[[rows]]
name = "plain"
config = "plain.toml"
run = "plain"
[[rows]]
name = "taught"
config = "taught.toml"
run = "taught"
"""


def write_run(folder: Path, config: Config, values: list[float]) -> None:
    """The files a run leaves behind, with the given val accuracies."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(asdict(config)))
    lines = ["epoch,val_top1,seconds,waiting_share"]
    lines += [f"{i + 1},{v},36.0,{0.05 * (i + 1)}" for i, v in enumerate(values)]
    (folder / "log.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.toml"
    path.write_text(TABLE)
    (tmp_path / "plain.toml").write_text("epochs = 2\n")
    (tmp_path / "taught.toml").write_text('base = "plain.toml"\nalpha = 0.5\n')
    return path


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (0.03, ": more than twice that."),
        (-0.03, ": more than twice that."),
        (0.0149, ": more than twice that."),  # 1.49 points are 2.1 times the sd, 1.34 1.9 times
        (0.0134, ": not more than twice that: nothing shown."),
        (-0.0134, ": not more than twice that: nothing shown."),
    ],
)
def test_the_verdict_follows_from_the_runs(
    table: Path, tmp_path: Path, gain: float, verdict: str
) -> None:
    """Baseline 90 and 91 %: mean 90.5, sd 0.71, and the same sd for the taught runs."""
    runs = tmp_path / "runs"
    for seed, base in enumerate((0.90, 0.91)):
        suffix = f"-seed{seed}" if seed else ""
        write_run(runs / f"plain{suffix}", Config(epochs=2), [0.5, base])
        write_run(runs / f"taught{suffix}", Config(epochs=2, alpha=0.5), [0.5, base + gain])
    text = section(read_table(table, runs), "plot.svg")
    assert "| plain |  | 2 | 2 | 90.50% ± 0.71% |" in text
    assert "| taught | alpha 0.5 | 2 | 2 |" in text
    assert f"{100 * gain:+.2f} points on val against plain; pooled sd 0.71 points" in text
    assert verdict in text
    assert "| plain-seed1 | 91.00% | 2 (91.00%) | 0.02 | 7.5% | unknown |" in text


def test_more_seeds_weigh_more(table: Path, tmp_path: Path) -> None:
    """90, 91, 92 % has variance 1 on 2 degrees, 90, 94 % has 8 on 1: (2 + 8) / 3, sd 1.83."""
    table.write_text(TABLE.replace("[0, 1]", "[0, 1, 2]"))
    runs = tmp_path / "runs"
    for seed, base in enumerate((0.90, 0.91, 0.92)):
        write_run(runs / f"plain{f'-seed{seed}' if seed else ''}", Config(epochs=1), [base])
    for seed, taught in enumerate((0.90, 0.94)):
        write_run(runs / f"taught{f'-seed{seed}' if seed else ''}", Config(epochs=1), [taught])
    assert "pooled sd 1.83 points" in section(read_table(table, runs), "plot.svg")


def test_an_unfinished_run_claims_nothing(table: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "runs/plain", Config(epochs=2), [0.9])
    text = section(read_table(table, tmp_path / "runs"), "plot.svg")
    assert "| plain | epoch 1 of 2 |" in text
    assert "| taught | not run |" in text
    assert "points on val" not in text


def test_only_finished_runs_are_looked_at(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "runs/plain", Config(epochs=2), [0.5, 0.6])
    write_run(tmp_path / "runs/taught", Config(epochs=2), [0.5])
    looked: list[str] = []
    monkeypatch.setattr(score, "score", lambda run, data, split: looked.append(run.name))
    look_at_finished(read_table(table, tmp_path / "runs"), tmp_path)
    assert looked == ["plain"]


def test_a_taught_row_stands_beside_its_twin_on_labels_alone(table: Path, tmp_path: Path) -> None:
    """Which is the baseline only where nothing but the knowledge differs."""
    more = TABLE + "".join(
        f'[[rows]]\nname = "{name}"\nconfig = "plain.toml"\nrun = "{name}"\n'
        for name in ("small crops", "taught on small crops", "taught on no twin")
    )
    table.write_text(more)
    runs, crops = tmp_path / "runs", {"view_area_min": 0.1}
    rows: dict[str, tuple[dict[str, float], float]] = {
        "plain": ({}, 0.90),
        "taught": ({"alpha": 0.5, "views": 3}, 0.93),
        "small crops": (crops, 0.80),
        "taught on small crops": (crops | {"beta": 1.0}, 0.79),
        "taught on no twin": ({"alpha": 0.5, "batch": 7}, 0.99),
    }
    for name, (changes, val) in rows.items():
        config = replace(Config(epochs=2), **changes)  # type: ignore[arg-type]
        for seed in (0, 1):
            folder = runs / (f"{name}-seed1" if seed else name)
            write_run(folder, replace(config, seed=seed), [0.5, val + 0.01 * seed])
    read = read_table(table, runs)
    found = gains([read, read])
    shown = {gain.name: (round(gain.points, 6), gain.seeds) for gain in found}
    assert shown == {"taught (96 px)": (3.0, 2), "taught on small crops (96 px)": (-1.0, 2)}
    text = "\n".join(worth_section(found, "plot.svg"))
    assert "2 ways to teach" in text
    assert "1 of them gained and 1 lost" in text
    assert "of those 1 gained more than twice" in text
    assert "+3.00 ± 0.71 points" in text
    assert "nothing is shown" not in text
    worse = "\n".join(worth_section([gain for gain in found if gain.points < 0], "plot.svg"))
    assert "So nothing is shown in favour of the hybrid here. The paper reports +3.5" in worse
    draw_gains(found, tmp_path / "worth.svg")
    assert (tmp_path / "worth.svg").read_text().count("<svg") == 1


def test_differences_are_short() -> None:
    """Seed and epochs have columns of their own, and folders need no path."""
    base = Config(teacher_init="runs/one/teacher.safetensors", knowledge="runs/asked-one")
    assert differences(replace(base, seed=3, epochs=7, guide_weight=1.0), base) == ""
    assert differences(replace(base, guide="runs/a/student.safetensors"), base) == "guide a"
    other = replace(
        base,
        alpha=0.5,
        teacher_init="runs/two/teacher.safetensors",
        knowledge="runs/asked-two",
        attention_pairs=((2, 0), (5, 1)),
    )
    shown = "teacher_init two, alpha 0.5, attention_pairs 2-0; 5-1, knowledge asked-two"
    assert differences(other, base) == shown
    elsewhere = replace(other, teacher_init="/some/where/swin_small.safetensors")
    assert differences(elsewhere, base).startswith("teacher_init swin_small, alpha")
    # The run that a teacher comes from says what it is; one without a run is told apart by itself.
    made = {"teacher_size": 64, "teacher_arguments": {"embed_dim": 8}}
    assert differences(replace(other, **made), base) == shown  # type: ignore[arg-type]
    assert (
        differences(replace(base, alpha=0.5, teacher_size=64), base) == "teacher_size 64, alpha 0.5"
    )
    # A row without knowledge never asks its teacher, whichever that is.
    unasked = replace(other, alpha=0.0, teacher_size=64, temperature=9.0, logit_loss="dist")
    assert differences(unasked, base) == ""
    assert differences(replace(unasked, ema=0.5), base) == "ema 0.5"


def test_teachers_differ_in_what_they_are_made_of(table: Path, tmp_path: Path) -> None:
    """Which of a student's row, asked nothing, says nothing."""
    base = Config(teacher="swin", teacher_arguments={"embed_dim": 8, "depths": [2, 2]})
    other = replace(base, teacher_arguments={"embed_dim": 16, "depths": [4, 2]}, teacher_size=64)
    assert differences(other, base) == ""
    shown = "teacher_arguments (embed_dim 16, depths 4-2), teacher_size 64"
    assert differences(other, base, "teacher") == shown
    table.write_text(TABLE.replace("[0, 1]", "[0]").replace("seeds", 'kind = "teacher"\nseeds'))
    for name, config in (("plain", base), ("taught", other)):
        write_run(tmp_path / "runs" / name, replace(config, epochs=1), [0.9])
        (tmp_path / "runs" / name / "teacher.safetensors").write_bytes(b"weights")
    about = {"weights": "teacher.safetensors", "weights_sha256": sha256(b"weights").hexdigest()}
    log_access(tmp_path / "runs/plain", split="test", images=9, top1=0.8765, data="leaves", **about)
    text = section(read_table(table, tmp_path / "runs"), "plot.svg")
    assert "| plain |  | 1 | 1 | 90.00% | 87.65% |" in text
    assert f"| taught | {shown} | 1 | 1 | 90.00% | not looked at |" in text


def test_a_row_may_differ_without_a_file_of_its_own(table: Path, tmp_path: Path) -> None:
    text = TABLE.replace('config = "taught.toml"', 'config = "plain.toml"\nset = ["alpha=0.25"]')
    table.write_text(text.replace("seeds", 'note = "Why."\nseeds'))
    read = read_table(table, tmp_path / "runs")
    plain, taught = read.rows
    assert load_config(taught.config, taught.overrides).alpha == 0.25
    assert load_config(plain.config, plain.overrides).alpha == 0.0
    assert "\nWhy.\n" in section(read, "plot.svg")


def test_a_logged_look_at_test_is_shown(table: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "runs/plain", Config(epochs=1), [0.9])
    text = section(read_table(table, tmp_path / "runs"), "plot.svg")
    assert "not looked at" in text
    run = tmp_path / "runs/plain"
    (run / "student.safetensors").write_bytes(b"weights")
    about = {"weights": "student.safetensors", "weights_sha256": sha256(b"weights").hexdigest()}
    log_access(run, split="test", images=9, top1=0.8765, data="leaves", **about)
    text = section(read_table(table, tmp_path / "runs"), "plot.svg")
    assert "| 87.65% |" in text
    (run / "student.safetensors").write_bytes(b"trained again")  # the look was at other weights
    text = section(read_table(table, tmp_path / "runs"), "plot.svg")
    assert "not looked at" in text


def test_the_command_runs_what_is_missing_and_writes(
    make_folder: Callable[..., Path],
    tiny_config: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = TABLE.replace("taught.toml", "plain.toml")
    (tmp_path / "table-tiny.toml").write_text(text)
    (tmp_path / "plain.toml").write_text(
        'student = "tf_mobilenetv3_small_minimal_100"\nstudent_size = 32\nepochs = 1\nbatch = 6\n'
    )
    arguments = [
        str(tmp_path / "table-tiny.toml"),
        *("--runs", str(tmp_path / "runs"), "--data", str(make_folder())),
        *("--write", str(tmp_path / "docs/RESULTS.md")),
    ]
    assert main(arguments) == 0
    written = (tmp_path / "docs/RESULTS.md").read_text()
    assert "nothing shown" in written
    seeds = [
        json.loads((tmp_path / "runs" / name / "config.json").read_text())["seed"]
        for name in ("plain", "plain-seed1", "taught", "taught-seed1")
    ]
    assert seeds == [0, 1, 0, 1]
    plot = (tmp_path / "docs/results-tiny.svg").read_text()
    assert "<svg" in plot
    stamp = (tmp_path / "runs/plain/checkpoint.pt").stat().st_mtime_ns
    assert main([*arguments, "--look"]) == 0  # nothing is run twice
    assert "not looked at" in written
    assert "not looked at" not in (tmp_path / "docs/RESULTS.md").read_text()
    assert main([*arguments, "--look"]) == 0  # nor looked at twice
    assert len(read_accesses(tmp_path / "runs/plain")) == 1
    assert (tmp_path / "docs/results-tiny.svg").read_text() == plot  # no difference, no change
    assert (tmp_path / "runs/plain/checkpoint.pt").stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        (TABLE.replace('baseline = "plain"', 'baseline = "none"'), "none"),
        (TABLE.replace("seeds = [0, 1]", ""), "seeds"),
        ("title = ", "cannot read table"),
        (TABLE.replace("seeds", 'kind = "stem"\nseeds'), "kind 'stem'; known are student, teacher"),
    ],
)
def test_a_wrong_table_is_named(tmp_path: Path, wrong: str, names: str) -> None:
    (tmp_path / "table.toml").write_text(wrong)
    with pytest.raises(UserError, match=names):
        read_table(tmp_path / "table.toml", tmp_path)


def test_the_projects_tables_name_their_configs() -> None:
    root = Path(experiments.__file__).parents[2]
    tables = sorted((root / "configs").glob("table*.toml"))
    assert tables
    for path in tables:
        for row in read_table(path, Path("runs")).rows:
            load_config(row.config, row.overrides)
