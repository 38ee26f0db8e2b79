"""Put a run's model and what was measured of it into the zoo of published models.

    python host_tools/publish.py RUN NAME

A teacher's run goes into pytorch_side/zoo, in half precision. Nothing else writes into the two
zoos. To measure a published model again, run the tools on its name (they work on a copy,
build/measured/NAME) and publish that copy.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from host_tools.inputs import Model, load_model
from host_tools.measured_copy import MODEL_NAME
from host_tools.report.counts import without_counts
from host_tools.report.foreign import check_targets
from host_tools.results import RESULTS_NAME, Results, load_results
from swin2mcu.common.card import save_card
from swin2mcu.common.cli import Parser, UserError, run_command
from swin2mcu.common.lock import locked
from swin2mcu.common.paths import ROOT, TEACHERS, ZOO
from swin2mcu.common.test_access import FILE, read_accesses
from tinyml.parity.record import broken, missing_stages, read_parity, unproven

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
PARITY_NAME, STUDENT_NAME = "parity.json", "student.safetensors"
TEACHER_NAME, CONFIG_NAME = "teacher.safetensors", "config.json"
LOCK = ROOT / "build" / "publishing"  # outside the zoo, which holds entries alone
WAIT_S = 60.0  # publishing takes a second


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", metavar="RUN", help="a folder with a model, its card and results")
    parser.add_argument("name", metavar="NAME", help="of the zoo entry that is made or replaced")
    arguments = parser.parse_args(argv)

    def command() -> None:
        run, name = Path(arguments.run), arguments.name
        if (run / TEACHER_NAME).is_file() and not (run / MODEL_NAME).is_file():
            publish_teacher(run, name)
            print(f"published {run} as {TEACHERS / name}")
        else:
            publish(load_model(arguments.run), name)
            print(f"published {run} as {ZOO / name}")

    return run_command(command)


def publish(model: Model, name: str) -> None:
    """Write the zoo entry, whole or not at all. Raises UserError saying what does not fit."""
    results = _results(model.folder / RESULTS_NAME)
    if results.model_sha256 != model.sha256:
        raise UserError(f"{model.folder / RESULTS_NAME} is of another model: measure again")
    parity = _parity(model)
    accesses = read_accesses(model.folder)
    if wrong := wrong_accesses(accesses, results):
        raise UserError(f"the test access log of {model.folder}: {wrong[0]}")

    def write(new: Path) -> None:
        _check_replaces(model, results, parity, ZOO / name)
        shutil.copyfile(model.int8, new / MODEL_NAME)
        save_card(replace(model.card, name=name, sha256=model.sha256), new / "card.json")
        targets = {key: _named(value, model, name) for key, value in results.targets.items()}
        published = Results(model.sha256, name, without_counts(name, targets))
        _write_json(new / RESULTS_NAME, asdict(published))
        _write_json(new / PARITY_NAME, parity)
        _write_accesses(new, accesses)
        _publish_student(model.folder / STUDENT_NAME, new / STUDENT_NAME)

    _replace_entry(ZOO, name, write)


def publish_teacher(run: Path, name: str) -> None:
    """Write a teacher's entry. Raises UserError for a run without its config, or not finished."""
    from pytorch_side.config import read_saved_config
    from pytorch_side.nets.weights import copy_in_half
    from pytorch_side.reproduce import finished

    read_saved_config(run / CONFIG_NAME)  # raises
    if not finished(run, "teacher"):
        raise UserError(f"{run} is not trained to its last epoch: run its command again")

    def write(new: Path) -> None:
        copy_in_half(run / TEACHER_NAME, new / TEACHER_NAME)
        shutil.copyfile(run / CONFIG_NAME, new / CONFIG_NAME)
        _write_accesses(new, read_accesses(run))

    _replace_entry(TEACHERS, name, write)


def _replace_entry(zoo: Path, name: str, write: Callable[[Path], None]) -> None:
    """Let `write` fill a new folder, and put it in the place of the entry `name` of `zoo`."""
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a zoo entry: small letters, digits and hyphens")
    with locked(LOCK, WAIT_S, "another command is publishing: wait for it"):
        for work in zoo.glob(".publishing-*"):  # of a command that was killed
            restore(work)
            shutil.rmtree(work)
        zoo.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=zoo, prefix=".publishing-") as work_name:
            work = Path(work_name)
            (work / "new").mkdir()
            (work / "old").mkdir()
            write(work / "new")
            try:
                if (zoo / name).exists():
                    (zoo / name).rename(work / "old" / name)
                (work / "new").rename(zoo / name)
            finally:
                restore(work)


def restore(work: Path) -> None:
    """Put back the entry that was moved to `work`/old/NAME if no new one has taken its place."""
    for old in (work / "old").glob("*"):
        if not (work.parent / old.name).exists():
            old.rename(work.parent / old.name)


def _write_accesses(folder: Path, accesses: Sequence[dict[str, Any]]) -> None:
    (folder / FILE).write_text("".join(json.dumps(one) + "\n" for one in accesses))


def _publish_student(student: Path, published: Path) -> None:
    """The float student, from which people can train on, in half precision; if the run has one."""
    if student.is_file():
        from pytorch_side.nets.weights import copy_in_half

        copy_in_half(student, published)


def _parity(model: Model) -> dict[str, Any]:
    """The model's parity record. Raises UserError if the model may not be published with it."""
    path = model.folder / PARITY_NAME
    record = read_parity(path)
    if record.get("model_sha256") != model.sha256:
        raise UserError(f"{path} is of another model: run python -m tinyml.parity again")
    if lines := broken(record):
        raise UserError(f"{path} does not hold: {lines[0]}")
    if lines := unproven(record):
        raise UserError(f"{path} is no proof: {lines[0]}; run python -m tinyml.parity again")
    return record


def _results(path: Path) -> Results:
    """A results.json whose figures can be compared and shown. Raises UserError for others."""
    results = load_results(path)
    check_targets(path, results.targets)
    return results


def _named(target: dict[str, Any], model: Model, name: str) -> dict[str, Any]:
    """A target whose command names the published model: the run exists on one computer only."""
    command = f"{target.get('command') or ''} "
    for typed in (model.typed, shlex.quote(model.card.name)):
        command = command.replace(f".py {typed} ", f".py {name} ", 1)
    return {**target, "command": command[:-1]} if target.get("command") else target


def _check_replaces(model: Model, results: Results, parity: dict[str, Any], entry: Path) -> None:
    """Raises UserError where the published entry, if there is one, has what the run lacks."""
    if (entry / RESULTS_NAME).is_file():
        _check_no_smaller(results, _results(entry / RESULTS_NAME))
    before = read_parity(entry / PARITY_NAME) if (entry / PARITY_NAME).is_file() else None
    if before and (missing := missing_stages(parity, before)):
        raise UserError(
            f"{model.folder / PARITY_NAME} lacks the stages {', '.join(missing)}, which the "
            "published one has: run python -m tinyml.parity in the run that was trained"
        )
    if (entry / STUDENT_NAME).is_file() and not (model.folder / STUDENT_NAME).is_file():
        raise UserError(
            f"{entry} has a {STUDENT_NAME}, from which people train on, and {model.folder} has "
            "none: publish the run that was trained, or give another name"
        )


def _check_no_smaller(results: Results, before: Results) -> None:
    """A score on few images must not replace a score of the same model on more."""
    if before.model_sha256 != results.model_sha256:
        return
    for target, value in before.targets.items():
        had = (value.get("accuracy") or {}).get("images", 0)
        has = (results.targets.get(target, {}).get("accuracy") or {}).get("images", 0)
        if has < had:
            raise UserError(
                f"{target} was scored on {has:,} images, the published score is of {had:,}: "
                "measure it on as many"
            )


def wrong_accesses(accesses: Sequence[dict[str, Any]], results: Results) -> list[str]:
    """What is wrong with a log: a missing score, or one whose weights cannot be right."""
    lines = []
    for one in accesses:
        target = results.targets.get(str(one.get("target", "")), {})
        is_model = one["weights_sha256"] == results.model_sha256
        if target.get("precision") == "float32" and is_model:
            lines.append(f"{one['target']} computes in float and is logged with the int8 file")
        if target.get("precision") == "int8" and one.get("weights") == MODEL_NAME and not is_model:
            lines.append(f"{one['target']} is logged with another int8 file")
        if one.get("weights") not in (None, MODEL_NAME) and is_model:
            lines.append(f"{one['weights']} is logged with the int8 file's hash")
    logged = {(str(one.get("target", "")), one["images"], one["top1"]) for one in accesses}
    for name, target in results.targets.items():
        scored = target.get("accuracy")
        if scored and (name, scored["images"], scored["top1"]) not in logged:
            lines.append(f"{name}'s score on {scored['images']:,} images is not in it")
    return lines


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
