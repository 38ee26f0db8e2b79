"""The commands of `swin2mcu train`, in order: each is a module with its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytorch_side.config import as_override
from swin2mcu.train_plan import WIDE, Plan

Step = tuple[str, list[str]]  # module, arguments
TRAINING = "pytorch_side.distill"
ANSWERS, ENSEMBLE = (f"pytorch_side.distillation.{name}" for name in ("teacher_cache", "ensemble"))
ALONE = "labels"  # the student without a teacher, beside the rounds 1, 2, …


def steps_of(
    plan: Plan, data: Path, run: Path, options: list[str], calibrated: bool = True
) -> list[Step]:
    """From the last training to a checked int8 model. `options` say how photos are split.

    Without `calibrated` the model never answers *not sure*.
    """
    place = ["--data", str(data)]
    steps = [
        with_settings(TRAINING, plan.settings, data, run, options),
        ("pytorch_side.qat", [str(run), *place]),
        ("pytorch_side.export", [str(run)]),
        ("tinyml.convert", [str(run)]),
        ("swin2mcu.calibrate", [str(run), *place]),
        ("tinyml.parity", [str(run), *place, "--split", "val", "--limit", "200"]),
    ]
    return [step for step in steps if calibrated or step[0] != "swin2mcu.calibrate"]


def earlier_rounds(
    plan: Plan,
    alone: Plan,
    rounds: int,
    data: Path,
    run: Path,
    options: list[str],
    unlabeled: list[str],
) -> tuple[list[Step], Plan]:
    """The commands of all rounds but the last, and the plan of the last one's training.

    A student is trained on labels alone and one with the teacher. In each further round the logits
    of the teacher and of all students so far are averaged, over a photo's augmentations too:
    self-training as in Xie et al. 2020 (arXiv 1911.04252), with several networks. `alone` is the
    plan on labels alone, `unlabeled` the options that name more photos, for the taught students.
    Runs and answers lie in `run`/rounds. One round has no earlier ones.
    """
    if rounds == 1:
        return [], plan
    place, taught = run / "rounds", [*options, *unlabeled]
    first = place / "1"
    steps = [
        with_settings(TRAINING, alone.settings, data, place / ALONE, options),
        with_settings(TRAINING, plan.settings, data, first, taught),
    ]
    caches, students, last = [first / "teacher_cache"], [ALONE, "1"], plan
    for number in range(2, rounds + 1):
        for name in students:
            caches.append(place / f"answers-{name}")
            settings = answering(plan.settings, place / name / "student.safetensors")
            steps.append(with_settings(ANSWERS, settings, data, caches[-1], taught))
        together = place / f"ensemble-{number}"
        averaged = ["--first-maps", "--over-augmentations", "--out", str(together)]
        steps.append((ENSEMBLE, [*map(str, caches), *averaged]))
        named = {"teacher.init": "", "distillation.cache": str(together)}
        last, students = Plan({**plan.settings, **named}, plan.reasons), [str(number)]
        if number < rounds:
            steps.append(with_settings(TRAINING, last.settings, data, place / str(number), taught))
    return steps, last


def answering(settings: Mapping[str, object], weights: Path) -> dict[str, object]:
    """The settings with which a finished student answers in a teacher's place."""
    kept = {key: value for key, value in settings.items() if not key.startswith("teacher.")}
    return {
        **kept,
        "teacher.name": settings.get("student.name", WIDE),
        "teacher.size": settings["student.size"],
        "teacher.input": "student",
        "teacher.init": str(weights),
        "distillation.attention_pairs": [],
        "distillation.beta": 0.0,  # its maps are not used
        "distillation.bf16": False,
    }


def with_settings(
    module: str, settings: Mapping[str, object], data: Path, out: Path, options: list[str]
) -> Step:
    """A command that reads a config."""
    return module, ["--data", str(data), "--out", str(out), *overrides(settings), *options]


def overrides(settings: Mapping[str, object]) -> list[str]:
    """The options that give a training command these settings."""
    return [word for key, value in settings.items() for word in ("--set", as_override(key, value))]
