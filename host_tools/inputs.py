"""What the tools work on when nobody says: which model, which images, which are the test."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from swin2mcu.common.card import Card, load_card, sha256_of
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import import_folder
from swin2mcu.common.lock import locked
from swin2mcu.common.paths import ROOT, ZOO

MODEL_NAME = "model_int8.tflite"
MEASURED = ROOT / "build" / "measured"  # copies of zoo entries, with what was measured since
COPY_OF = ".published"  # a file of the copy: a digest of the entry

Weights = tuple[str, str]  # a file's name and sha256, as test_access.jsonl has them


@dataclass(frozen=True)
class Model:
    """One run or zoo entry: its folder, its card, and the int8 file both speak of."""

    folder: Path
    card: Card
    sha256: str  # of model_int8.tflite

    @property
    def int8(self) -> Path:
        return self.folder / MODEL_NAME

    @property
    def weights(self) -> Weights:
        return MODEL_NAME, self.sha256

    @property
    def size(self) -> int:
        return self.card.input_shape[0]


def resolve_model_dir(argument: str | None) -> Path:
    """The folder that is named, else the newest finished run, else the zoo's small-96."""
    if argument is not None:
        folder = Path(argument)
        if not folder.is_dir() and (ZOO / argument).is_dir():
            folder = ZOO / argument
        if not (folder / MODEL_NAME).is_file():
            raise UserError(f"{argument} holds no {MODEL_NAME}: name a run or a zoo entry")
        return folder
    finished = sorted(
        Path("runs").glob(f"*/{MODEL_NAME}"), key=lambda path: path.stat().st_mtime_ns
    )
    for path in reversed(finished):
        if (path.parent / "card.json").is_file():
            return path.parent
    zoo = ZOO / "small-96"
    if not (zoo / MODEL_NAME).is_file():
        raise UserError("there is no finished run: make one with `make demo`, or name a folder")
    return zoo


def copy_published(entry: Path) -> Path:
    """The folder in build/measured for a zoo entry: a copy of it, made anew when that has changed.

    `host_tools/publish.py` brings what is measured there into the zoo.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in entry.iterdir() if path.is_file()):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    copy, mark = MEASURED / entry.name, digest.hexdigest()
    with locked(copy):
        stamp = copy / COPY_OF
        if not stamp.is_file() or stamp.read_text() != mark:
            with tempfile.TemporaryDirectory(dir=MEASURED) as work:
                shutil.copytree(entry, Path(work) / entry.name)
                (Path(work) / entry.name / COPY_OF).write_text(mark)
                shutil.rmtree(copy, ignore_errors=True)
                (Path(work) / entry.name).rename(copy)
    return copy


def load_model(argument: str | None, measured: bool = False) -> Model:
    """Find a model and check that its card describes it. Raises UserError where it does not.

    A published model that is to be `measured` is copied first: results go into the copy.
    """
    folder = resolve_model_dir(argument)
    if measured and folder.resolve().parent == ZOO.resolve():
        folder = copy_published(folder)
    card = load_card(folder / "card.json")
    sha256 = sha256_of(folder / MODEL_NAME)
    if card.sha256 is not None and card.sha256 != sha256:
        raise UserError(
            f"{folder}/card.json describes another model than {MODEL_NAME} beside it: export again"
        )
    height, width, _ = card.input_shape
    if height != width:
        raise UserError(f"{folder}/card.json: input is {height}x{width}, only squares are known")
    return Model(folder, card, sha256)


def split_images(data: Path, card: Card, split: str = "test") -> list[tuple[Path, int]]:
    """(file, label) of one split, in the folder's order. Raises UserError for other classes."""
    folder = import_folder(data, card=card)
    return [
        (folder.root / folder.files[position], int(folder.labels[position]))
        for position in folder.indices(split)
    ]
