"""RESULTS.md and its pages: the gain of distillation, and what is kept where runs are missing."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_runs import TABLE, write_run

from pytorch_side.config import Config, with_values
from swin2mcu.common.cli import UserError
from swin2mcu.common.paths import ROOT
from swin2mcu.research import pages as research_pages
from swin2mcu.research.data_audit import (
    background_lines,
    mistakes_lines,
    unknown_lines,
    unknown_section,
)
from swin2mcu.research.distillation_gain import (
    GAINS,
    Gain,
    gains,
    gains_json,
    known_gains,
    read_gains,
)
from swin2mcu.research.distillation_map import draw_map, few_label_gains, map_lines
from swin2mcu.research.int8 import HEAD
from swin2mcu.research.pages import Figures, pages, write
from swin2mcu.research.table import find_tables, read_table
from swin2mcu.research.teachers import CACHED
from swin2mcu.research.trainings import trainings_of


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.toml"
    path.write_text(TABLE)
    (tmp_path / "plain.toml").write_text("optimizer.epochs = 2\n")
    (tmp_path / "distilled.toml").write_text('base = "plain.toml"\ndistillation.alpha = 0.5\n')
    return path


def test_a_distilled_row_stands_beside_its_matched_control(table: Path, tmp_path: Path) -> None:
    """Which is the baseline only where nothing but distillation differs."""
    more = TABLE.replace("[0, 1]", "[0, 1, 2]") + "".join(
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
        for seed in (0, 1, 2):
            folder = runs / (f"{name}-seed{seed}" if seed else name)
            write_run(folder, with_values(config, {"seed": seed}), [0.5, val + 0.01 * seed])
    read = read_table(table, runs)
    found = gains([read, read])
    shown = {gain.name: (round(gain.points, 6), gain.seeds) for gain in found}
    student = "tf_mobilenetv3_small_100, 96 px"
    assert shown == {
        f"distilled ({student})": (3.0, 3),
        f"distilled on small crops ({student})": (-1.0, 3),
    }
    assert [gain.start for gain in found] == ["random", "random"]
    assert [gain.sure for gain in found] == [True, False]
    shutil.rmtree(runs / "plain-seed1")
    shutil.rmtree(runs / "plain-seed2")
    one = gains([read])[0]
    assert (one.seeds, one.sd) == (1, None), "a control that still lacks a seed"


def gain(run: str, points: float, sd: float | None, start: str = "pretrained") -> Gain:
    return Gain(run, start, f"way {run}", points, sd, 1 if sd is None else 3, 20)


def test_each_block_of_the_map_has_a_verdict(tmp_path: Path) -> None:
    found = [
        gain("a", 3.0, 0.7, "random"),
        gain("b", 1.0, 0.7, "random"),
        gain("c", 0.1, 0.2),
        gain("d", 9.0, None),
        gain("e", 1.0, None, "few"),
    ]
    text = "\n".join(map_lines(found, "map.svg"))
    assert (
        "Random weights, all labels: some ways pay, so compare with labels alone.** 2 ways" in text
    )
    assert "tried, 2 with several seeds: 1 gained more than twice the pooled" in text
    sure = "\n".join(map_lines(found[:1], "map.svg"))
    assert "Random weights, all labels: distill.** 1 way tried, 1 with several seeds" in sure
    assert "the best, *way a*, +3.00 ± 0.70 points" in text
    assert "ImageNet weights, all labels: labels alone.** 2 ways tried, 1 with several" in text
    assert "ImageNet weights, few labels: not known.** 1 way tried, 0 with several seeds" in text
    rows = [row for row in text.splitlines() if "| way " in row]
    assert [row.split(" | ")[1] for row in rows] == [
        "way a",
        "way b",
        "way e",
        "way c",
    ], "one seed is only in the picture, if it is not the only one of few labels"
    assert [row.split(" | ")[-1] for row in rows] == ["yes |", "no |", "– |", "no |"]  # noqa: RUF001
    assert "2 of the 5 ways have one seed" in text
    assert "The paper reports +3.5" in text
    assert map_lines([], "map.svg") == []
    draw_map(found, tmp_path / "map.svg")
    assert (tmp_path / "map.svg").read_text().count("<svg") == 1


def test_gains_of_few_labels_are_over_labels_alone() -> None:
    runs = [
        {"row": row, "labels": 60, "seed": seed, "val_top1": top1 + 0.01 * seed, "passes": 8}
        for row, top1 in (("teacher", 0.95), ("labels alone", 0.9), ("hybrid", 0.92))
        for seed in (0, 1)
    ]
    (found,) = few_label_gains(runs)
    assert (found.start, found.seeds, found.epochs) == ("few", 2, 8)
    assert found.points == pytest.approx(2.0) and found.sd == pytest.approx(0.7071, abs=1e-3)
    assert found.pairs == pytest.approx((2.0, 2.0)) and not found.sure_in_pairs, "of two seeds"
    (one,) = few_label_gains([run for run in runs if run["seed"] == 0])
    assert one.pairs == ()
    (first,) = few_label_gains([run for run in runs if run["seed"] == 0 or run["row"] != "hybrid"])
    assert (first.points, first.seeds) == (one.points, 1), "a seed is compared with itself"
    assert one.sd is None and not one.sure
    assert few_label_gains([]) == []
    more = [{**run, "labels": 200, "val_top1": run["val_top1"] + 0.02} for run in runs]
    fewer, _ = both = few_label_gains(more + runs)
    assert fewer == found and [gain.name for gain in both] == [
        "hybrid (60 labels per class)",
        "hybrid (200 labels per class)",
    ]


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ((2.4, 2.0, 1.2), "few labels: distill.** 1 way tried, 1 with several seeds: none gained"),
        ((4.4, 2.0, -0.8), "few labels: labels alone.** 1 way tried, 1 with several seeds: none"),
    ],
)
def test_gains_on_the_same_photos_are_compared_in_pairs(
    pairs: tuple[float, ...], said: str
) -> None:
    """Seeds that draw other labeled photos differ by more than a teacher adds."""
    found = replace(gain("a", 1.87, 1.2, "few"), pairs=pairs)
    text = "\n".join(map_lines([found], "map.svg"))
    assert said in text
    assert ("gains of *a* are +2.40, +2.00, +1.20, more than twice their" in text) == (
        "distill" in said
    )
    more = replace(gain("b", 2.9, 1.6, "few"), pairs=(3.4, 3.0, 2.3))
    both = "\n".join(map_lines([found, more], "map.svg"))
    assert "gains of *b* are +3.40, +3.00, +2.30" in both, "of the larger gain"


def write_both(runs: Path, seed: int) -> None:
    """The runs of TABLE's rows with one seed, the distilled one a point ahead."""
    for name, alpha, val in (("plain", 0.0, 0.9), ("distilled", 0.5, 0.91)):
        changes = {"optimizer.epochs": 1, "distillation.alpha": alpha, "seed": seed}
        folder = runs / (f"{name}-seed{seed}" if seed else name)
        write_run(folder, with_values(Config(), changes), [val])


def test_a_page_stays_when_its_runs_are_not_here(
    table: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs, results = tmp_path / "runs", tmp_path / "docs/results"
    results.mkdir(parents=True)
    document = results.parent / "RESULTS.md"
    document.write_text("<!-- map -->\n<!-- end -->\n<!-- experiments -->\n<!-- end -->\n")

    def report() -> list[Path]:
        return write(
            document, Figures({"table": read_table(table, runs)}, runs, tmp_path, tmp_path)
        )

    page, plot = results / "table.md", results / "table.svg"
    write_both(runs, 0)
    assert page in report() and "distilled-seed1" not in page.read_text()
    write_both(runs, 1)
    assert page in report(), "more runs than before"
    made = page.read_text(), plot.read_bytes()
    assert "| distilled-seed1 |" in made[0]
    shutil.rmtree(runs / "distilled-seed1")
    with caplog.at_level("INFO"):
        assert page not in report()
    assert (page.read_text(), plot.read_bytes()) == made
    assert "table.md stays, files of its rows are not here: distilled-seed1" in caplog.text

    page.write_text(f"{made[0]}\n| {HEAD} |\n| plain | old |\n| distilled | old |\n")
    monkeypatch.setattr(research_pages, "int8_lines", lambda zoo: {"plain": "| plain | new |"})
    assert page in report(), "a published model that was fine-tuned again"
    changed = f"{made[0]}\n| {HEAD} |\n| plain | new |\n| distilled | old |\n"
    assert page.read_text() == changed


def test_figures_of_caches_that_are_not_here_are_kept(table: Path, tmp_path: Path) -> None:
    runs, cache = tmp_path / "runs", tmp_path / "asked"
    document = tmp_path / "docs/RESULTS.md"
    (document.parent / "results").mkdir(parents=True)
    document.write_text("<!-- map -->\n<!-- end -->\n<!-- experiments -->\n<!-- end -->\n")
    write_both(runs, 0)
    config = runs / "distilled/config.json"
    values = json.loads(config.read_text())
    values["distillation"]["cache"] = str(cache)
    config.write_text(json.dumps(values))
    cache.mkdir()
    (cache / "teacher_cache.json").write_text(json.dumps({"classes": ["a", "b"], "done": 1}))
    (cache / "files.json").write_text(json.dumps(["b/1.jpg"]))
    np.save(cache / "logits.npy", np.float16([[[0, 3]]]))

    def page() -> str:
        write(document, Figures({"table": read_table(table, runs)}, runs, tmp_path, tmp_path))
        return (document.parent / "results/table.md").read_text()

    first = page()
    assert "| asked | 1 | 100.00% | 0.95 | 0.95 |" in first
    shutil.rmtree(cache)
    assert page() == first
    (tmp_path / CACHED).unlink()
    assert page() == first, "a page keeps what cannot be read again"


def test_pages_claim_what_their_tables_hold() -> None:
    """Also those that were written by older code, whose runs are not here."""
    claims = 0
    for path in sorted((ROOT / "docs/results").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        rows = re.findall(r"^\| (.+) \| .*\| (\d+) \| \d+ \| ([\d.]+)%", text, re.MULTILINE)
        seeds = {name.partition(" |")[0]: int(count) for name, count, _ in rows}
        means = {name.partition(" |")[0]: float(mean) for name, _, mean in rows}
        for name, gain, base, rest in re.findall(
            r"^- (.+?): ([+-][\d.]+) points on val against (.+?); (.+)$", text, re.MULTILINE
        ):
            claims += 1
            few = min(seeds[name], seeds[base])
            if seeds[name] == seeds[base]:  # else the means are of the seeds that both have
                assert abs(means[name] - means[base] - float(gain)) < 0.011, (path.name, name)
            sd = re.match(r"pooled sd ([\d.]+) points", rest)
            assert bool(sd) == (few > 1), (path.name, name)
            of_few = {1: "one seed, so this says little", 2: "two seeds, so this says little"}
            assert of_few.get(few, "more than twice that") in rest, (path.name, name)
            if sd and few > 2 and abs(abs(float(gain)) - 2 * float(sd[1])) > 0.015:
                assert ("not more" in rest) == (abs(float(gain)) < 2 * float(sd[1])), path.name
    assert claims > 20


def test_gains_of_runs_that_are_not_here_are_kept(table: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    write_both(runs, 0)
    elsewhere = gain("elsewhere", 4.0, 1.0)
    recorded = tmp_path / GAINS
    recorded.write_text(gains_json([elsewhere]))
    figures = Figures({"table": read_table(table, runs)}, runs, tmp_path, tmp_path)
    document = tmp_path / "docs/RESULTS.md"
    document.parent.mkdir()
    document.write_text("<!-- map -->\n<!-- end -->\n<!-- experiments -->\n<!-- end -->\n")
    (document.parent / "results").mkdir()
    write(document, figures)
    kept, new = read_gains(recorded)
    assert kept == elsewhere and (new.run, new.points) == ("distilled", 1.0)
    assert "way elsewhere" in document.read_text()
    assert (document.parent / "results/map.svg").is_file()

    several = replace(new, points=2.0, sd=0.1, seeds=3)
    recorded.write_text(gains_json([several]))
    tables = [read_table(table, runs)]
    assert known_gains(tables, recorded) == [several], "one seed does not replace three"
    recorded.write_text(gains_json([replace(new, points=2.0)]))
    assert known_gains(tables, recorded) == [new], "the same run, trained again"


@pytest.mark.parametrize(
    ("text", "names"),
    [("[{", "Expecting property name"), ('[{"run": "x"}]', "it lacks 'pairs'"), ("[1]", "mapping")],
)
def test_a_damaged_record_is_named(tmp_path: Path, text: str, names: str) -> None:
    (tmp_path / GAINS).write_text(text)
    with pytest.raises(UserError, match=rf"gains\.json is damaged \(.*{names}"):
        read_gains(tmp_path / GAINS)


@pytest.mark.parametrize("text", ["[{", '[{"epochs": 1}]', '[{"run": "x"}]', "[1]"])
def test_a_damaged_record_of_trainings_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "trainings.json").write_text(text)
    with pytest.raises(UserError, match=r"trainings\.json is damaged \("):
        trainings_of(tmp_path, tmp_path, tmp_path / "trainings.json")


def test_tables_are_found_beside_configs(table: Path, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(TABLE)
    assert find_tables(tmp_path) == [tmp_path / "other.toml", table]


def test_one_finished_row_makes_no_page(table: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    config = with_values(Config(), {"optimizer.epochs": 2})
    write_run(runs / "plain", config, [0.8, 0.9])
    write_run(runs / "distilled", with_values(config, {"distillation.alpha": 0.5}), [0.8])
    shown = Figures({"table": read_table(table, runs)}, runs, tmp_path, tmp_path)
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
    assert "could not be cut out: 3)" in lines[0]


def test_what_models_refuse_is_a_sentence_and_a_page(tmp_path: Path) -> None:
    assert unknown_lines(tmp_path) == unknown_section(tmp_path) == []
    for name, not_sure, refused in (("large", 6, 0.0), ("small", 10, 0.1)):
        report = {
            "unknown": {"photos of cats": {"photos": 12, "not_sure": not_sure, "auroc": 0.9}},
            "test": {"images": 1000, "refused": refused, "top1": 0.8, "top1_answered": 0.9},
        }
        (tmp_path / f"leaves-unknown-{name}.json").write_text(json.dumps(report))
    assert unknown_lines(tmp_path) == [
        "The calibrated models are *not sure* of 50% to 83% of 12 photos of cats and of 0.0% to "
        "10.0% of 1,000 test photos; of the answered test photos 90.0% are right "
        "([each model](results/not-sure.md))."
    ]
    page = unknown_section(tmp_path)
    assert "of up to 14 points (photos of cats); ±" in page[2]
    assert page[-2:] == [
        "| large | 6 of 12 | 0.90 ± 0.09 | 0.00% ± 0.07% | 90.00% ± 0.95% |",
        "| small | 10 of 12 | 0.90 ± 0.09 | 10.00% ± 0.95% | 90.00% ± 1.00% |",
    ]
    report["unknown"]["photos of cats"]["photos"] = 13
    (tmp_path / "leaves-unknown-tiny.json").write_text(json.dumps(report))
    with pytest.raises(UserError, match="other unknown photos"):
        unknown_lines(tmp_path)


def test_mistakes_name_the_label_they_are_most_often_of(tmp_path: Path) -> None:
    assert mistakes_lines(tmp_path) == []
    report = {
        "split": "val",
        "images": 1000,
        "models": [{"model": "small"}, {"model": "large"}, {"model": "tiny"}],
        "wrong_in_most": 3,
        "wrong_in_all": 1,
        "photos": [{"label": label} for label in ("rust", "scab", "rust")],
    }
    (tmp_path / "leaves-mistakes.json").write_text(json.dumps(report))
    assert mistakes_lines(tmp_path) == [
        "3 of the 1,000 val photos are wrong in more than half of 3 models (small, large, tiny), 1 "
        "in all of them; 2 of the 3 are labeled rust. All other photos are 99.70% ± 0.17%."
    ]


def test_the_gains_of_kept_runs_are_the_recorded_ones() -> None:
    recorded = {gain.run: gain for gain in read_gains(ROOT / "docs/data/gains.json")}
    table = read_table(ROOT / "configs/research/saturated-96-short.toml", ROOT / "docs/data/runs")
    found = gains([table])
    assert len(found) == 3 and all(recorded[gain.run] == gain for gain in found)
