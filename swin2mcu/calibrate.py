"""Calibrate a model on val: its probabilities, and when it answers *not sure*. Updates its card.

    swin2mcu calibrate RUN --data DATA [--coverage 0.92] [--unknown PHOTO_OR_FOLDER ...] [--test]

Temperature and threshold are fitted to the logits of the int8 model. `--unknown` may be given
several times and each is reported separately. With --unknown-answered the first one sets the
threshold.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import track

from host_tools.inputs import Model, add_model, load_model
from host_tools.results import log_target_access
from swin2mcu.common.accuracy import show_accuracy
from swin2mcu.common.answer import (
    auroc,
    auroc_error,
    best_temperature,
    evidence,
    real_logits,
    softmax,
)
from swin2mcu.common.card import Calibration, update_card
from swin2mcu.common.cli import Parser, UserError, plain_console, run_command
from swin2mcu.common.dataset import ImageFolder, check_corrupt, import_folder
from swin2mcu.common.dataset.walk import photos_in
from swin2mcu.common.paths import data_folder
from swin2mcu.common.pixels import load_pixels
from tinyml.runtimes.pc import load_pc

COVERAGE = 0.92  # share of val's photos that get an answer
EVEN = 1.1  # times 1 / classes: a mean probability below this says nothing
IMAGES_MIN = 20  # with fewer photos a share of them means nothing

MARGIN = 1e-6  # of evidence, beyond the last photo; sums in another order differ by far less

Reals = npt.NDArray[np.float64]
Run = Callable[[npt.NDArray[np.int8]], npt.NDArray[np.int8]]
console = plain_console(stderr=True)


def logits_of(model: Model, run: Run, photos: Sequence[Path], what: str) -> tuple[Reals, list[int]]:
    """Real logits (photos, classes) of the int8 model, and positions of the readable photos.

    Raises UserError where none can be read.
    """
    height, width, _ = model.card.input_shape
    logits, positions = [], []
    for i, path in enumerate(track(photos, what, console=console, transient=True)):
        try:
            logits.append(
                run(model.contract.stored(load_pixels(path, height, width, model.card.split.crop)))
            )
            positions.append(i)
        except UserError as error:
            console.print(f"left out: {error}")
    if not logits:
        raise UserError(f"{what}: no photo can be read")
    return real_logits(np.stack(logits), model.card), positions


def unknown_logits(model: Model, run: Run, photos: Sequence[Path], what: str) -> Reals:
    """Real logits of a set of unknown photos. Raises UserError if more than 5 % cannot be read."""
    logits, positions = logits_of(model, run, photos, what)
    unread = sorted(set(range(len(photos))) - set(positions))
    check_corrupt(what, len(unread), len(photos), str(photos[unread[0]]) if unread else "")
    return logits


def split_logits(
    model: Model, run: Run, folder: ImageFolder, split: str
) -> tuple[Reals, npt.NDArray[np.int64]]:
    """Real logits and labels of one split. Raises UserError as ImageFolder.without does."""
    indices = folder.indices(split)
    paths = [folder.root / folder.files[i] for i in indices]
    logits, positions = logits_of(model, run, paths, split)
    folder.without({*indices.tolist()} - {*indices[positions].tolist()})
    return logits, folder.labels[indices[positions]]


def threshold_for(found: Reals, share: float) -> float:
    """A threshold at which as few as possible are answered, but at least `share` of the photos."""
    answered = max(1, int(np.ceil(share * len(found) - 1e-9)))
    return between(found, float(np.sort(found)[::-1][answered - 1]), -1)


def between(found: Reals, evidence: float, side: int) -> float:
    """Midway from one photo's evidence to the next value in `found`, above (1) or below (-1) it.

    PC, board and phone add in another order: a photo exactly at the threshold would be answered on
    one of them alone.
    """
    beyond = found[found > evidence] if side > 0 else found[found < evidence]
    if not len(beyond):
        return evidence + side * MARGIN
    nearest = float(beyond.min() if side > 0 else beyond.max())
    return (evidence + nearest) / 2


def fit(
    logits: Reals,
    labels: npt.NDArray[np.int64],
    coverage: float,
    unknown: Reals | None,
    most: float,
) -> Calibration:
    """Fit temperature and threshold.

    At most the share `most`, from 0 to below 1, of unknown photos gets an answer.
    """
    temperature = best_temperature(logits, labels)
    found = evidence(logits, temperature)
    if unknown is None:
        threshold = threshold_for(found, coverage)
    else:
        others = np.sort(evidence(unknown, temperature))[::-1]
        # The first unknown photo that must not get an answer is just below the threshold.
        first = int(np.floor(most * len(others)))
        threshold = between(np.concatenate([found, others]), float(others[first]), 1)
    answered = float((found >= threshold).mean())
    return Calibration(temperature, threshold, round(answered, 5), len(labels))


def report_of(logits: Reals, labels: npt.NDArray[np.int64], fitted: Calibration) -> dict[str, Any]:
    """The effect of a calibration on the photos of a split."""
    sure = evidence(logits, fitted.temperature) >= fitted.threshold
    right = logits.argmax(axis=1) == labels
    return {
        "images": len(labels),
        "refused": round(float(1 - sure.mean()), 5),
        "top1": float(right.mean()),
        # Of the class that is named.
        "mean_probability": round(float(softmax(logits, fitted.temperature).max(1).mean()), 5),
        "largest_class": round(float(np.bincount(labels).max() / len(labels)), 5),
        "top1_answered": round(float(right[sure].mean()), 5) if sure.any() else None,
    }


def calibrate(model: Model, arguments: argparse.Namespace) -> dict[str, Any]:
    """Fit, write the card, and return the report."""
    folder = import_folder(data_folder(arguments.data), card=model.card, run=model.folder)
    # Listed photos, as `swin2mcu train` counts them: one that cannot be read must not stop it.
    if (val := len(folder.indices("val"))) < IMAGES_MIN:
        raise UserError(f"val has {val} photos, at least {IMAGES_MIN} are needed")
    given = arguments.unknown or []
    sets = {name: photos_in(paths) for name, paths in zip(names_of(given), given, strict=True)}
    if model.card.gives_probabilities:
        raise UserError(
            f"{model.card.name} ends with a softmax, so its outputs hold no evidence for *not "
            "sure*: export it without the softmax"
        )
    if model.card.output_scale is None:
        raise UserError(f"{model.folder} is not converted: run python -m tinyml.convert first")
    with tempfile.TemporaryDirectory() as work:
        images = val + sum(map(len, sets.values()))
        images += len(folder.indices("test")) if arguments.test else 0
        _, run = load_pc(model.int8, model.sha256, Path(work), images)
        unknown = {name: unknown_logits(model, run, paths, name) for name, paths in sets.items()}
        logits, labels = split_logits(model, run, folder, "val")
        deciding = None
        if arguments.unknown_answered is not None:
            deciding = next(iter(unknown.values()))
        fitted = fit(logits, labels, arguments.coverage, deciding, arguments.unknown_answered or 0)
        report: dict[str, Any] = {"calibration": asdict(fitted), "unknown": {}}
        report["val"] = report_of(logits, labels, fitted)
        known = evidence(logits, fitted.temperature)
        if arguments.test:
            test_logits, test_labels = split_logits(model, run, folder, "test")
            report["test"] = report_of(test_logits, test_labels, fitted)
            known = evidence(test_logits, fitted.temperature)
    for number, (name, others) in enumerate(unknown.items()):
        found = evidence(others, fitted.temperature)
        share = auroc(known, found)
        report["unknown"][name] = {
            "photos": len(found),
            "chose_threshold": deciding is not None and number == 0,
            "not_sure": int((found < fitted.threshold).sum()),
            "auroc": round(share, 4),
            "auroc_standard_error_at_most": round(auroc_error(share, len(known), len(found)), 4),
        }
    if arguments.test:
        scored = {**report["test"], "split": "test", "data": folder.name}
        log_target_access(model.folder, model.weights, "calibrate", scored)
    update_card(
        model.folder / "card.json", lambda card: replace(card, calibration=fitted), model.sha256
    )
    return report


def names_of(given: Sequence[Sequence[Path]]) -> list[str]:
    """A name for each --unknown: short, or the whole path where two would be called the same.

    Where the paths are the same too, its number is added: the names are keys of the report.
    """
    short = [_name_of(paths) for paths in given]
    names = [
        name if short.count(name) == 1 else f"{paths[0]}{' …' * (len(paths) > 1)}"
        for name, paths in zip(short, given, strict=True)
    ]
    return [
        name if names.count(name) == 1 else f"{name} ({number})"
        for number, name in enumerate(names, start=1)
    ]


def _name_of(paths: Sequence[Path]) -> str:
    if len(paths) == 1:
        return paths[0].name
    common = paths[0].stem
    while common and not all(path.name.startswith(common) for path in paths):
        common = common[:-1]
    return f"{common.rstrip('_0123456789')}*"


def text_of(report: dict[str, Any], model: Model) -> str:
    fitted = report["calibration"]
    lines = [
        f"{model.card.name}: temperature {fitted['temperature']:.3f}, not sure below an evidence "
        f"of {fitted['threshold']:.3f}; fitted on {fitted['images']} val photos"
    ]
    for split in ("val", "test"):
        if split in report:
            one = report[split]
            top1 = one["top1_answered"]
            answered = (
                "none"
                if top1 is None
                else show_accuracy(top1, round(one["images"] * (1 - one["refused"])))
            )
            lines.append(
                f"  {split}: {one['refused']:.1%} of {one['images']} not sure; top-1 of the "
                f"answered {answered}, of all {show_accuracy(one['top1'], one['images'])} (the "
                f"largest class is {one['largest_class']:.1%} of them)"
            )
    for name, one in report["unknown"].items():
        chosen = " (these chose the threshold)" if one["chose_threshold"] else ""
        lines.append(
            f"  {name}: {one['not_sure']} of {one['photos']} not sure{chosen}; "
            f"AUROC {one['auroc']:.3f} ± at most {one['auroc_standard_error_at_most']:.3f}"
        )
    if report["val"]["mean_probability"] < EVEN / len(model.card.classes):
        lines.append(
            "  warning: on val the model is as sure where it is wrong as where it is right, so all "
            "classes have about the same probability and *not sure* says nothing: it needs more "
            "photos, or more epochs"
        )
    lines.append(f"written into {model.folder / 'card.json'}")
    if model.measured:
        lines.append(
            f"{model.typed} itself stays as it was published: to use this calibration, name "
            f"{model.folder}"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0])
    add_model(parser)
    parser.add_argument("--data", type=Path, help="the model's images (or $SWIN2MCU_DATA)")
    parser.add_argument(
        "--coverage", type=float, default=COVERAGE, help=f"share of val answered ({COVERAGE})"
    )
    parser.add_argument(
        "--unknown", type=Path, nargs="+", action="append", help="photos of other things"
    )
    parser.add_argument(
        "--unknown-answered",
        type=float,
        metavar="SHARE",
        help="set the threshold so that at most this share of the first --unknown gets an answer",
    )
    parser.add_argument("--test", action="store_true", help="report test too; the access is logged")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    arguments = parser.parse_args(argv)

    def command() -> None:
        if not 0 < arguments.coverage <= 1:
            raise UserError("--coverage must lie above 0 and be at most 1")
        if arguments.unknown_answered is not None:
            if not arguments.unknown:
                raise UserError("--unknown-answered needs --unknown FOLDER")
            if not 0 <= arguments.unknown_answered < 1:
                raise UserError("--unknown-answered must lie from 0 to below 1")
        model = load_model(arguments.model, measured=True)
        report = calibrate(model, arguments)
        print(json.dumps(report) if arguments.json else text_of(report, model))

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
