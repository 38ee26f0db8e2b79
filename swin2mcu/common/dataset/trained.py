"""The photos that a run was trained on, so that its accuracy is not measured on one of them.

RUN/trained_on.csv: sha256,bytes,file of each photo of the train split. Photos are compared by their
bytes, since another table or folder may name them otherwise.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset.folder import ImageFolder

NAME = "trained_on.csv"
COLUMNS = ("sha256", "bytes", "file")
SCORED = ("val", "test")
PLACES = ("", "qat")  # of the tables in a run: its training's, and its fine-tuning's

Photo = tuple[str, int]  # SHA-256 and bytes


def trained_text(folder: ImageFolder, hashes: Sequence[str]) -> bytes:
    """The table of a folder's train split; `hashes` are its files' SHA-256, in their order."""
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(COLUMNS)
    files = [folder.files[i] for i in folder.indices("train")]
    for file, sha256 in zip(files, hashes, strict=True):
        rows.writerow((sha256, (folder.root / file).stat().st_size, file))
    return stream.getvalue().encode(errors="surrogateescape")


def check_unseen(folder: ImageFolder, run: Path) -> None:
    """Raise UserError where `run` was trained on photos of the folder's val or test split.

    Not for photos that the folder's own train split has too: a folder with copies of a photo is
    accepted in training, and so it is here. Runs of older versions and published models have no
    table: nothing is checked there.
    """
    trained = {photo for place in PLACES for photo in _read(run / place / NAME)}
    if not trained:
        return
    splits = {split: _same(folder, split, trained) for split in SCORED}
    seen = {photo for found in splits.values() for photo in found.values()}
    own = set(_same(folder, "train", seen).values())
    for split, found in splits.items():
        if files := [file for file, photo in found.items() if photo not in own]:
            raise UserError(
                f"{run} was trained on {len(files)} of the {split} photos of {folder.name} (first: "
                f"{files[0]}): name the folder or table that it was trained on"
            )


def hash_of(path: Path) -> str:
    """Hex SHA-256 of a photo's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _same(folder: ImageFolder, split: str, known: Iterable[Photo]) -> dict[str, Photo]:
    """Files of a split that have the bytes of a `known` photo. Reads only files of such a size."""
    photos = set(known)
    sizes = {size for _, size in photos}
    found = {}
    for position in (folder.splits == split).nonzero()[0]:
        file = folder.files[position]
        path = folder.root / file
        if (size := path.stat().st_size) in sizes and (photo := (hash_of(path), size)) in photos:
            found[file] = photo
    return found


def _read(path: Path) -> set[Photo]:
    if not path.is_file():
        return set()
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
            rows = csv.reader(stream)
            if next(rows, None) != [*COLUMNS]:
                raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
            return {(sha256, int(size)) for sha256, size, _ in rows}
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path} is no table of photos ({error!r}): remove it") from error
