"""The photos that a run was trained on, so that its accuracy is not measured on one of them.

RUN/trained_on.csv: sha256,bytes,file of each photo of the train split, and of those that its
initial weights or its teachers were trained on. A cache of teachers' outputs has a table too.
Photos are compared by their bytes, since another table or folder may name them otherwise. Runs of
older versions and published models have no table: a row without a hash names such a run.
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from swin2mcu.common.cli import UserError, write_atomic
from swin2mcu.common.dataset.folder import ImageFolder

NAME = "trained_on.csv"
COLUMNS = ("sha256", "bytes", "file")
OF_A_RUN = ("config.json", "card.json")  # one of these lies beside trained weights
OF_A_CACHE = ("teacher_cache.json", "knowledge.json")  # one of these lies beside teachers' outputs
UNLISTED = ""  # in the place of a hash
SCORED = ("val", "test")
PLACES = ("", "qat")  # of the tables in a run: its training's, and its fine-tuning's
UNREAD = hashlib.sha256().hexdigest()  # of a photo that cannot be opened, as of an empty file
SEEN_SHARE_MAX = 0.5  # of a split; above this it is another split of the photos, not a few moves

Photo = tuple[str, int]  # SHA-256 and bytes
Row = tuple[str, int, str]  # of the table

log = logging.getLogger(__name__)


def trained_rows(folder: ImageFolder, hashes: Sequence[str]) -> list[Row]:
    """The rows of a folder's train split; `hashes` are its files' SHA-256, in their order."""
    files = [folder.files[i] for i in folder.indices("train")]
    return [
        (sha256, (folder.root / file).stat().st_size, file)
        for file, sha256 in zip(files, hashes, strict=True)
    ]


def write_trained(run: Path, rows: Sequence[Row], starts_from: Iterable[str]) -> None:
    """Write a new run's table, with the rows of the runs or caches whose files it starts from."""
    before = [row for place in _runs(starts_from) for row in _read_start(place)]
    stream = io.StringIO()
    # Quoted, since csv does not quote a carriage return in a name, and reads it as a new line.
    writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(COLUMNS)
    writer.writerows(dict.fromkeys([*rows, *before]))
    write_atomic(run / NAME, stream.getvalue().encode(errors="surrogateescape"))
    if rows:  # of a run, not of a cache: what was fine-tuned here came from earlier weights
        (run / "qat" / NAME).unlink(missing_ok=True)


def unseen_by(folder: ImageFolder, run: Path) -> ImageFolder:
    """The folder without the photos of val and test that `run` was trained on; says how many.

    A photo that the folder's own train split has too stays: a folder with copies of a photo is
    accepted in training, and so it is here. Without a table nothing is left out. Raises UserError
    where that is more than half of a split.
    """
    trained = _photos(_read(run))
    if not trained:
        return folder
    seen = {split: _same(folder, split, trained) for split in SCORED}
    known = {photo for found in seen.values() for photo in found.values()}
    own = set(_same(folder, "train", known).values())
    left_out: set[int] = set()
    for split, found in seen.items():
        positions = [i for i, photo in found.items() if photo not in own]
        if len(positions) > SEEN_SHARE_MAX * (folder.splits == split).sum():
            raise UserError(
                f"{_subject(run)} trained on {len(positions)} of the {split} photos of "
                f"{folder.name} (first: {folder.files[positions[0]]}): name the folder or table of "
                "that training"
            )
        left_out.update(positions)
    if not left_out:
        return folder
    log.warning(
        "left out of val and test: %d photos that %s trained on (first: %s)",
        len(left_out),
        _subject(run),
        folder.files[min(left_out)],
    )
    return folder.at([i for i in range(len(folder.files)) if i not in left_out])


def unseen_by_weights(folder: ImageFolder, files: Iterable[str]) -> ImageFolder:
    """unseen_by, for the runs whose weights a training starts from or is taught by.

    Says which of them have no table, and so may have been trained on photos of val or test.
    """
    for name in unlisted(files):
        log.warning(
            "%s does not list the photos that it or its teachers were trained on: if photos of val "
            "or test are among them, the accuracy is too high",
            name,
        )
    for run in _runs(files):
        folder = unseen_by(folder, run)
    return folder


def unlisted(files: Iterable[str]) -> list[str]:
    """The runs without a table from which these files come, at any distance."""
    rows = (row for run in _runs(files) for row in _read_start(run))
    return list(dict.fromkeys(file for sha256, _, file in rows if sha256 == UNLISTED))


def check_place(folder: Path, others: Sequence[str]) -> None:
    """Raise UserError where a run would be written into a cache's folder, or a cache into a run's.

    `others` is OF_A_CACHE or OF_A_RUN. A folder has one table of photos.
    """
    if any((folder / name).is_file() for name in others):
        what = "a cache of teachers' outputs" if others == OF_A_CACHE else "a run"
        raise UserError(f"{folder} is the folder of {what}: name another one")


def photos_seen(folder: ImageFolder, split: str, files: Iterable[str]) -> list[str]:
    """The photos of a split that the runs or caches of these files were trained on."""
    known = _photos(row for run in _runs(files) for row in _read(run))
    return [folder.files[i] for i in _same(folder, split, known)]


def hash_of(path: Path) -> str:
    """Hex SHA-256 of a photo's bytes; UNREAD where it cannot be opened, which others report."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return UNREAD


def _runs(files: Iterable[str]) -> list[Path]:
    """The folders of those files that are there: a name may also be that of a package."""
    return list(dict.fromkeys(path.parent for path in map(Path, files) if path.is_file()))


def _subject(run: Path) -> str:
    is_cache = any((run / name).is_file() for name in OF_A_CACHE)
    return f"the teachers of {run} were" if is_cache else f"{run} was"


def _photos(rows: Iterable[Row]) -> set[Photo]:
    return {(sha256, size) for sha256, size, _ in rows if sha256 != UNLISTED}


def _same(folder: ImageFolder, split: str, known: set[Photo]) -> dict[int, Photo]:
    """Positions in a split of `known` photos. Reads only files that have the size of one."""
    sizes = {size for sha256, size in known if sha256 != UNREAD}
    found = {}
    for position in map(int, (folder.splits == split).nonzero()[0]):
        path = folder.root / folder.files[position]
        if (size := path.stat().st_size) in sizes and (photo := (hash_of(path), size)) in known:
            found[position] = photo
    return found


def _read_start(run: Path) -> list[Row]:
    """The rows of a run or cache that something else starts from.

    An empty table is as good as none: caches of an older version have one where their teacher's run
    has no table.
    """
    made_here = any((run / name).is_file() for name in (*OF_A_RUN, *OF_A_CACHE))
    return _read(run) or ([(UNLISTED, 0, str(run))] if made_here else [])


def _read(run: Path) -> list[Row]:
    rows: list[Row] = []
    for path in (run / place / NAME for place in PLACES):
        if not path.is_file():
            continue
        try:
            with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
                lines = csv.reader(stream)
                if next(lines, None) != [*COLUMNS]:
                    raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
                rows += [(sha256, int(size), file) for sha256, size, file in lines]
        except (OSError, ValueError, csv.Error) as error:
            raise UserError(f"{path} is no table of photos ({error!r}): remove it") from error
    return rows
