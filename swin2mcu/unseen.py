"""Accuracy on each group of photos (a farm, a day, a plant) when training did not see it.

    swin2mcu unseen DATA [--init imagenet | random | FILE]

Trains one student for each group, on the photos of all other groups, and scores it on that group.
This is the accuracy to expect on a new farm. The students are float and are kept below --out;
`swin2mcu train` makes the model to use. The same command resumes an interrupted run.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from swin2mcu.common.accuracy import cautions, largest_share, say_accuracy, show_accuracy
from swin2mcu.common.card import SplitRule
from swin2mcu.common.cli import Parser, UserError, plain_console, run_command, status, write_atomic
from swin2mcu.common.dataset import ImageFolder, import_folder, scan_folder
from swin2mcu.common.dataset.summary import announce
from swin2mcu.common.paths import data_folder
from swin2mcu.train import run_steps
from swin2mcu.train_plan import plan_training, student_for
from swin2mcu.train_steps import overrides, steps_of

GROUPS_MAX = 20  # more trainings would take days


def groups_of(data: Path, group_by: str) -> list[str]:
    """Names of the groups, sorted. Raises UserError for fewer than two, or for very many."""
    groups = sorted(set(filter(None, import_folder(data, SplitRule(group_by=group_by)).groups)))
    if len(groups) < 2:
        raise UserError(
            f"{data} has {len(groups) or 'no'} groups: lay the photos out as farm/class/photo.jpg, "
            "or name a rule with --group-by (docs/DATA.md)"
        )
    if len(groups) > GROUPS_MAX:
        raise UserError(
            f"{len(groups)} groups are {len(groups)} trainings: group more coarsely with --group-by"
        )
    return groups


def left_out(data: Path, group_by: str) -> tuple[dict[str, ImageFolder], dict[str, str]]:
    """Group → the photos with this group as the test; and group → why it cannot be left out.

    A class that only one group has cannot be learned without it. Raises UserError as groups_of
    does, and if no group can be left out.
    """
    folders: dict[str, ImageFolder] = {}
    refused: dict[str, str] = {}
    for group in groups_of(data, group_by):
        try:
            folder = scan_folder(data, SplitRule(group_by=group_by, test_group=group))
        except UserError as error:
            refused[group] = str(error)
            continue
        train = {*folder.labels[folder.splits == "train"].tolist()}
        lacking = [name for i, name in enumerate(folder.classes) if i not in train]
        if lacking:
            refused[group] = f"train would have no photo of {', '.join(lacking)}"
        elif not (folder.splits == "val").any():
            refused[group] = "val would have no photo"
        else:
            folders[group] = folder
    if not folders:
        first = next(iter(refused))
        raise UserError(f"{data}: no group can be left out of training; {first}: {refused[first]}")
    return folders, refused


def folder_name(group: str, number: int) -> str:
    """The name of a group's run folder; the group may have any name."""
    return f"{number}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', group)[:40]}"


def report_of(scores: dict[str, dict[str, Any]], refused: dict[str, str]) -> dict[str, Any]:
    """The result over all groups. Each photo is scored by the student that saw no photo of its
    group; `refused` are the groups that have no such student, and why."""
    images = sum(score["images"] for score in scores.values())
    right = sum(score["top1"] * score["images"] for score in scores.values())
    confusion = np.sum([score["confusion"] for score in scores.values()], axis=0).tolist()
    return {
        "groups": scores,
        "not_left_out": refused,
        "images": images,
        "top1": right / images,
        "confusion": confusion,
    }


def print_report(report: dict[str, Any], classes: Sequence[str]) -> None:
    from rich.table import Table

    table = Table("unseen group", "photos", "top-1 ± error", "largest class", "balanced", box=None)
    for group, score in report["groups"].items():
        table.add_row(
            group,
            str(score["images"]),
            show_accuracy(score["top1"], score["images"]),
            f"{score['largest_class']:.1%}",
            f"{score['balanced_top1']:.2%}",
        )
    plain_console().print(table)
    confusion = report["confusion"]
    said = say_accuracy(report["top1"], report["images"], largest_share(confusion))
    print(f"{'these' if report['not_left_out'] else 'all'} groups, each unseen: {said}")
    for line in cautions(report["top1"], report["images"], confusion, classes, "unseen"):
        print(f"  {line}")
    for group, why in report["not_left_out"].items():
        print(f"not scored: {group}: {why}")
    print("± is one standard error within a group. The groups themselves may differ by more.")


def unseen(arguments: argparse.Namespace) -> int:
    """Train and score one student for each group, and print and write the report.

    Returns the exit code of the first training that fails, else 0. Raises UserError.
    """
    if arguments.epochs is not None and arguments.epochs < 1:
        raise UserError("--epochs must be at least 1")
    from pytorch_side.evaluate.score import score

    data = data_folder(arguments.data)
    folders, refused = left_out(data, arguments.group_by)
    for group, why in refused.items():
        status.print(f"{group} cannot be left out of training: {why}")
    scores: dict[str, dict[str, Any]] = {}
    # A run's number is its group's among all: later photos may let a refused group in.
    for number, group in enumerate(sorted({*folders, *refused}), 1):
        if group in refused:
            continue
        run = arguments.out / folder_name(group, number)
        if code := train_without(group, folders[group], data, run, arguments):
            return code
        scores[group] = score(run, data, "test")
    report = report_of(scores, refused)
    write_atomic(arguments.out / "unseen.json", json.dumps(report, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(report))
    else:
        print_report(report, folders[next(iter(scores))].classes)
    return 0


def train_without(
    group: str, folder: ImageFolder, data: Path, run: Path, arguments: argparse.Namespace
) -> int:
    """Train a student into `run` on all photos but this group's; returns the exit code."""
    from pytorch_side import distill

    announce(folder)
    plan = plan_training(
        images=len(folder.indices("train")),
        student=student_for(None, len(folder.classes), arguments.init),
        init=arguments.init,
        teacher=None,
        epochs=arguments.epochs,
        seed=arguments.seed,
    )
    chosen = {
        "data.test_group": group,
        "data.group_by": arguments.group_by,
        "data.class_weights": "balanced" if arguments.balanced else "",
    }
    options = overrides({key: value for key, value in chosen.items() if value})
    status.print(f"\n{group} is left out of training")
    training = steps_of(plan, data, run, options)[:1]
    # What it prints is progress here; with --json, stdout holds the report alone.
    with redirect_stdout(sys.stderr if arguments.json else sys.stdout):
        return run_steps(training, {"pytorch_side.distill": distill.main})


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", nargs="?", type=Path, help="a folder or a CSV (or $SWIN2MCU_DATA)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/unseen"), help="default: runs/unseen"
    )
    parser.add_argument(
        "--init",
        default="imagenet",
        help="imagenet (downloaded), random, or a file of weights to start from",
    )
    parser.add_argument("--epochs", type=int, help="default: chosen from the number of photos")
    parser.add_argument("--group-by", default="", metavar="RULE", help="as for `swin2mcu split`")
    parser.add_argument(
        "--balanced", action="store_true", help="give each class the same weight in the loss"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the weights and of the order of photos (default: 0)"
    )
    parser.add_argument("--json", action="store_true", help="print the record instead of a table")
    arguments = parser.parse_args(argv)

    return run_command(lambda: unseen(arguments))


if __name__ == "__main__":
    raise SystemExit(main())
