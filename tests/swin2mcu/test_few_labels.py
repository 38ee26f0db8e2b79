"""Few labels beside photos without one: every row has its photos, steps and teacher."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pytorch_side.config import load_config, save_config
from swin2mcu.research import few_labels
from swin2mcu.research.text import NONE

VAL = {"teacher": 0.9, "labels": 0.8, "hybrid": 0.85, "unlabeled": 0.88, "second": 0.89}


def test_rows_differ_in_photos_and_teacher_alone(
    make: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("docs/data", "docs/results"):
        Path(folder).mkdir(parents=True)
    data = make(*(f"{name}/{number}.png" for name in "ab" for number in range(300)))
    made: dict[str, tuple[str, list[str]]] = {}  # run → table, options
    asked: dict[str, tuple[str, list[str]]] = {}  # cache → table, options
    averaged: list[list[str]] = []

    def train(arguments: list[str]) -> int:
        named = dict(zip(arguments[::2], arguments[1::2], strict=True))
        sets = [arguments[i + 1] for i, word in enumerate(arguments) if word == "--set"]
        run = Path(named["--out"])
        made[run.name] = (Path(named["--data"]).read_text(), sets)
        run.mkdir(parents=True, exist_ok=True)
        config = load_config(Path(named["--config"]), sets)
        save_config(config, run / "config.json")
        kind, _, seed = run.name.split("-")
        machine = {"hardware": f"Processor of {seed}", "threads": 1, "torch": "2.0"}
        (run / "machine.json").write_text(json.dumps(machine))
        lines = ["epoch,learning_rate,loss,val_top1,seconds,waiting_share"]
        top1 = VAL[kind] + 0.01 * int(seed.removeprefix("seed"))
        lines += [f"{e + 1},0.1,1,{top1},1,0" for e in range(config.optimizer.epochs)]
        (run / "log.csv").write_text("\n".join(lines) + "\n")
        return 0

    def answer(arguments: list[str]) -> int:
        named = dict(zip(arguments[::2], arguments[1::2], strict=True))
        sets = [arguments[i + 1] for i, word in enumerate(arguments) if word == "--set"]
        load_config(Path(named["--config"]), sets)
        asked[Path(named["--out"]).name] = (Path(named["--data"]).read_text(), sets)
        return 0

    def average(arguments: list[str]) -> int:
        averaged.append(arguments)
        return 0

    for module in (few_labels.teacher, few_labels.distill):
        monkeypatch.setattr(module, "main", train)
    monkeypatch.setattr(few_labels.teacher_cache, "main", answer)
    monkeypatch.setattr(few_labels.ensemble, "main", average)
    arguments = [str(data), "--labels", "100", "--steps", "40", "--seeds", "2"]
    assert few_labels.main(arguments) == 0
    labels, hybrid, unlabeled = (
        made[f"{row}-100-seed1"] for row in ("labels", "hybrid", "unlabeled")
    )
    assert labels[0] == hybrid[0] == made["teacher-100-seed1"][0]
    assert labels[0].count(",train") == 200 and "unlabeled" not in labels[0]
    assert unlabeled[0].count(",train") == 200
    assert unlabeled[0].count(",unlabeled") > 200
    assert made["labels-100-seed0"][0] != labels[0]
    # 19 passes over 200 photos are 39 steps of 96 photos.
    assert {"optimizer.epochs=1", "optimizer.passes=19"} < {*labels[1]} & {*hybrid[1]}
    assert {"optimizer.epochs=1", "optimizer.passes=8"} < {*unlabeled[1]}
    assert "distillation.alpha=0.7" not in labels[1]
    assert {"distillation.alpha=0.7", "distillation.beta=0.3"} < {*hybrid[1]} & {*unlabeled[1]}
    swin = Path("runs/few-labels/teacher-100-seed1/teacher.safetensors")
    assert f"teacher.init={swin}" in hybrid[1] and "seed=1" in unlabeled[1]
    assert "optimizer.passes=18" in made["teacher-100-seed1"][1], "18 times 200 photos"
    assert "augment.cached=0" in labels[1] and "augment.cached=3" in hybrid[1]

    runs = Path("runs/few-labels")
    for name in ("labels", "unlabeled"):
        table, sets = asked[f"answers-{name}-100-seed1"]
        assert table == unlabeled[0]
        assert f"teacher.init={runs / f'{name}-100-seed1' / 'student.safetensors'}" in sets
        assert {"teacher.input=student", "augment.cached=3"} < {*sets}
    together = runs / "ensemble-100-seed1"
    assert averaged[1] == [
        str(runs / "unlabeled-100-seed1" / "teacher_cache"),
        str(runs / "answers-labels-100-seed1"),
        str(runs / "answers-unlabeled-100-seed1"),
        *("--first-maps", "--over-augmentations", "--out", str(together)),
    ]
    second = made["second-100-seed1"]
    assert second[0] == unlabeled[0] and "teacher.init=" in second[1]
    assert f"distillation.cache={together}" in second[1]
    with_teacher = {key for key in unlabeled[1] if not key.startswith("teacher.init")}
    assert with_teacher < {*second[1]}, "the same steps"

    text = few_labels.PAGE.read_text()
    assert (
        f"| labels alone | 2 | 19 | new in every pass | 80.50 ± 0.71 % | {NONE} | {NONE} |" in text
    )
    assert (
        "| hybrid | 2 | 19 | 3 | 85.50" in text
        and "| +8.00 ± 0.71 points | +8.00, +8.00 |" in text
        and "| 90.50 ± 0.71 % |" in text
    )
    processors = [f"Processor of seed{seed}, 1 thread, torch 2.0" for seed in (0, 1)]
    assert f"On {'; '.join(processors)}.\n" in text, "not only the first run's"
    figures = json.loads(few_labels.FIGURES.read_text())
    assert len(figures["runs"]) == 10

    long = ["--labels", "100", "--steps", "400", "--seeds", "1", "--out", "long"]
    assert few_labels.main([str(data), *long]) == 0
    assert "augment.cached=27" in made["hybrid-100-seed0"][1], "192 passes over few photos"
    assert "It is one seed, so this says little." in few_labels.PAGE.read_text()

    for name in ("second", "unlabeled"):
        for number in (0, 1):
            shutil.rmtree(f"runs/few-labels/{name}-100-seed{number}")
    shutil.rmtree("runs/few-labels/hybrid-100-seed1")
    report = [str(data), "--labels", "100", "--seeds", "2", "--report"]
    before = dict(made)
    assert few_labels.main(report) == 0 and made == before, "trains nothing"
    assert [run["row"] for run in json.loads(few_labels.FIGURES.read_text())["runs"]] == [
        *("teacher", "labels alone", "hybrid"),
        *("teacher", "labels alone"),
    ]
    assert "| hybrid | 1 |" in few_labels.PAGE.read_text()
    before_fewer = few_labels.FIGURES.read_bytes()
    assert few_labels.main([*report, "--seeds", "1"]) == 0
    assert few_labels.FIGURES.read_bytes() == before_fewer, "the other seed's runs stay"
    assert few_labels.main([*report, "--out", "nothing"]) == 2
    assert "nothing has no finished run on labels alone" in capsys.readouterr().err

    before = few_labels.FIGURES.read_bytes()
    assert few_labels.main([str(data), "--labels", "50", "--steps", "40", "--seeds", "1"]) == 0
    assert "optimizer.passes=36" in made["teacher-50-seed0"][1], "as many images of fewer photos"
    both = json.loads(few_labels.FIGURES.read_text())["runs"]
    assert [run for run in both if run["labels"] == 100] == json.loads(before)["runs"]
    text = few_labels.PAGE.read_text()
    assert text.index("## 50 labeled photos") < text.index("## 100 labeled photos")
    assert few_labels.main([*report, "--labels", "50"]) == 0, "the last --labels counts"
    assert json.loads(few_labels.FIGURES.read_text())["runs"] == both

    values = json.loads(few_labels.FIGURES.read_text())
    few_labels.FIGURES.write_text(json.dumps(values | {"val_images": values["val_images"] + 1}))
    assert few_labels.main([*report, "--labels", "50"]) == 0
    kept = json.loads(few_labels.FIGURES.read_text())["runs"]
    assert kept == [run for run in both if run["labels"] == 50], "the others had another val"

    monkeypatch.setattr(few_labels.distill, "main", lambda arguments: 2)
    capsys.readouterr()
    assert few_labels.main(arguments) == 2
    assert "labels-100-seed0" in capsys.readouterr().err
    assert few_labels.main([str(data), "--steps", "0"]) == 2
