"""What `swin2mcu train` reaches with few labeled photos, on several draws of them.

    python -m swin2mcu.research.small_sets DATA --init FILE [--photos 7 30 60 200] [--seeds 3]

Each training has its own photos (few-7-0.csv … in DATA's folder), its own seed and its own run
folder below --out; finished ones are kept, so the same command goes on. Writes
docs/data/small_sets.json and the table of docs/DATA.md, and keeps there the runs of other seeds and
other numbers of photos, of the same data set.
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_side.config import read_saved_config
from swin2mcu import split, train
from swin2mcu.common.accuracy import standard_error
from swin2mcu.common.card import load_card
from swin2mcu.common.cli import Parser, UserError, call_main, run_command, write_atomic
from swin2mcu.common.dataset import import_folder
from swin2mcu.common.documents import replace_part
from swin2mcu.research.records import merge
from swin2mcu.research.text import read_json

FIGURES, DOCUMENT = Path("docs/data/small_sets.json"), Path("docs/DATA.md")
DATA = ("classes", "val_images")  # in a training's figures: what tells data sets apart
PHOTOS = "photos.csv"  # in a run: the table it was trained on
VAL = 60  # photos per class; all of them answer after each epoch


def train_few(data: Path, photos: int, seed: int, init: str, run: Path) -> None:
    """Draw `photos` of each class and train on them, unless `run` has done so.

    Raises UserError where a command fails, and where `run` was trained on other photos.
    """
    table = data / f"few-{photos}-{seed}.csv"
    kept = ["--keep", f"train={photos}", "--keep", f"val={VAL}", "--seed", str(seed)]
    if not table.is_file():  # of an interrupted training it is there
        call_main(split.main, [str(data), *kept, "--out", str(table)])
    known, finished = run / PHOTOS, (run / "parity.json").is_file()  # the last file of a training
    if not known.is_file() and not finished:
        write_atomic(known, table.read_bytes())
    if not known.is_file() or known.read_bytes() != table.read_bytes():
        raise UserError(f"{run} was trained on other photos than {table}: use another --out")
    if not finished:
        call_main(train.main, [str(table), "--init", init, "--seed", str(seed), "--out", str(run)])


def figures_of(run: Path, data: Path, photos: int, seed: int) -> dict[str, Any]:
    """The figures of one finished training."""
    card, config = load_card(run / "card.json"), read_saved_config(run / "config.json")
    folder = import_folder(data / f"few-{photos}-{seed}.csv")
    return {
        "photos": photos,
        "seed": seed,
        "classes": len(folder.classes),
        "train": len(folder.indices("train")),
        "batch": config.optimizer.batch,
        "epochs": config.optimizer.epochs,
        "val_images": card.accuracy["qat"]["images"],
        "val_top1": card.accuracy["float"]["top1"],
        "val_top1_int8": card.accuracy["qat"]["top1"],
    }


def table(trainings: list[dict[str, Any]]) -> list[str]:
    """Markdown: a row for each number of photos. ± is the standard deviation of the seeds."""
    lines = [
        "| labeled photos per class | training | val, float | val, int8 | seeds |",
        "|---|---|---|---|---|",
    ]
    rows = defaultdict(list)
    for one in trainings:
        rows[one["photos"]].append(one)
    for photos, ones in sorted(rows.items()):
        cells = []
        for key in ("val_top1", "val_top1_int8"):
            values = [100 * one[key] for one in ones]
            spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.1f}{spread} %")
        budget = f"{ones[0]['epochs']} epochs, batches of {ones[0]['batch']}"
        lines.append(f"| {photos} | {budget} | {' | '.join(cells)} | {len(ones)} |")
    one = trainings[0]
    errors = [f"{100 * standard_error(t['val_top1'], t['val_images']):.1f}" for t in trainings]
    lowest, highest = min(errors, key=float), max(errors, key=float)
    error = lowest if lowest == highest else f"{lowest} to {highest}"
    return [
        *lines,
        "",
        f"{one['classes']} classes; each seed draws its own photos; ± is the standard deviation "
        f"of the seeds. One val of {one['val_images']:,} photos has a standard error of "
        f"{error} points.",
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="a folder with many photos, which can be written")
    parser.add_argument("--init", default="imagenet", help="as for `swin2mcu train`")
    parser.add_argument(
        "--photos",
        type=int,
        nargs="+",
        default=[7, 30, 60, 200],
        help="photos per class (default: 7 30 60 200)",
    )
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default: 3)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/small-sets"), help="default: runs/small-sets"
    )
    arguments = parser.parse_args(argv)

    def command() -> None:
        if arguments.seeds < 1 or min(arguments.photos) < 1:
            raise UserError("--seeds and --photos must be at least 1")
        trainings = []
        for seed in range(arguments.seeds):
            for photos in arguments.photos:
                run = arguments.out / f"{photos}-seed{seed}"
                train_few(arguments.data, photos, seed, arguments.init, run)
                trainings.append(figures_of(run, arguments.data, photos, seed))
        known = read_json(FIGURES) or []
        merged = merge(known, trainings, "photos", ("photos",), ("batch", "epochs"), DATA)
        trainings = sorted(merged, key=lambda one: (one["seed"], one["photos"]))
        lines = table(trainings)
        text = replace_part(DOCUMENT.read_text(encoding="utf-8"), "small-sets", lines)
        write_atomic(FIGURES, json.dumps(trainings, indent=1) + "\n")
        write_atomic(DOCUMENT, text)
        print("\n".join(lines))

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
