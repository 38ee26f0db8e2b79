"""Few labeled photos beside many without a label: what a teacher adds there.

    python -m swin2mcu.research.few_labels DATA [--labels 60] [--steps 2000] [--seeds 3] [--report]

For each seed: draw the labeled photos (labels-60-0.csv … in DATA's folder), train a Swin teacher on
them alone, then students with the same number of steps: on the labels alone, taught on the labeled
photos, and taught on all photos of the train split, the others without their label. The second
round has a better teacher: the logits of the Swin, of the student on labels alone and of the first
round's student are averaged, over a photo's augmentations too (self-training as in Xie et
al. 2020, arXiv 1911.04252, with several networks). Every run has a folder below --out; finished
ones are kept, so the same command goes on. Writes docs/data/few_labels.json and
docs/results/few-labels.md, and keeps there the runs of other seeds and other numbers of labels,
unless they were scored on another number of val photos, so on another data set;
swin2mcu.research --report writes the gains into docs/RESULTS.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_side import distill, teacher
from pytorch_side.command import add_overrides
from pytorch_side.config import as_override, load_config
from pytorch_side.distillation import ensemble, teacher_cache
from swin2mcu import split
from swin2mcu.common.cli import Parser, UserError, call_main, run_command, write_atomic
from swin2mcu.common.dataset import import_folder
from swin2mcu.common.paths import CONFIGS
from swin2mcu.research.distillation_map import ALONE, FEW_LABELS, TEACHER
from swin2mcu.research.few_labels_page import page
from swin2mcu.research.records import merge
from swin2mcu.research.table import read_run
from swin2mcu.research.text import read_json
from swin2mcu.train_plan import views_for
from swin2mcu.train_steps import answering

FIGURES = Path("docs/data") / FEW_LABELS
PAGE = Path("docs/results/few-labels.md")
TEACHER_CONFIG = CONFIGS / "research" / "few-teacher.toml"
STUDENT = CONFIGS / "research" / "few-student.toml"
TAUGHT, UNLABELED = "hybrid", "hybrid, and photos without a label"
SECOND = f"{UNLABELED}, second round"
# And their folders' names.
ROWS = {ALONE: "labels", UNLABELED: "unlabeled", SECOND: "second", TAUGHT: "hybrid"}
DISTILLED = ["distillation.alpha=0.7", "distillation.beta=0.3"]
WARMUP_STEPS = 100
EPOCH_STEPS = 500  # val has more photos than the few labeled ones: it is not scored often
TEACHER_EPOCH = 3600  # about so many images in an epoch of the teacher, however few its photos are
STEPS = ("passes", "augmentations")  # in a run's figures
VIEWS_MIN = 3  # augmentations of a photo; few photos, which take many epochs, have more


def draw(data: Path, labels: int, seed: int, rest: bool) -> Path:
    """A table with `labels` photos of each class, and with `rest` all others without a label."""
    path = data / f"labels-{labels}-{seed}{'-unlabeled' if rest else ''}.csv"
    options = ["--keep", f"train={labels}", "--seed", str(seed), "--out", str(path)]
    if not path.is_file():
        call_main(split.main, [str(data), *options, *(["--rest-unlabeled"] if rest else [])])
    return path


def plan_of(photos: Path, steps: int) -> dict[str, float]:
    """Settings that make about `steps` steps of a table's photos, in epochs of EPOCH_STEPS."""
    folder = import_folder(photos)
    batch = load_config(STUDENT).optimizer.batch
    count = len(folder.indices("train")) + len(folder.unlabeled)
    passes = max(1, round(min(EPOCH_STEPS, steps) * batch / count))
    each = max(1, count * passes // batch)
    epochs = max(1, round(steps / each))
    return {
        "optimizer.epochs": epochs,
        "optimizer.passes": passes,
        "optimizer.warmup_epochs": WARMUP_STEPS / each,
        "augment.cached": views_for(epochs * passes, VIEWS_MIN),
    }


def train_seed(
    data: Path, labels: int, seed: int, steps: int, out: Path, options: list[str]
) -> list[dict[str, Any]]:
    """Train what is missing of one seed, and return the figures of its runs."""
    few, more = (draw(data, labels, seed, rest) for rest in (False, True))
    swin = out / f"teacher-{labels}-seed{seed}"
    common = ["--set", f"seed={seed}"]
    passes = max(1, round(TEACHER_EPOCH / len(import_folder(few).indices("train"))))
    arguments = ["--data", str(few), "--out", str(swin), *common]
    arguments += ["--set", f"optimizer.passes={passes}"]
    call_main(teacher.main, ["--config", str(TEACHER_CONFIG), *arguments])
    figures = [figure(swin, "teacher", TEACHER, labels, seed)]
    for row, name in ROWS.items():
        photos = more if row in (UNLABELED, SECOND) else few
        folder = out / f"{name}-{labels}-seed{seed}"
        plan = plan_of(photos, steps)
        if row == SECOND:
            cached = [f"augment.cached={plan['augment.cached']}", *options]
            answers = together(out, f"{labels}-seed{seed}", photos, cached)
            named = ["teacher.init=", f"distillation.cache={answers}"]
        else:
            named = [f"teacher.init={swin / 'teacher.safetensors'}"]
        if row == ALONE:  # every pass may draw its own augmentations: no answers are cached
            plan["augment.cached"] = 0
        values = [f"{key}={value}" for key, value in plan.items()]
        values += [] if row == ALONE else [*DISTILLED, *named]
        settings = [word for value in [*values, *options] for word in ("--set", value)]
        arguments = ["--data", str(photos), "--out", str(folder), *common, *settings]
        call_main(distill.main, ["--config", str(STUDENT), *arguments])
        figures.append(figure(folder, "student", row, labels, seed))
    return figures


def together(out: Path, which: str, photos: Path, options: list[str]) -> Path:
    """The cached answers of a seed's Swin and of its students of the first round, averaged."""
    caches = [out / f"{ROWS[UNLABELED]}-{which}" / "teacher_cache"]  # the Swin's
    own = load_config(STUDENT).student
    student = {"student.name": own.name, "student.size": own.size}
    for row in (ALONE, UNLABELED):
        weights = out / f"{ROWS[row]}-{which}" / "student.safetensors"
        caches.append(out / f"answers-{ROWS[row]}-{which}")
        settings = [
            *options,
            DISTILLED[0],  # photos without a label join a student that has a teacher
            *(as_override(key, value) for key, value in answering(student, weights).items()),
        ]
        arguments = [word for setting in settings for word in ("--set", setting)]
        arguments += ["--config", str(STUDENT), "--data", str(photos), "--out", str(caches[-1])]
        call_main(teacher_cache.main, arguments)
    made = out / f"ensemble-{which}"
    averaged = ["--first-maps", "--over-augmentations"]
    call_main(ensemble.main, [*map(str, caches), *averaged, "--out", str(made)])
    return made


def figure(folder: Path, kind: str, row: str, labels: int, seed: int) -> dict[str, Any]:
    found = read_run(folder, kind)
    if found is None or not found.finished:
        raise UserError(f"{folder} is not finished: run the same command again")
    return {
        "row": row,
        "labels": labels,
        "seed": seed,
        "passes": found.epochs * found.config.optimizer.passes,
        "augmentations": found.config.augment.cached,  # of a photo; 0: new ones in every epoch
        "val_top1": found.val,
        **{key: found.machine.get(key) for key in ("hardware", "threads", "torch")},
        **({"later": found.machine["later"]} if "later" in found.machine else {}),
    }


def finished_figures(out: Path, labels: int, seeds: int) -> list[dict[str, Any]]:
    """The figures of all finished runs. Raises UserError if none is on labels alone."""
    figures = []
    for seed in range(seeds):
        for row, name in {TEACHER: TEACHER, **ROWS}.items():
            folder = out / f"{name}-{labels}-seed{seed}"
            kind = "teacher" if row == TEACHER else "student"
            if (found := read_run(folder, kind)) and found.finished:
                figures.append(figure(folder, kind, row, labels, seed))
    if not any(one["row"] == ALONE for one in figures):
        raise UserError(f"{out} has no finished run on {ALONE}: leave out --report to train it")
    return figures


def _order(figures: dict[str, Any]) -> tuple[int, int, int]:
    rows = (TEACHER, *ROWS)
    return figures["labels"], figures["seed"], rows.index(figures["row"])


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="a folder with many photos, which can be written")
    parser.add_argument("--labels", type=int, default=60, help="labeled photos per class")
    parser.add_argument("--steps", type=int, default=2000, help="of each student")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default: 3)")
    add_overrides(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("runs/few-labels"), help="default: runs/few-labels"
    )
    parser.add_argument("--report", action="store_true", help="train nothing, report what is done")
    arguments = parser.parse_args(argv)

    def command() -> None:
        if min(arguments.labels, arguments.steps, arguments.seeds) < 1:
            raise UserError("--labels, --steps and --seeds must be at least 1")
        figures = []
        if arguments.report:
            figures += finished_figures(arguments.out, arguments.labels, arguments.seeds)
        for seed in range(0 if arguments.report else arguments.seeds):
            figures += train_seed(
                arguments.data,
                arguments.labels,
                seed,
                arguments.steps,
                arguments.out,
                arguments.overrides,
            )
        val = len(import_folder(arguments.data).indices("val"))
        recorded = read_json(FIGURES)
        known = recorded.get("runs", []) if recorded.get("val_images") == val else []
        figures = sorted(merge(known, figures, "labels", ("labels", "row"), STEPS), key=_order)
        write_atomic(FIGURES, json.dumps({"val_images": val, "runs": figures}, indent=1) + "\n")
        write_atomic(PAGE, page(figures, val))
        print(f"{FIGURES}\n{PAGE}")

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
