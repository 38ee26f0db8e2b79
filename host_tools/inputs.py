"""What the tools work on: the model that is named, or a default; its images; its test split."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass
from pathlib import Path

from host_tools.measured_copy import MODEL_NAME, copy_published
from host_tools.results import Weights
from swin2mcu.common.card import Card, save_card, sha256_of
from swin2mcu.common.cli import UserError, write_atomic
from swin2mcu.common.dataset import import_folder
from swin2mcu.common.input_contract import USUAL, InputContract
from swin2mcu.common.json_file import read_json
from swin2mcu.common.lock import locked
from swin2mcu.common.paths import ROOT, ZOO
from tinyml.format.facts import FOREIGN, card_of, contract_of, open_card

DEFAULT_MODEL = "small-96"  # of the zoo, where there is no run
MEASURED = ROOT / "build" / "measured"  # copies of zoo entries, with what was measured since
# What the stages of a training write into a run, and an import does not.
TRAINED = (
    "config.json",
    "checkpoint.pt",
    "student.safetensors",
    "teacher.safetensors",
    "qat.safetensors",
    "model.onnx",
    "log.csv",
)
IMPORT_S = 5.0  # another import takes milliseconds; a training holds the lock for hours


@dataclass(frozen=True)
class Model:
    """One run or zoo entry: its folder, its card and its int8 file."""

    folder: Path
    card: Card
    sha256: str  # of the int8 file
    file: Path | None = None  # the int8 file, where it does not lie in the folder

    @property
    def int8(self) -> Path:
        return self.file or self.folder / MODEL_NAME

    @property
    def argument(self) -> str:
        """What names this model on a command line."""
        return str(self.file or self.folder)

    @property
    def published(self) -> bool:
        """Whether it lies in the zoo, where only publishing writes."""
        return self.folder.resolve().parent == ZOO.resolve()

    @property
    def measured(self) -> bool:
        """Whether it is the copy of a zoo entry that measurements are written into."""
        return self.folder.resolve().parent == MEASURED.resolve()

    @property
    def typed(self) -> str:
        """What names this model in a recorded command, which people type again from the same place.

        A published model has its zoo name, also where the copy of it was measured. An imported file
        has its run, which knows what --classes and --input said.
        """
        if self.published or self.measured:
            return shlex.quote(self.folder.resolve().name)
        beside = self.file is not None and self.file.parent == self.folder
        named = self.int8 if beside else self.folder
        if named.absolute().is_relative_to(Path.cwd()):
            named = named.absolute().relative_to(Path.cwd())
        return shlex.quote(str(named))

    @property
    def contract(self) -> InputContract:
        """How pixels become the model's input."""
        return contract_of(self.card)

    @property
    def weights(self) -> Weights:
        return MODEL_NAME, self.sha256

    @property
    def size(self) -> int:
        return self.card.input_shape[0]


def resolve_model_dir(argument: str | None) -> Path:
    """The folder that is named, else the newest finished run, else the zoo's DEFAULT_MODEL."""
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
    zoo = ZOO / DEFAULT_MODEL
    if not (zoo / MODEL_NAME).is_file():
        raise UserError("there is no finished run: make one with `make demo`, or name a folder")
    return zoo


def add_model(parser: argparse.ArgumentParser, files: bool = False) -> None:
    """The argument that names a model; with `files` it may be a .tflite too."""
    kinds = (
        "a run's folder, a zoo entry's name or a .tflite"
        if files
        else "a run's folder or a zoo entry's name"
    )
    default = f"the newest run in runs/, else {DEFAULT_MODEL}"
    parser.add_argument("model", nargs="?", help=f"{kinds} (default: {default})")


def flash_command(model: str | None, board: str = "NAME") -> str:
    """The command that puts the model on a board, for messages.

    Without the model it would flash the newest run, which need not be the one that is meant.
    """
    named = "" if model is None else f"{shlex.quote(model)} "
    return f"`python host_tools/flash.py {named}--board {board}`"


def add_foreign_options(parser: argparse.ArgumentParser) -> None:
    """--classes and --input, for a .tflite that came without a card."""
    parser.add_argument(
        "--classes", type=Path, metavar="FILE", help="a plain .tflite's class names, one per line"
    )
    parser.add_argument(
        "--input",
        metavar="KIND",
        help=f"what a plain .tflite is fed: {', '.join(USUAL)}, or MEAN/STD "
        "(default: what its input's range fits)",
    )


def load_named(arguments: argparse.Namespace, measured: bool = False, keep: bool = True) -> Model:
    """The model that a command's arguments name; see add_foreign_options and load_model."""
    return load_model(arguments.model, measured, arguments.classes, arguments.input, keep)


def load_model(
    argument: str | None,
    measured: bool = False,
    labels: Path | None = None,
    kind: str | None = None,
    keep: bool = True,
) -> Model:
    """Find a model and check that its card describes it. Raises UserError where it does not.

    A published model that is to be `measured` is copied first: results go into the copy.
    `argument` may be a .tflite; `labels` and `kind` then give what the file lacks. It is imported
    as a run of its name, runs/<name>, unless `keep` is False: nothing is written then.
    """
    plain = (
        argument is not None and argument.lower().endswith(".tflite") and Path(argument).is_file()
    )
    if plain and argument is not None and not (Path(argument).parent / "card.json").is_file():
        model = _load_plain(Path(argument), labels, kind, keep)
    elif labels or kind:
        raise UserError("--classes and --input are for a .tflite without a card: name the file")
    else:
        folder = Path(argument).parent if plain and argument else resolve_model_dir(argument)
        if measured and folder.resolve().parent == ZOO.resolve():
            folder = copy_published(folder, MEASURED)
        path = folder / (Path(argument).name if plain and argument else MODEL_NAME)
        card = open_card(folder / "card.json", path)
        assert card.sha256 is not None  # open_card has checked it
        model = Model(folder, card, card.sha256, path if path.name != MODEL_NAME else None)
    _check_square(model.card, model.int8)
    return model


def _check_square(card: Card, int8: Path) -> None:
    height, width, _ = card.input_shape
    if height != width:
        raise UserError(f"{int8}: its input is {height}x{width}; only squares are supported")


def _load_plain(path: Path, labels: Path | None, kind: str | None, keep: bool) -> Model:
    """A .tflite without a card, as a run of its own. Raises UserError before anything is written.

    The lock is that of a training's folder, so that none begins there meanwhile.
    """
    if not path.stem.strip("."):
        raise UserError(f"{path}: give it a name of more than dots, it becomes a run of that name")
    folder, sha256 = Path("runs") / path.stem, sha256_of(path)
    known = folder / "card.json"
    _check_own(folder, path, sha256)
    if known.is_file() and not labels and not kind:
        return Model(folder, open_card(known, path), sha256, path)
    card = card_of(path, labels, kind)
    _check_square(card, path)
    if keep:
        with locked(folder / "making", IMPORT_S), locked(known):
            _check_own(folder, path, sha256)
            write_atomic(folder / MODEL_NAME, path.read_bytes())
            save_card(card, known)
    return Model(folder, card, sha256, path)


def _check_own(folder: Path, path: Path, sha256: str) -> None:
    """Raises UserError if `folder` holds another model than `path`, or what a training wrote."""
    if (folder / MODEL_NAME).is_file() and sha256_of(folder / MODEL_NAME) != sha256:
        raise UserError(f"{folder} holds another model than {path}: give one of them another name")
    try:
        card = read_json(folder / "card.json")
        imported = isinstance(card, dict) and card.get("student") == FOREIGN
    except FileNotFoundError:
        imported = True
    except (OSError, ValueError):
        imported = False
    if not imported or any((folder / name).exists() for name in TRAINED):
        raise UserError(
            f"{folder} is the run of a training, which importing {path} would overwrite: name the "
            f"folder if that run is meant, or else copy {path.name} to another name"
        )


def split_images(data: Path, card: Card, run: Path | None = None) -> list[tuple[Path, int]]:
    """(file, label) of the test split, in its order. Raises UserError as import_folder does."""
    folder = import_folder(data, card=card, run=run)
    return [(folder.root / file, label) for file, label in folder.labeled("test")]
