"""Train a published model again, and first the runs that it starts from.

    python -m pytorch_side.reproduce small-96 --data plantvillage-tomato --weights folder
    python -m pytorch_side.reproduce small-96 --check       compare its card with the published one

configs/NAME.toml is trained into runs/NAME. If it names runs/OTHER/student.safetensors or
runs/OTHER/teacher.safetensors and that run is missing or not finished, configs/OTHER.toml is
trained first, and so on. A killed run resumes. A name with "teacher" in it trains a teacher.

The same kind of processor with the same number of threads gives the same weights. Another processor
gives other weights, as another seed does. A model counts as reproduced unless it scores worse than
other seeds would. Of models with one seed their spread is unknown; that of another model stands for
it, and a failed check says so.
"""

from __future__ import annotations

import logging
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytorch_side.command import images_of
from pytorch_side.config import (
    Config,
    differing,
    flat,
    load_config,
    read_saved_config,
    with_values,
)
from pytorch_side.log import read_log
from pytorch_side.nets.packaged import PREFIX
from swin2mcu.common.accuracy import show_accuracy
from swin2mcu.common.card import load_card
from swin2mcu.common.cli import Parser, UserError, run_command
from swin2mcu.common.paths import data_folder

CONFIGS, RUNS, ZOO = Path("configs"), Path("runs"), Path("tinyml/zoo")
TRAINED_HERE = re.compile(r"runs/([^/]+)/(student|teacher)\.safetensors")
DOWNLOADED = "weights/"  # the folder of downloaded files, as configs name it
# Standard deviation of accuracy from seed to seed, in points: docs/results/small-labels.md.
SEED_SD = {"small-96": 0.33}
# Of a model with one seed it is unknown: the largest of docs/results/small-96.md stands for it.
SEED_SD_OTHERS = 0.56

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sources:
    """What training needs in addition to the configs."""

    data: Path
    weights: Path | None = None  # the folder that configs call weights/
    pretrained: bool = False  # timm's ImageNet weights instead of a student's weights/ file


def make(name: str, kind: str, sources: Sources, wanted_by: tuple[str, ...] = ()) -> Path:
    """Train configs/<name>.toml as a `kind`, "student" or "teacher", and return its run's folder.

    Raises UserError for a missing config, configs that need each other, and missing weights.
    """
    run, path = RUNS / name, config_path(name)
    if finished(run, kind):
        other = ", ".join(_differences(run, path, sources))
        note = f", but with another config ({other}): remove it to train again" if other else ""
        log.info("%s: finished already%s", run, note)
        return run
    if name in wanted_by:
        raise UserError(
            f"configs need each other in a circle: {' → '.join([*wanted_by, name])}; one of "
            "them must start from other weights"
        )
    if not path.is_file():
        reason = f"{wanted_by[-1]} needs {run}, and " if wanted_by else ""
        raise UserError(f"{reason}{path} is missing: write it, or put the finished run at {run}")
    config = with_weights(load_config(path), sources)
    make_foundations(config, kind, sources, (*wanted_by, name))
    log.info("%s: training the %s of %s%s", run, kind, path,
             f", which {wanted_by[-1]} needs" if wanted_by else "")  # fmt: skip
    train(config, kind, sources.data, run)
    return run


def config_path(name: str) -> Path:
    """configs/NAME.toml, or that of an experiment, configs/research/NAME.toml."""
    path, research = CONFIGS / f"{name}.toml", CONFIGS / "research" / f"{name}.toml"
    return research if research.is_file() and not path.is_file() else path


def kind_of(name: str) -> str:
    """Whether configs/NAME.toml trains a "teacher": its name says so."""
    return "teacher" if "teacher" in name else "student"


def train(config: Config, kind: str, data: Path, run: Path) -> dict[str, Any]:
    """Train or resume a teacher or a student; returns the last row of its log."""
    from pytorch_side.distillation.train_student import distill
    from pytorch_side.distillation.train_teacher import train_teacher

    return (distill if kind == "student" else train_teacher)(config, images_of(config, data), run)


def make_foundations(
    config: Config, kind: str, sources: Sources, wanted_by: tuple[str, ...]
) -> None:
    """Train the runs that `config` starts from. Raises UserError for other missing files."""
    fields = flat(config)
    for field in foundations(config, kind):
        path: str = fields[field]
        if match := TRAINED_HERE.fullmatch(path):
            make(match[1], match[2], sources, wanted_by)
        elif path and not path.startswith(PREFIX) and not Path(path).is_file():
            raise UserError(
                f"{wanted_by[-1]} needs {field} = {path}, which is missing: name its folder with "
                "--weights, or download a student's ImageNet weights with --pretrained"
            )


def foundations(config: Config, kind: str) -> list[str]:
    """The fields that name the weights that a config needs; a baseline needs no teacher."""
    hint = ["hint.init"] if config.hint.init else []
    if kind == "student":
        teacher = ["teacher.init"] if config.distillation.used else []
        return ["student.init", *hint, *teacher]
    return ["teacher.init" if config.teacher.init else "teacher.stem_init", *hint]


def with_weights(config: Config, sources: Sources) -> Config:
    """`config` with its weights/ files in the folder that `sources` names."""
    if sources.pretrained and config.student.init.startswith(DOWNLOADED):
        config = with_values(config, {"student.init": "", "student.pretrained": True})
    if sources.weights is None:
        return config
    fields, folder = flat(config), sources.weights
    named = ("student.init", "teacher.init", "teacher.stem_init")
    return with_values(
        config,
        {
            name: str(folder / fields[name].removeprefix(DOWNLOADED))
            for name in named
            if fields[name].startswith(DOWNLOADED)
        },
    )


def finished(run: Path, kind: str) -> bool:
    """Whether a run is trained to its last epoch, or has weights but no log (copied there)."""
    if not (run / f"{kind}.safetensors").is_file():
        return False
    if not (run / "log.csv").is_file():
        return True
    return len(read_log(run)) >= read_saved_config(run / "config.json").optimizer.epochs


def _differences(run: Path, path: Path, sources: Sources) -> list[str]:
    """Names of the fields in which a run's saved config differs from the present TOML file."""
    if not (path.is_file() and (run / "config.json").is_file()):
        return []
    wanted = with_weights(load_config(path), sources)
    return differing(wanted, read_saved_config(run / "config.json"))


def points_max(model: str) -> float:
    """How many points a model that is trained again may score below the published one.

    Three standard deviations of the difference of two seeds; of a model in SEED_SD its own seeds'.
    """
    return round(3 * math.sqrt(2) * SEED_SD.get(model, SEED_SD_OTHERS), 1)


def compare(
    own: dict[str, dict[str, Any]], published: dict[str, dict[str, Any]], bound: float
) -> dict[str, bool]:
    """{a line for each stage that both measured on the same images: whether it is good enough}.

    `bound` is of points_max. A run that scores above the published model counts as reproduced.
    Raises UserError when there is no such stage.
    """
    lines = {}
    for stage, theirs in published.items():
        ours = own.get(stage)
        # A log does not say how many images there were; a card does.
        if not ours or any(ours.get(k, theirs[k]) != theirs[k] for k in ("split", "images")):
            continue
        gap = 100 * (ours["top1"] - theirs["top1"])
        images = theirs["images"]
        shown = [show_accuracy(one["top1"], images) for one in (ours, theirs)]
        text = f"{stage} on {images:,} {theirs['split']} images: {shown[0]}, published {shown[1]}"
        lines[f"{text}, {gap:+.2f} points"] = gap >= -bound
    if not lines:
        raise UserError("this run and the published card have no measurement in common")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", help="name of the config and of the published model")
    parser.add_argument("--data", type=Path, help="default: $SWIN2MCU_DATA")
    parser.add_argument("--weights", type=Path, help="folder that configs call weights/")
    parser.add_argument(
        "--pretrained", action="store_true", help="download a student's ImageNet weights instead"
    )
    parser.add_argument(
        "--check", action="store_true", help="do not train; compare the card of the finished run"
    )
    arguments = parser.parse_args(argv)

    def command() -> int:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        run, card = RUNS / arguments.model, ZOO / arguments.model / "card.json"
        if arguments.check:
            own = load_card(run / "card.json").accuracy
        else:
            data = data_folder(arguments.data)
            sources = Sources(data, arguments.weights, arguments.pretrained)
            make(arguments.model, kind_of(arguments.model), sources)
            if not card.is_file():
                print(f"{run} is trained; {card} is missing, so there is nothing to compare with")
                return 0
            if not (log := read_log(run)):
                raise UserError(f"{run} has weights and no log: compare its card with --check")
            own = {"float": {"split": "val", "top1": float(log[-1]["val_top1"])}}
        bound = points_max(arguments.model)
        lines = compare(own, load_card(card).accuracy, bound)
        print("\n".join(lines))
        if not all(lines.values()):
            whose = "its" if arguments.model in SEED_SD else "another model's"
            print(
                f"more than {bound} points below the published model: three standard deviations of "
                f"the difference of two seeds, by {whose} seeds",
                file=sys.stderr,
            )
        return 0 if all(lines.values()) else 1

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
