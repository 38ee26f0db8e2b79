"""Accuracy when a leaf is on another background: does the model use the leaf or the background?

    swin2mcu backgrounds RUN --data DATA [--split val] [--limit N]

Each photo's leaf is cut out (pytorch_side/data/cutout.py) and put on four backgrounds: its own,
which shows how much accuracy the cutting itself costs; the background of a photo of another class;
that background's mean color; a plain gray. Photos whose leaf cannot be cut out are counted and left
out of every column.
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.progress import track

from host_tools.inputs import Model, add_model, load_model
from host_tools.results import log_target_access
from pytorch_side.data import cutout
from pytorch_side.data.cutout import Mask, Photo
from swin2mcu.common.accuracy import show_accuracy, standard_error
from swin2mcu.common.cli import Parser, UserError, run_command, status
from swin2mcu.common.dataset import SPLITS, ImageFolder, import_folder, spread
from swin2mcu.common.paths import data_folder
from swin2mcu.common.pixels import cropped, open_upright, resize
from swin2mcu.common.tables import table_text
from tinyml.runtimes.pc import load_pc

Run = Callable[[npt.NDArray[np.int8]], npt.NDArray[np.int8]]
KINDS = ("the photo itself", "its own", "another class's", "another class's color", "plain gray")


@dataclass(frozen=True)
class Leaf:
    """A leaf that can be cut out. Its photo is read where it is used: many photos fill a memory."""

    label: int
    path: Path
    shape: tuple[int, int]  # height and width of the network's input, which the crop has
    crop: str  # SplitRule.crop
    small_mask: Mask  # (cutout.SIDE, cutout.SIDE)

    @property
    def photo(self) -> Photo:
        """Raises UserError if the file can no longer be read."""
        return read_photo(self.path, *self.shape, self.crop)

    @property
    def mask(self) -> Mask:
        return cutout.enlarged(self.small_mask, self.photo)


@functools.lru_cache(maxsize=2)  # a leaf's photo, and the one whose background it gets
def read_photo(path: Path, height: int, width: int, crop: str) -> Photo:
    """A photo at its own size, cropped to the shape of the input."""
    return np.asarray(cropped(open_upright(path), height, width, crop))


def cut_leaves(
    folder: ImageFolder, split: str, limit: int | None, shape: tuple[int, int]
) -> tuple[list[Leaf], int]:
    """The leaves of a split that can be cut out, and how many cannot. `shape`: of the input.

    Photos that cannot be read are named and left out. Raises UserError above 5 % of the folder.
    """
    positions = folder.indices(split)
    positions = positions[spread(len(positions), limit)]
    leaves, failed, unreadable = [], 0, set()
    for i in track(positions, "cutting leaves out", console=status, transient=True):
        path = folder.root / folder.files[i]
        try:
            photo = read_photo(path, *shape, folder.crop)
        except UserError as error:
            status.print(f"left out: {error}")
            unreadable.add(int(i))
            continue
        small_mask = cutout.small_mask(photo)
        if small_mask is None:
            failed += 1
        else:
            leaves.append(Leaf(int(folder.labels[i]), path, shape, folder.crop, small_mask))
    folder.without(unreadable)
    if len({leaf.label for leaf in leaves}) < 2:
        raise UserError(f"{folder.root}: leaves of two classes are needed, cut out of their photos")
    return leaves, failed


def variants(leaf: Leaf, leaves: Sequence[Leaf], draw: np.random.Generator) -> dict[str, Photo]:
    """The leaf on each of KINDS. The other photo is drawn uniformly from the other classes."""
    others = [other for other in leaves if other.label != leaf.label]
    other = others[int(draw.integers(len(others)))]
    photo, mask = leaf.photo, leaf.mask
    behind = cutout.background_of(other.photo, other.mask)
    color = np.rint(behind.mean(axis=(0, 1), keepdims=True)).astype(np.uint8)
    backgrounds = (
        cutout.background_of(photo, mask),
        behind,
        color,
        cutout.plain_background(draw),
    )
    made = [cutout.on_background(photo, mask, one) for one in backgrounds]
    return dict(zip(KINDS, (photo, *made), strict=True))


def answers_of(model: Model, run: Run, leaves: Sequence[Leaf], seed: int) -> dict[str, list[bool]]:
    """Kind → whether the int8 model is right, for each leaf."""
    height, width, _ = model.card.input_shape
    draw = np.random.default_rng(seed)
    right: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    for leaf in track(leaves, "running the model", console=status, transient=True):
        for kind, photo in variants(leaf, leaves, draw).items():
            pixels = resize(Image.fromarray(photo), height, width)
            answer = int(run(model.contract.stored(pixels)).argmax())
            right[kind].append(answer == leaf.label)
    return right


def report_of(model: Model, data: Path, split: str, limit: int | None, seed: int) -> dict[str, Any]:
    """Cut out the leaves, run the model, count. Scores on test are logged."""
    folder = import_folder(data, card=model.card, run=model.folder)
    leaves, failed = cut_leaves(folder, split, limit, model.card.input_shape[:2])
    with tempfile.TemporaryDirectory() as work:
        _, run = load_pc(model.int8, model.sha256, Path(work), len(KINDS) * len(leaves))
        right = answers_of(model, run, leaves, seed)
    top1 = {kind: float(np.mean(found)) for kind, found in right.items()}
    if split == "test":
        scored = {"split": split, "images": len(leaves), "top1": top1[KINDS[0]]}
        log_target_access(
            model.folder, model.weights, "backgrounds", {**scored, "data": folder.name}
        )
    return {
        "model": model.card.name,
        "split": split,
        "seed": seed,
        "images": len(leaves),
        "not_cut": failed,
        "top1": top1,
        "standard_error": {kind: standard_error(one, len(leaves)) for kind, one in top1.items()},
    }


def text_of(report: dict[str, Any]) -> str:
    head = (
        f"{report['model']}: {report['images']} leaves of {report['split']}; "
        f"{report['not_cut']} could not be cut out"
    )
    rows = [(kind, show_accuracy(top1, report["images"])) for kind, top1 in report["top1"].items()]
    return head + "\n" + table_text(("background", "top-1 ± one standard error"), rows)


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0])
    add_model(parser)
    parser.add_argument("--data", type=Path, help="the model's images (or $SWIN2MCU_DATA)")
    parser.add_argument("--split", choices=SPLITS, default="val", help="default: val")
    parser.add_argument("--limit", type=int, metavar="N", help="use N images, spread evenly")
    parser.add_argument("--seed", type=int, default=0, help="seed of the backgrounds")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    arguments = parser.parse_args(argv)

    def command() -> None:
        if arguments.limit is not None and arguments.limit < 1:
            raise UserError("--limit must be at least 1")
        if arguments.seed < 0:
            raise UserError("--seed must be 0 or more")
        model = load_model(arguments.model, measured=True)
        data = data_folder(arguments.data)
        report = report_of(model, data, arguments.split, arguments.limit, arguments.seed)
        print(json.dumps(report) if arguments.json else text_of(report))

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
