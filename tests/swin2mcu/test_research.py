"""A table of runs: read, run once, and reported from the runs' own files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from made_up_runs import TABLE, write_run

from pytorch_side.config import Config, load_config, with_values
from pytorch_side.evaluate import score
from swin2mcu import research as experiments
from swin2mcu.common.cli import UserError
from swin2mcu.common.test_access import log_access, read_accesses
from swin2mcu.research import comparison
from swin2mcu.research.__main__ import main, score_finished, start_of_seed
from swin2mcu.research.comparison import differences
from swin2mcu.research.distillation_gain import gains
from swin2mcu.research.table import ExperimentSpec, find_tables, read_run, read_table, run_cells
from swin2mcu.research.text import NONE


def section(experiment: ExperimentSpec, plot: str) -> str:
    return "\n".join(comparison.section(experiment, plot)) + "\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.toml"
    path.write_text(TABLE)
    (tmp_path / "plain.toml").write_text("optimizer.epochs = 2\n")
    (tmp_path / "distilled.toml").write_text('base = "plain.toml"\ndistillation.alpha = 0.5\n')
    return path


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (0.03, ": more than twice that."),
        (-0.03, ": more than twice that."),
        (0.021, ": more than twice that."),
        (0.019, ": not more than twice that: nothing shown."),
        (-0.019, ": not more than twice that: nothing shown."),
    ],
)
def test_the_verdict_follows_from_the_runs(
    table: Path, tmp_path: Path, gain: float, verdict: str
) -> None:
    """Baseline 90, 91 and 92 %: mean 91, sd 1, and the same sd for the distilled runs."""
    runs = tmp_path / "runs"
    table.write_text(TABLE.replace("[0, 1]", "[0, 1, 2]"))
    for seed, base in enumerate((0.90, 0.91, 0.92)):
        suffix = f"-seed{seed}" if seed else ""
        write_run(
            runs / f"plain{suffix}", with_values(Config(), {"optimizer.epochs": 2}), [0.5, base]
        )
        write_run(
            runs / f"distilled{suffix}",
            with_values(Config(), {"optimizer.epochs": 2, "distillation.alpha": 0.5}),
            [0.5, base + gain],
        )
    text = section(read_table(table, runs), "plot.svg")
    assert "| plain |  | 3 | 2 | 91.00% ± 1.00% |" in text
    assert "| distilled | alpha 0.5 | 3 | 2 |" in text
    assert f"{100 * gain:+.2f} points on val against plain; pooled sd 1.00 points" in text
    assert verdict in text
    assert "| plain-seed1 | 91.00% | 2 (91.00%) | 0.02 | 7.5% | unknown |" in text


def test_two_seeds_are_too_few_for_a_verdict(table: Path, tmp_path: Path) -> None:
    for name, alpha in (("plain", 0.0), ("distilled", 0.5)):
        for seed, suffix in enumerate(("", "-seed1")):
            values = {"optimizer.epochs": 1, "seed": seed, "distillation.alpha": alpha}
            top1 = 0.9 + 0.001 * seed + 0.1 * alpha
            write_run(tmp_path / f"runs/{name}{suffix}", with_values(Config(), values), [top1])
    read = read_table(table, tmp_path / "runs")
    assert "pooled sd 0.07 points: two seeds, so this says little." in section(read, "plot.svg")
    (gain,) = gains([read])
    assert gain.points > 50 * (gain.sd or 0) > 0 and not gain.sure


def test_seeds_of_one_row_have_one_config(table: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    first = {"optimizer.epochs": 1, "distillation.alpha": 0.5, "distillation.cache": "runs/few"}
    more = {"seed": 1, "distillation.cache": "runs/few-seed1", "distillation.bf16": True}
    write_run(runs / "plain", with_values(Config(), {"optimizer.epochs": 1}), [0.9])
    unused = {"optimizer.epochs": 1, "seed": 1, "distillation.temperature": 3.0}
    write_run(runs / "plain-seed1", with_values(Config(), unused), [0.9])
    write_run(runs / "distilled", with_values(Config(), first), [0.8])
    write_run(runs / "distilled-seed1", with_values(Config(), {**first, **more}), [0.8])
    section(read_table(table, runs), "plot.svg")
    shutil.rmtree(runs / "distilled-seed1")
    other = {**first, **more, "distillation.alpha": 0.9, "optimizer.learning_rate": 1.0}
    write_run(runs / "distilled-seed1", with_values(Config(), other), [0.8])
    with pytest.raises(UserError, match=r"differ in distillation\.alpha, optimizer\.learning_rate"):
        section(read_table(table, runs), "plot.svg")


def test_more_seeds_weigh_more(table: Path, tmp_path: Path) -> None:
    """90, 91, 92 % has variance 1 on 2 degrees, 90, 94 % has 8 on 1: (2 + 8) / 3, sd 1.83."""
    table.write_text(TABLE.replace("[0, 1]", "[0, 1, 2]"))
    runs = tmp_path / "runs"
    for seed, base in enumerate((0.90, 0.91, 0.92)):
        write_run(
            runs / f"plain{f'-seed{seed}' if seed else ''}",
            with_values(Config(), {"optimizer.epochs": 1}),
            [base],
        )
    for seed, distilled in enumerate((0.90, 0.94)):
        write_run(
            runs / f"distilled{f'-seed{seed}' if seed else ''}",
            with_values(Config(), {"optimizer.epochs": 1}),
            [distilled],
        )
    assert "pooled sd 1.83 points" in section(read_table(table, runs), "plot.svg")


def test_rows_are_compared_on_the_seeds_that_both_have(table: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name, seed, top1 in (
        ("plain", 0, 0.80),
        ("plain-seed1", 1, 0.95),
        ("distilled-seed1", 1, 0.96),
    ):
        alpha = 0.5 if name.startswith("distilled") else 0.0
        values = {"optimizer.epochs": 1, "seed": seed, "distillation.alpha": alpha}
        write_run(runs / name, with_values(Config(), values), [top1])
    read = read_table(table, runs)
    assert "+1.00 points on val against plain; one seed" in section(read, "plot.svg")
    (gain,) = gains([read])
    assert gain.points == 1.0 and gain.sd is None and gain.seeds == 1


def test_an_unfinished_run_claims_nothing(table: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "runs/plain", with_values(Config(), {"optimizer.epochs": 2}), [0.9])
    text = section(read_table(table, tmp_path / "runs"), "plot.svg")
    assert "| plain | epoch 1 of 2 |" in text
    assert "| distilled | not run |" in text
    assert "points on val" not in text


def test_epochs_of_no_seconds_have_no_share_of_waiting(tmp_path: Path) -> None:
    write_run(tmp_path / "short", with_values(Config(), {"optimizer.epochs": 1}), [0.5])
    log = tmp_path / "short/log.csv"
    log.write_text(log.read_text().replace("36.0", "0.0"))
    run = read_run(tmp_path / "short", "student")
    assert run and run_cells(run)[2:4] == ["0.00", NONE]


def test_only_finished_runs_are_scored(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "runs/plain", with_values(Config(), {"optimizer.epochs": 2}), [0.5, 0.6])
    write_run(tmp_path / "runs/distilled", with_values(Config(), {"optimizer.epochs": 2}), [0.5])
    for name in ("plain", "distilled"):
        (tmp_path / "runs" / name / "student.safetensors").touch()
    without = with_values(Config(), {"optimizer.epochs": 2, "seed": 1})
    write_run(tmp_path / "runs/plain-seed1", without, [0.5, 0.6])  # as docs/data/runs
    scored: list[str] = []
    monkeypatch.setattr(score, "score", lambda run, data, split: scored.append(run.name))
    score_finished(read_table(table, tmp_path / "runs"), tmp_path)
    assert scored == ["plain"]


def test_differences_are_short() -> None:
    """Seed and epochs have columns of their own, and folders need no path."""
    base = with_values(
        Config(),
        {"teacher.init": "runs/one/teacher.safetensors", "distillation.cache": "runs/asked-one"},
    )
    assert (
        differences(with_values(base, {"seed": 3, "optimizer.epochs": 7, "hint.weight": 1.0}), base)
        == ""
    )
    assert (
        differences(with_values(base, {"hint.init": "runs/a/student.safetensors"}), base)
        == "hint.init a"
    )
    other = with_values(
        base,
        {
            "distillation.alpha": 0.5,
            "teacher.init": "runs/two/teacher.safetensors",
            "distillation.cache": "runs/asked-two",
            "distillation.attention_pairs": ((2, 0), (5, 1)),
        },
    )
    shown = "teacher.init two, alpha 0.5, attention_pairs 2-0; 5-1, distillation.cache asked-two"
    assert differences(other, base) == shown
    elsewhere = with_values(other, {"teacher.init": "/some/where/swin_small.safetensors"})
    assert differences(elsewhere, base).startswith("teacher.init swin_small, alpha")
    # The run that a teacher comes from says what it is; one without a run is told apart by itself.
    made = {"teacher.size": 64, "teacher.arguments": {"embed_dim": 8}}
    assert differences(with_values(other, made), base) == shown
    assert (
        differences(with_values(base, {"distillation.alpha": 0.5, "teacher.size": 64}), base)
        == "teacher.size 64, alpha 0.5"
    )
    # A row without distillation never asks its teacher, whichever that is.
    unasked = with_values(
        other,
        {
            "distillation.alpha": 0.0,
            "teacher.size": 64,
            "distillation.temperature": 9.0,
            "distillation.logit_loss": "dist",
        },
    )
    assert differences(unasked, base) == ""
    assert differences(with_values(unasked, {"optimizer.ema": 0.5}), base) == "optimizer.ema 0.5"


def test_teachers_differ_in_what_they_are_made_of(table: Path, tmp_path: Path) -> None:
    """Which of a student's row, asked nothing, says nothing."""
    base = with_values(
        Config(), {"teacher.name": "swin", "teacher.arguments": {"embed_dim": 8, "depths": [2, 2]}}
    )
    other = with_values(
        base, {"teacher.arguments": {"embed_dim": 16, "depths": [4, 2]}, "teacher.size": 64}
    )
    assert differences(other, base) == ""
    shown = "teacher.arguments (embed_dim 16, depths 4-2), teacher.size 64"
    assert differences(other, base, "teacher") == shown
    table.write_text(TABLE.replace("[0, 1]", "[0]").replace("seeds", 'kind = "teacher"\nseeds'))
    for name, config in (("plain", base), ("distilled", other)):
        write_run(tmp_path / "runs" / name, with_values(config, {"optimizer.epochs": 1}), [0.9])
        (tmp_path / "runs" / name / "teacher.safetensors").write_bytes(b"weights")
    about = {"weights": "teacher.safetensors", "weights_sha256": sha256(b"weights").hexdigest()}
    log_access(tmp_path / "runs/plain", split="test", images=9, top1=0.8765, data="leaves", **about)
    text = section(read_table(table, tmp_path / "runs"), "plot.svg")
    assert "| plain |  | 1 | 1 | 90.00% | 87.65% |" in text
    assert f"| distilled | {shown} | 1 | 1 | 90.00% | not scored |" in text


def test_a_row_may_differ_without_a_file_of_its_own(table: Path, tmp_path: Path) -> None:
    text = TABLE.replace(
        'config = "distilled.toml"', 'config = "plain.toml"\nset = ["distillation.alpha=0.25"]'
    )
    table.write_text(text.replace("seeds", 'note = "Why."\nseeds'))
    read = read_table(table, tmp_path / "runs")
    plain, distilled = read.rows
    assert load_config(distilled.config, distilled.overrides).distillation.alpha == 0.25
    assert load_config(plain.config, plain.overrides).distillation.alpha == 0.0
    assert "\nWhy.\n" in section(read, "plot.svg")


def test_a_row_that_goes_on_from_another_has_one_seed_throughout(
    table: Path, tmp_path: Path
) -> None:
    """Its three seeds would otherwise share the longer part of their training."""
    experiment = read_table(table, tmp_path / "runs")
    for init, seed, start in (
        ("runs/plain/student.safetensors", 0, "runs/plain/student.safetensors"),
        ("runs/plain/student.safetensors", 1, "runs/plain-seed1/student.safetensors"),
        ("runs/other/student.safetensors", 1, "runs/other/student.safetensors"),
    ):
        config = with_values(Config(), {"student.init": init, "seed": seed})
        assert start_of_seed(config, experiment).student.init == start


def test_a_logged_score_on_test_is_shown(table: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "runs/plain", with_values(Config(), {"optimizer.epochs": 1}), [0.9])
    text = section(read_table(table, tmp_path / "runs"), "plot.svg")
    assert "not scored" in text
    run = tmp_path / "runs/plain"
    (run / "student.safetensors").write_bytes(b"weights")
    about = {"weights": "student.safetensors", "weights_sha256": sha256(b"weights").hexdigest()}
    log_access(run, split="test", images=9, top1=0.8765, data="leaves", **about)
    text = section(read_table(table, tmp_path / "runs"), "plot.svg")
    assert "| 87.65% |" in text
    (run / "student.safetensors").write_bytes(b"trained again")  # other weights were scored
    text = section(read_table(table, tmp_path / "runs"), "plot.svg")
    assert "not scored" in text


def part_of(document: Path, name: str) -> str:
    return document.read_text().partition(f"<!-- {name} -->\n")[2].partition("<!-- end -->")[0]


def test_the_command_runs_what_is_missing_and_writes(
    make_folder: Callable[..., Path],
    tiny_config: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = TABLE.replace("distilled.toml", "plain.toml")
    (tmp_path / "tiny.toml").write_text(text)
    (tmp_path / "plain.toml").write_text(
        'student = { name = "tf_mobilenetv3_small_minimal_100", size = 32 }\n'
        "optimizer = { epochs = 1, batch = 6 }\n"
    )
    arguments = [
        str(tmp_path / "tiny.toml"),
        *("--runs", str(tmp_path / "runs"), "--data", str(make_folder())),
        *("--write", str(tmp_path / "docs/RESULTS.md"), "--evaluated", str(tmp_path)),
    ]
    document, page = tmp_path / "docs/RESULTS.md", tmp_path / "docs/results/tiny.md"
    document.parent.mkdir()
    ours = Path(experiments.__file__).parents[2] / "docs/RESULTS.md"
    document.write_text(ours.read_text())
    assert main(arguments) == 0
    written = page.read_text()
    assert "two seeds, so this says little" in written
    assert "[Gain](results/tiny.md)" in document.read_text()
    # Nothing here is distilled, and no run of the published models is here: their parts stay.
    for part in ("map", "cost"):
        assert part_of(document, part) == part_of(ours, part)
    assert not (tmp_path / "docs/results/trainings.md").exists()
    seeds = [
        json.loads((tmp_path / "runs" / name / "config.json").read_text())["seed"]
        for name in ("plain", "plain-seed1", "distilled", "distilled-seed1")
    ]
    assert seeds == [0, 1, 0, 1]
    plot = (tmp_path / "docs/results/tiny.svg").read_text()
    assert "<svg" in plot
    stamp = (tmp_path / "runs/plain/checkpoint.pt").stat().st_mtime_ns
    assert main([*arguments, "--score-test"]) == 0  # nothing is run twice
    assert "not scored" in written
    assert "not scored" not in page.read_text()
    assert main([*arguments, "--score-test"]) == 0  # nor scored twice
    assert len(read_accesses(tmp_path / "runs/plain")) == 1
    assert (tmp_path / "docs/results/tiny.svg").read_text() == plot  # no difference, no change
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


def test_a_mistyped_folder_of_runs_is_no_empty_report(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(table), "--report", "--runs", str(tmp_path / "rnus")]) == 2
    assert capsys.readouterr().err == (
        f"error: --runs {tmp_path / 'rnus'} is no folder: name the one that holds runs\n"
    )


def test_the_projects_tables_name_their_configs() -> None:
    root = Path(experiments.__file__).parents[2]
    tables = find_tables(root / "configs/research")
    assert len(tables) > 5
    # A run that is finished is not trained again: two tables may share it only if they agree on it.
    shared = {"distillation.cache": ""}  # where a teacher's answers lie changes no training
    trained = {
        path.stem: with_values(load_config(path), shared)
        for path in (root / "configs").glob("*.toml")
    }
    for path in tables:
        for row in read_table(path, Path("runs")).rows:
            config = with_values(load_config(row.config, row.overrides), shared)
            name = row.folders[min(row.folders)].name
            assert trained.setdefault(name, config) == config, f"{path.name}: {name}"
