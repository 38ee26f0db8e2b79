"""Train an int8 model with its card from a folder of photos; settings are chosen automatically.

    swin2mcu train DATA [--board BOARD] [--init imagenet | random | FILE] [--teacher FILE]
                        [--unlabeled FOLDER] [--rounds N]

It runs the commands of the chain and prints each before it starts, so that any of them can be run
again with other options. The same command resumes an interrupted run.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pytorch_side.data.unlabeled import of_held_groups
from swin2mcu.calibrate import IMAGES_MIN
from swin2mcu.common.card import CROPS, SplitRule
from swin2mcu.common.cli import Parser, UserError, run_command, status
from swin2mcu.common.dataset import ImageFolder, import_folder
from swin2mcu.common.paths import data_folder
from swin2mcu.train_plan import plan_training, student_for
from swin2mcu.train_steps import (
    ANSWERS,
    ENSEMBLE,
    TRAINING,
    Step,
    earlier_rounds,
    overrides,
    steps_of,
)

Main = Callable[[Sequence[str]], int]


def unlabeled_photos(folder: ImageFolder, more: str) -> int:
    """How many photos of the folder, and below `more`, have no label and may join training.

    Raises UserError as photos_below does.
    """
    return len(of_held_groups(folder, more)[1])


def check_teacher(path: Path, classes: tuple[str, ...]) -> None:
    """Raise UserError for a teacher of other classes, before hours of earlier steps."""
    from pytorch_side.distillation.fill_cache import check_classes  # loads torch

    if path.is_file():  # plan_training says what is missing
        check_classes(path, classes)


def mains() -> dict[str, Main]:
    """The main functions of the commands; imported late, since they load torch and tensorflow."""
    from pytorch_side import distill, export, qat
    from pytorch_side.distillation import ensemble, teacher_cache
    from swin2mcu import calibrate
    from tinyml.convert import __main__ as convert
    from tinyml.parity import __main__ as parity

    return {
        TRAINING: distill.main,
        ANSWERS: teacher_cache.main,
        ENSEMBLE: ensemble.main,
        "pytorch_side.qat": qat.main,
        "pytorch_side.export": export.main,
        "tinyml.convert": convert.main,
        "tinyml.parity": parity.main,
        "swin2mcu.calibrate": calibrate.main,
    }


def check_unlike(run: Path, training: Step) -> None:
    """Raise UserError if `run` was trained otherwise than `training`, its last step, would.

    That step would say so itself, but only after hours of earlier rounds.
    """
    if not (run / "checkpoint.pt").is_file():
        return
    from pytorch_side.config import differing, load_config, read_saved_config

    words = training[1]
    wanted = load_config(None, [words[i + 1] for i, word in enumerate(words) if word == "--set"])
    if names := differing(wanted, read_saved_config(run / "config.json")):
        raise UserError(
            f"{run} was trained with another config ({', '.join(names)} differ): use another "
            "--out, or remove the folder to start again"
        )


def run_steps(steps: Sequence[Step], commands: dict[str, Main]) -> int:
    """Run each command until one fails. Returns its exit code; it has printed the reason itself."""
    for name, arguments in steps:
        status.print(f"\npython -m {name} {shlex.join(arguments)}")
        code = commands[name](arguments)
        if code:
            return code
    return 0


def make_parser() -> Parser:
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", nargs="?", type=Path, help="a folder or a CSV (or $SWIN2MCU_DATA)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/mine"), help="run folder (default: runs/mine)"
    )
    parser.add_argument("--board", help="use the student and image size that fit this board")
    parser.add_argument(
        "--init",
        default="imagenet",
        help="imagenet (downloaded), random, or a student.safetensors to start from",
    )
    parser.add_argument("--teacher", type=Path, help="a finished Swin: RUN/teacher.safetensors")
    parser.add_argument(
        "--unlabeled",
        type=Path,
        metavar="FOLDER",
        help="train also on unlabeled photos, with the teacher's outputs",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=1,
        metavar="N",
        help="of teaching: after the first, the students so far answer beside the teacher; for few "
        "labels (default: 1)",
    )
    parser.add_argument("--epochs", type=int, help="default: chosen from the number of photos")
    parser.add_argument("--group-by", default="", metavar="RULE", help="as for `swin2mcu split`")
    parser.add_argument(
        "--test-group", default="", metavar="NAME", help="this group becomes the test split"
    )
    parser.add_argument(
        "--crop",
        choices=[crop for crop in CROPS if crop],
        default="",
        help="use the centered square of each photo, in training and whenever the model is used "
        "(default: the whole photo, squashed)",
    )
    parser.add_argument(
        "--balanced",
        action="store_true",
        help="give each class the same weight in the cross-entropy",
    )
    parser.add_argument(
        "--backgrounds",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="show this share of the leaves on backgrounds of other classes' photos, 0 to 1",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the weights and of the order of photos (default: 0)"
    )
    parser.add_argument("--plan", action="store_true", help="print what would be done, and stop")
    return parser


def check_options(arguments: argparse.Namespace) -> None:
    """Raise UserError for values that no training can have."""
    if arguments.epochs is not None and arguments.epochs < 1:
        raise UserError("--epochs must be at least 1")
    if not 0 <= arguments.backgrounds <= 1:
        raise UserError("--backgrounds must be between 0 and 1")
    if arguments.unlabeled and not arguments.teacher:
        raise UserError("photos without a label need a teacher: name one with --teacher")
    if arguments.rounds < 1:
        raise UserError("--rounds must be at least 1")
    if arguments.rounds > 1 and not arguments.teacher:
        raise UserError("--rounds needs a teacher for the first one: name it with --teacher")


def plan_and_train(arguments: argparse.Namespace) -> int:
    """Print the plan; without --plan, carry it out. Returns the exit code of the last command."""
    check_options(arguments)
    data = data_folder(arguments.data)
    rule = SplitRule(
        group_by=arguments.group_by, test_group=arguments.test_group, crop=arguments.crop
    )
    folder = import_folder(data, rule)
    plan_for = partial(
        plan_training,
        images=len(folder.indices("train")),
        student=student_for(arguments.board, len(folder.classes), arguments.init),
        init=arguments.init,
        epochs=arguments.epochs,
        seed=arguments.seed,
    )
    more = 0
    if arguments.teacher:
        more = unlabeled_photos(folder, arguments.unlabeled)
        check_teacher(arguments.teacher, folder.classes)
    plan = plan_for(teacher=arguments.teacher, unlabeled=more)
    for line in plan.reasons:
        print(line)
    if arguments.rounds > 1:
        print(f"rounds: {arguments.rounds}, and a student on labels alone, which answers too")
    val = len(folder.indices("val"))
    if val < IMAGES_MIN:
        print(
            f"not calibrated: val has {val} photos, fewer than {IMAGES_MIN}; the model never "
            "answers *not sure*"
        )
    given = ("group_by", "test_group", "crop")
    chosen = {f"data.{key}": getattr(arguments, key) for key in given}
    chosen["data.class_weights"] = "balanced" if arguments.balanced else ""
    chosen["augment.backgrounds"] = arguments.backgrounds
    options = overrides({key: value for key, value in chosen.items() if value})
    unlabeled = []
    if arguments.unlabeled:
        unlabeled = overrides({"distillation.unlabeled": arguments.unlabeled})
    alone = plan_for(teacher=None)
    steps, last = earlier_rounds(
        plan, alone, arguments.rounds, data, arguments.out, options, unlabeled
    )
    options += unlabeled
    steps += steps_of(last, data, arguments.out, options, calibrated=val >= IMAGES_MIN)
    if arguments.plan:
        print("\n".join(f"python -m {name} {shlex.join(rest)}" for name, rest in steps))
        return 0
    if arguments.rounds > 1:
        check_unlike(arguments.out, next(step for step in steps[::-1] if step[0] == TRAINING))
    code = run_steps(steps, mains())
    if code == 0:
        run = shlex.quote(str(arguments.out))
        print(f"{arguments.out} is ready. Try it: swin2mcu predict {run} leaf.jpg")
    return code


def main(argv: Sequence[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)
    return run_command(lambda: plan_and_train(arguments))


if __name__ == "__main__":
    raise SystemExit(main())
