"""Show the photos that models get wrong: where most of them agree, the label may be wrong.

    swin2mcu mistakes RUN [RUN ...] --data DATA [--split val] [--out mistakes.png]

Each int8 model answers every photo of a split. Photos that more than half of the models get wrong
are listed, the most doubtful first: a wrong label, or a photo that cannot be told, is among them
more often than elsewhere (Northcutt et al. 2021, arXiv 1911.00068). How many there are also bounds
what a model like these can reach.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from rich.progress import track

from host_tools.inputs import Model, load_model
from host_tools.results import log_target_access
from swin2mcu.common.accuracy import show_accuracy
from swin2mcu.common.answer import real_logits, softmax
from swin2mcu.common.cli import Parser, UserError, run_command, status, write_atomic
from swin2mcu.common.dataset import SPLITS, ImageFolder, import_folder
from swin2mcu.common.dataset.trained import unseen_by
from swin2mcu.common.paths import data_folder
from swin2mcu.common.pixels import cropped, drawable, open_upright, resize
from swin2mcu.common.tables import table_text
from tinyml.runtimes.pc import load_pc

LISTED, DRAWN = 40, 120  # in the terminal and in the picture; JSON has all
COLUMNS = 6  # of the picture
TILE, CAPTION = 170, 60  # pixels of a photo's side, and of the lines below it
LETTERS = 26  # of a line, from its end: names of photos differ there

Shares = npt.NDArray[np.float64]  # (models, photos, classes)


@dataclass(frozen=True)
class Mistake:
    """A photo that more than half of the models get wrong."""

    file: str  # below the data set's folder
    label: str
    answers: tuple[tuple[str, int], ...]  # class → models that say it, the most frequent first
    wrong: int  # models
    probability: float  # of the label, the mean of the models


def said(answers: Iterable[tuple[str, int]], models: int) -> str:
    """The wrong answers to a photo, each with how many of several models give it."""
    return ", ".join(f"{name} {count}" if models > 1 else name for name, count in answers)


def shared_folder(models: Sequence[Model], data: Path, split: str) -> ImageFolder:
    """The data set, whose split must have the same photos for all models.

    Raises UserError if models know other classes, or if a model was trained on what is another's
    val or test.
    """
    folder = import_folder(data, card=models[0].card, run=models[0].folder)
    for model in models[1:]:
        if model.card.split == models[0].card.split and model.card.classes == folder.classes:
            folder = unseen_by(folder, model.folder)
            continue
        other = import_folder(data, card=model.card, run=model.folder)
        if _photos(other, split) != _photos(folder, split):
            raise UserError(
                f"{model.argument} was trained with another {split} than {models[0].argument}: "
                "compare models of one split"
            )
    return folder


def _photos(folder: ImageFolder, split: str) -> list[str]:
    return [folder.files[i] for i in folder.indices(split)]


def probabilities(
    models: Sequence[Model], folder: ImageFolder, split: str
) -> tuple[Shares, list[int]]:
    """What each model answers, and the positions of the split's photos that can be read.

    Photos that cannot be read are named and left out. Raises UserError above 5 % of the folder.
    """
    logits: list[list[npt.NDArray[np.int8]]] = [[] for _ in models]
    photos = [int(i) for i in folder.indices(split)]
    positions = []
    with tempfile.TemporaryDirectory() as work:
        engines = []
        for number, model in enumerate(models):
            own = Path(work) / str(number)
            own.mkdir()
            engines.append(load_pc(model.int8, model.sha256, own, len(photos))[1])
        for i in track(photos, "running the models", console=status, transient=True):
            try:
                photo = open_upright(folder.root / folder.files[i])
            except UserError as error:
                status.print(f"left out: {error}")
                continue
            positions.append(i)
            for answers, model, run in zip(logits, models, engines, strict=True):
                height, width, _ = model.card.input_shape
                pixels = resize(cropped(photo, height, width, model.card.split.crop), height, width)
                answers.append(run(np.ascontiguousarray(model.contract.stored(pixels))))
    folder.without(set(photos) - set(positions))
    if not positions:
        raise UserError(f"{folder.root}: no {split} photo can be read")
    shares = []
    for answers, model in zip(logits, models, strict=True):
        fitted = model.card.calibration
        real = real_logits(np.stack(answers), model.card)
        shares.append(softmax(real, fitted.temperature if fitted else 1.0))
    return np.stack(shares), positions


def find_mistakes(shares: Shares, folder: ImageFolder) -> list[Mistake]:
    """The photos that more than half of the models get wrong.

    Those come first that most models get wrong, then those whose label has the lowest probability.
    """
    answers = shares.argmax(axis=2)
    found = []
    for i, (file, label) in enumerate(zip(folder.files, folder.labels.tolist(), strict=True)):
        wrong = int((answers[:, i] != label).sum())
        if 2 * wrong > len(answers):
            counts = Counter(folder.classes[k] for k in answers[:, i] if k != label)
            probability = float(shares[:, i, label].mean())
            found.append(
                Mistake(
                    file, folder.classes[label], tuple(counts.most_common()), wrong, probability
                )
            )
    return sorted(found, key=lambda one: (-one.wrong, one.probability))


def sheet(mistakes: Sequence[Mistake], root: Path, models: int) -> bytes:
    """A PNG with a tile for each photo: the photo, its label, and what most models say."""
    rows = -(-len(mistakes) // COLUMNS)
    image = Image.new("RGB", (min(COLUMNS, len(mistakes)) * TILE, rows * (TILE + CAPTION)), "white")
    draw = ImageDraw.Draw(image)
    for number, one in enumerate(mistakes):
        x, y = number % COLUMNS * TILE, number // COLUMNS * (TILE + CAPTION)
        photo = open_upright(root / one.file).convert("RGB")
        photo.thumbnail((TILE - 4, TILE - 4))
        image.paste(photo, (x + (TILE - photo.width) // 2, y + (TILE - photo.height) // 2))
        lines = [Path(one.file).name, f"label: {one.label}", f"answer: {one.answers[0][0]}"]
        lines += [f"{one.wrong} of {models} models are wrong"] if models > 1 else []
        text = "\n".join(line if len(line) <= LETTERS else f"…{line[-LETTERS:]}" for line in lines)
        draw.multiline_text((x + 4, y + TILE), drawable(text), fill="black", spacing=2)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def report_of(models: Sequence[Model], data: Path, split: str, out: Path | None) -> dict[str, Any]:
    """Run the models, find the mistakes, draw them. Scores on test are logged."""
    folder = shared_folder(models, data, split)
    shares, positions = probabilities(models, folder, split)
    folder = folder.at(positions)
    right = (shares.argmax(axis=2) == folder.labels).mean(axis=1)
    for model, top1 in zip(models, right.tolist(), strict=True):
        if split == "test":
            scored = {"split": split, "images": len(folder.files), "top1": top1}
            log_target_access(
                model.folder, model.weights, "mistakes", {**scored, "data": folder.name}
            )
    mistakes = find_mistakes(shares, folder)
    if out is not None and mistakes:
        drawn = mistakes[:DRAWN]
        write_atomic(out, sheet(drawn, folder.root, len(models)))
        status.print(f"{out}: {len(drawn)} of {len(mistakes)} photos that are named otherwise")
    elif out is not None:
        status.print(f"no photo is named otherwise: {out} is not written")
    return {
        "data": folder.name,
        "split": split,
        "images": len(folder.files),
        "models": [
            {"model": model.card.name, "top1": top1}
            for model, top1 in zip(models, right.tolist(), strict=True)
        ],
        "wrong_in_all": sum(one.wrong == len(models) for one in mistakes),
        "wrong_in_most": len(mistakes),
        "photos": [
            {
                "photo": one.file,
                "label": one.label,
                "answers": dict(one.answers),
                "wrong": one.wrong,
                "probability": round(one.probability, 4),
            }
            for one in mistakes
        ],
    }


def text_of(report: dict[str, Any]) -> str:
    images, models = report["images"], report["models"]
    rows = [(one["model"], show_accuracy(one["top1"], images)) for one in models]
    lines = [
        f"{images:,} photos of {report['split']}",
        table_text(("model", "top-1 ± one standard error"), rows),
    ]
    wrong, count = report["wrong_in_most"], len(models)
    if count > 1:
        lines.append(
            f"{wrong} photos are wrong in more than half of the {count} models, "
            f"{report['wrong_in_all']} in all of them; all other photos are "
            f"{show_accuracy(1 - wrong / images, images)}"
        )
    if not wrong:
        return "\n".join(lines)
    lines += ["", "look at these first: the label may be wrong, or the photo cannot tell"]
    table = [
        (
            one["photo"],
            one["label"],
            said(one["answers"].items(), count),
            f"{one['probability']:.1%}",
        )
        for one in report["photos"][:LISTED]
    ]
    head = ("photo", "label", "models say" if count > 1 else "model says", "probability of label")
    lines.append(table_text(head, table, texts=3))
    if wrong > LISTED:
        lines.append(f"… and {wrong - LISTED} more: --json names all")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="+", help="runs' folders or zoo entries' names")
    parser.add_argument("--data", type=Path, help="the models' images (or $SWIN2MCU_DATA)")
    parser.add_argument("--split", choices=SPLITS, default="val", help="default: val")
    parser.add_argument(
        "--out", type=Path, metavar="FILE.png", help=f"a picture of the first {DRAWN}"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    arguments = parser.parse_args(argv)

    def command() -> None:
        if arguments.out is not None and arguments.out.suffix.lower() != ".png":
            raise UserError(f"--out {arguments.out}: name a .png file")
        models = [load_model(name, measured=True) for name in arguments.models]
        if len({model.folder.resolve() for model in models}) < len(models):
            raise UserError("the same model is named twice")
        data = data_folder(arguments.data)
        report = report_of(models, data, arguments.split, arguments.out)
        print(json.dumps(report, indent=1) if arguments.json else text_of(report))

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
