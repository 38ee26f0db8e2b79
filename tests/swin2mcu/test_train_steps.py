"""The commands of `swin2mcu train`: every round's students answer in the next one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from pytorch_side.config import Config, load_config, save_config, with_values
from pytorch_side.distillation.train_student import check_distillation
from pytorch_side.log import read_log
from pytorch_side.nets.models import make_teacher
from pytorch_side.nets.weights import save_weights
from swin2mcu import train
from swin2mcu.train import main, mains
from swin2mcu.train_plan import WIDE, Plan, plan_training
from swin2mcu.train_steps import ANSWERS, ENSEMBLE, TRAINING, Step, earlier_rounds, steps_of

STEM = {"patch_size": 4, "window_size": 4, "embed_dim": 24, "depths": [1, 1], "num_heads": [2, 4]}


@pytest.fixture
def swin(tmp_path: Path) -> Path:
    """A Swin of random weights for three classes, as a finished run."""
    named = {"teacher.name": "swin", "teacher.arguments": STEM, "teacher.size": 64}
    config = with_values(Config(), named)
    weights = tmp_path / "swin" / "teacher.safetensors"
    weights.parent.mkdir()
    save_config(config, weights.with_name("config.json"))
    save_weights(make_teacher(config.teacher, 3), weights, {})
    return weights


def plans(teacher: Path) -> tuple[Plan, Plan]:
    """With a teacher and more photos, and on labels alone."""
    more = plan_training(600, (WIDE, 96), "random", teacher, None, 0, unlabeled=9_000)
    return more, plan_training(600, (WIDE, 96), "random", None, None, 0)


def test_every_step_has_a_command(swin: Path, tmp_path: Path) -> None:
    steps, last = earlier_rounds(*plans(swin), 2, tmp_path, tmp_path / "run", [], [])
    steps += steps_of(last, tmp_path, tmp_path / "run", [])
    assert {name for name, _ in steps} == set(mains())


def test_one_round_is_one_training(swin: Path, tmp_path: Path) -> None:
    plan, alone = plans(swin)
    assert earlier_rounds(plan, alone, 1, tmp_path, tmp_path / "run", [], []) == ([], plan)


def test_the_students_of_all_rounds_answer_in_the_next_one(swin: Path, tmp_path: Path) -> None:
    plan, alone = plans(swin)
    run, unlabeled = tmp_path / "run", ["--set", "distillation.unlabeled=more"]
    steps, last = earlier_rounds(plan, alone, 3, tmp_path, run, ["--set", "seed=4"], unlabeled)
    place = run / "rounds"
    outs = [(name, dict(pairwise(words))["--out"]) for name, words in steps]
    assert outs == [
        (TRAINING, str(place / "labels")),
        (TRAINING, str(place / "1")),
        (ANSWERS, str(place / "answers-labels")),
        (ANSWERS, str(place / "answers-1")),
        (ENSEMBLE, str(place / "ensemble-2")),
        (TRAINING, str(place / "2")),
        (ANSWERS, str(place / "answers-2")),
        (ENSEMBLE, str(place / "ensemble-3")),
    ]
    by_out = {Path(out).name: words for (_, out), (_, words) in zip(outs, steps, strict=True)}
    answers = [place / f"answers-{name}" for name in ("labels", "1", "2")]
    swins = str(place / "1" / "teacher_cache")
    assert by_out["ensemble-2"][:3] == [swins, *map(str, answers[:2])]
    assert by_out["ensemble-3"][:4] == [swins, *map(str, answers)]
    labels = by_out["labels"]
    assert f"optimizer.epochs={alone.settings['optimizer.epochs']}" in labels
    assert not any("distillation" in word for word in labels) and "seed=4" in labels
    assert f"teacher.init={swin}" in by_out["1"] and unlabeled[1] in by_out["1"]
    for words in (by_out["2"], steps_of(last, tmp_path, run, [])[0][1]):
        assert "teacher.init=" in words
    assert f"distillation.cache={place / 'ensemble-2'}" in by_out["2"]
    assert last.settings["distillation.cache"] == str(place / "ensemble-3")
    for number in ("labels", "1", "2"):  # teacher-cache would refuse it after two trainings
        words = by_out[f"answers-{number}"]
        sets = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        check_distillation(load_config(None, sets))
    assert float(plan.settings["distillation.beta"]) > 0  # type: ignore[arg-type]
    student = by_out["answers-labels"]
    assert f"teacher.init={place / 'labels' / 'student.safetensors'}" in student
    assert f"teacher.name={WIDE}" in student and "teacher.size=96" in student
    assert not any(word.startswith("teacher.arguments") for word in student), "these are the Swin's"


def test_two_rounds_leave_a_student_that_several_networks_taught(
    swin: Path, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    data, run = make_folder(classes=3, images=8), tmp_path / "run"
    plan, alone = (
        plan_training(15, ("mobilenetv3_small_050", 32), "random", teacher, 1, 0)
        for teacher in (swin, None)
    )
    few = {"augment.cached": 2, "optimizer.epochs": 1}
    plan = Plan({**plan.settings, **few}, [])
    steps, last = earlier_rounds(plan, alone, 2, data, run, [], [])
    steps += steps_of(last, data, run, [])[:1]
    commands = mains()
    for _ in range(2):  # the second time nothing is left to do
        for name, arguments in steps:
            assert commands[name](arguments) == 0, (name, arguments)
    assert float(read_log(run)[-1]["logit"]) > 0
    assert len(read_log(run / "rounds" / "labels")) == 1


def test_a_run_of_other_settings_is_refused_before_the_first_round(
    swin: Path,
    make_folder: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After hours of earlier rounds the last training would refuse it."""
    data, run = make_folder(classes=3, images=8), tmp_path / "run"
    done: list[Step] = []

    def only_noted(steps: list[Step], commands: object) -> int:
        done.extend(steps)
        return 0

    monkeypatch.setattr(train, "mains", dict)
    monkeypatch.setattr(train, "run_steps", only_noted)
    words = [str(data), "--init", "random", "--teacher", str(swin), "--out", str(run)]
    run.mkdir()
    assert main([*words, "--rounds", "2"]) == 0 and done
    last = next(arguments for name, arguments in done[::-1] if name == TRAINING)
    sets = [last[i + 1] for i, word in enumerate(last) if word == "--set"]
    save_config(load_config(None, sets), run / "config.json")
    (run / "checkpoint.pt").touch()
    assert main([*words, "--rounds", "2"]) == 0, "resumed"
    capsys.readouterr()
    done.clear()
    assert main([*words, "--rounds", "3"]) == 2 and not done
    assert "another config (distillation.cache differ)" in capsys.readouterr().err


def test_the_plan_shows_every_round(
    swin: Path, make_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--init", "random", "--teacher", str(swin), "--plan", "--rounds"]
    data = str(make_folder(classes=3, images=8))
    assert main([data, *words, "2"]) == 0
    shown = capsys.readouterr().out
    assert "rounds: 2, and a student on labels alone" in shown
    assert shown.count("python -m pytorch_side.distill ") == 3
    assert shown.count("python -m pytorch_side.distillation.teacher_cache") == 2
    assert main([data, *words, "1"]) == 0
    shown = capsys.readouterr().out
    assert "rounds" not in shown and shown.count("python -m pytorch_side.distill ") == 1
