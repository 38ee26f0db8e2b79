"""Run one case of the soak through the whole chain, with the public commands.

python -m swin2mcu.soak.chain CASE FOLDER

Each case has its own process, since the number of threads is fixed for a process. Writes
FOLDER/figures.json. Exits with the code of the first command that fails.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from swin2mcu.common.cli import UserError, call_main, write_atomic
from swin2mcu.soak.cases import CASES, Case

TRAIN, VAL, TEST = 10, 4, 2  # photos per class
TRAIN_MANY, VAL_MANY = 4, 1  # photos per class if there are many classes
MANY = 20
DEAD = 1e-9  # the factor by which weight decay shrinks a dead channel's weights


def make_photos(case: Case, folder: Path) -> None:
    """Class folders of leaves or of noise, and their split.csv."""
    from pytorch_side.data.synthetic.__main__ import CLASSES, leaf_photo

    many = case.classes > MANY
    splits = ["train"] * (TRAIN_MANY if many else TRAIN)
    splits += ["val"] * (VAL_MANY if many else VAL) + ["test"] * (1 if many else TEST)
    draw, table = np.random.default_rng(case.seed), io.StringIO()
    writer = csv.writer(table)
    writer.writerow(("file", "class", "source", "split"))
    for label in range(case.classes):
        noise = case.photos == "noise"
        name = f"noise_{label:02}" if noise else CLASSES[label]
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, split in enumerate(splits):
            if noise:
                photo = Image.fromarray(draw.integers(0, 256, (64, 64, 3), dtype=np.uint8))
            else:
                photo = leaf_photo(name, number, case.seed, 64)
            photo.save(folder / name / f"{number}.png")
            writer.writerow((f"{name}/{number}.png", name, case.photos, split))
    write_atomic(folder / "split.csv", table.getvalue())


def kill_channels(run: Path) -> None:
    """Shrink the weights of some channels of a student, as weight decay does to unused channels."""
    from pytorch_side.nets.models import load_student
    from pytorch_side.nets.weights import read_weights, save_weights

    path = run / "student.safetensors"
    student = load_student(path)[0]
    for name, value in student.state_dict().items():
        if name.endswith("conv_expand.weight") or name.endswith("conv_reduce.weight"):
            value[::3] *= DEAD
        elif name.endswith(("conv_dw.weight", "conv_pw.weight")):
            value[::6] *= DEAD
        elif name.endswith("bn1.weight"):
            value[::5] = 0.0
    save_weights(student, path, dict(read_weights(path)[1]))


def run_chain(case: Case, folder: Path) -> dict[str, Any]:
    """All commands of the chain; returns figures.json. Raises UserError where a command fails."""
    from host_tools import flash, serial_eval
    from pytorch_side import distill, export, qat
    from tinyml.convert import __main__ as convert
    from tinyml.parity import __main__ as parity
    from tinyml.parity.record import read_parity

    data, run = folder / "data", folder / "run"
    make_photos(case, data)
    settings = {
        "seed": case.seed,
        "student.name": case.student,
        "student.size": case.size,
        "optimizer.epochs": case.epochs,
        "optimizer.batch": 8,
        "optimizer.learning_rate": 2e-3,
        "optimizer.warmup_epochs": 0.5,
        "optimizer.ema": 0.9,
    }
    options = [o for k, v in settings.items() for o in ("--set", f"{k}={v}")]
    place = ["--data", str(data)]
    call_main(distill.main, [*place, "--out", str(run), *options])
    if case.dead:
        kill_channels(run)
    call_main(qat.main, [str(run), *place])
    call_main(export.main, [str(run)])
    call_main(convert.main, [str(run)])
    board = ["--board", case.board]
    call_main(parity.main, [str(run), *place])
    call_main(flash.main, [str(run), *board])
    try:
        call_main(serial_eval.main, [str(run), *board, *place])
    finally:
        flash.main(["--stop", *board])
    record = read_parity(run / "parity.json")
    targets = json.loads((run / "results.json").read_text())["targets"]
    (target,) = (t for name, t in targets.items() if name.startswith(case.board))
    return {"case": case.name, "stages": record["stages"], "operators": record["operators"],
            "board": target["parity"]}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    name, place = argv if argv is not None else sys.argv[1:]
    (case,) = (c for c in CASES if c.name == name)
    folder = Path(place)
    os.environ["SWIN2MCU_CACHE"] = str(folder / "cache")
    try:
        figures = run_chain(case, folder)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    write_atomic(folder / "figures.json", json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
