"""The copy of a published model that measurements are written into: build/measured/NAME.

`host_tools/publish.py` copies what is measured there into the zoo.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from host_tools.results import RESULTS_NAME, load_results
from swin2mcu.common.card import Card, load_card, sha256_of, update_card
from swin2mcu.common.cli import status, write_atomic
from swin2mcu.common.lock import locked
from swin2mcu.common.test_access import FILE as TEST_ACCESS

MODEL_NAME = "model_int8.tflite"
CARD = "card.json"
COPY_OF = ".published"  # a file of the copy: a digest of the entry
LAST_CARD = ".published-card.json"  # the entry's card when the copy was last renewed


def copy_published(entry: Path, measured: Path) -> Path:
    """The folder below `measured` for the zoo entry at `entry`, renewed where that has changed.

    What was measured there stays. If the entry has another model now, the old copy gets another
    name, which is printed. Raises UserError where the copy's results cannot be read.
    """
    copy, mark = measured / entry.name, _digest(entry)
    with locked(copy):
        stamp = copy / COPY_OF
        if stamp.is_file() and stamp.read_text() == mark:
            if not (copy / LAST_CARD).is_file():  # made by an older version
                _keep_card(copy, entry)
            return copy
        if copy.is_dir() and not _same_model(copy, entry):
            aside = _free_name(copy)
            copy.rename(aside)
            status.print(f"{entry.name} has a new model: results of the old one are in {aside}")
        if copy.is_dir():
            _renew(copy, entry)
            write_atomic(stamp, mark)
            return copy
        with tempfile.TemporaryDirectory(dir=measured) as work:
            made = Path(work) / entry.name
            shutil.copytree(entry, made)
            (made / COPY_OF).write_text(mark)
            _keep_card(made, entry)
            made.rename(copy)
    return copy


def _digest(entry: Path) -> str:
    digest = hashlib.sha256()
    for path in _files(entry):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def _same_model(copy: Path, entry: Path) -> bool:
    old, new = copy / MODEL_NAME, entry / MODEL_NAME
    return old.is_file() and sha256_of(old) == sha256_of(new)


def _free_name(copy: Path) -> Path:
    old = copy / MODEL_NAME
    name = f"{copy.name}.{sha256_of(old)[:8]}" if old.is_file() else f"{copy.name}.old"
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(path for path in map(copy.with_name, names) if not path.exists())


def _renew(copy: Path, entry: Path) -> None:
    """Bring the entry's files into a copy of the same model, without losing what the copy adds."""
    for path in _files(entry):
        target = copy / path.name
        if path.name == RESULTS_NAME and target.exists():
            _merge_results(target, path)
        elif path.name == CARD and target.exists():
            _merge_card(target, path)
        elif path.name == TEST_ACCESS and target.exists():
            _merge_lines(target, path)
        else:
            write_atomic(target, path.read_bytes())
    _keep_card(copy, entry)


def _keep_card(copy: Path, entry: Path) -> None:
    if (card := entry / CARD).is_file():
        write_atomic(copy / LAST_CARD, card.read_bytes())


def _merge_results(ours: Path, published: Path) -> None:
    """The published targets, and those that were measured here later or alone."""
    with locked(ours):
        theirs, own = load_results(published), load_results(ours).targets
        later = {
            name: target
            for name, target in own.items()
            if name not in theirs.targets
            or str(target.get("date")) > str(theirs.targets[name].get("date"))
        }
        merged = replace(theirs, targets={**theirs.targets, **later})
        write_atomic(ours, json.dumps(asdict(merged), indent=2) + "\n")


def _merge_card(ours: Path, published: Path) -> None:
    """The published card, with the calibration that was fitted here.

    One that equals the card published before was not fitted here. Copies of older versions have no
    such card if the entry has changed since: their calibration stays.
    """
    theirs, last = load_card(published), ours.with_name(LAST_CARD)
    before = load_card(last).calibration if last.is_file() else None

    def merged(card: Card) -> Card:
        own = card.calibration if card.calibration != before else None
        return replace(theirs, calibration=own or theirs.calibration)

    update_card(ours, merged)


def _merge_lines(ours: Path, published: Path) -> None:
    """The published lines, and those that were added here."""
    with locked(ours):
        lines = [path.read_text(encoding="utf-8").splitlines() for path in (published, ours)]
        write_atomic(ours, "".join(f"{line}\n" for line in dict.fromkeys(lines[0] + lines[1])))
