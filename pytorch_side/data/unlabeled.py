"""Photos without a label: the student learns from the teacher's outputs for them.

They join the train split with the label NO_LABEL, which has no cross-entropy. A photo that looks
like one in val or test is left out, or the student would be scored on a photo that it was trained
on. So is a photo of a group that is in val or test alone: a held farm must stay unseen.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Sequence
from itertools import compress
from pathlib import Path

import numpy as np
from rich.progress import track

from pytorch_side.config import Config
from pytorch_side.data.cache import decoded_by, decoded_cache_folder, files_key, readable
from swin2mcu.common.cli import UserError, plain_console, write_atomic
from swin2mcu.common.dataset import ImageFolder, check_corrupt
from swin2mcu.common.dataset.near_duplicates import (
    LOW,
    NEAR_BITS,
    Coefficients,
    low_coefficients,
    nearest,
)
from swin2mcu.common.dataset.same_photo import equal_photos
from swin2mcu.common.dataset.walk import list_images, nothing_found
from swin2mcu.common.json_file import parse_json
from swin2mcu.common.pixels import open_upright

NO_LABEL = -1
NAMED = 3  # groups in a warning

log = logging.getLogger(__name__)


def training_photos(folder: ImageFolder, config: Config) -> ImageFolder:
    """The folder, with the photos without a label if there is a teacher. Raises UserError."""
    settings = config.distillation
    if not settings.used:
        if settings.unlabeled:
            raise UserError(
                f"photos without a label ({settings.unlabeled}) need a teacher: set "
                "distillation.alpha above 0"
            )
        return folder
    whole = with_unlabeled(folder, settings.unlabeled)
    if whole is not folder and (config.augment.mixup > 0 or settings.logit_loss == "dkd"):
        raise UserError(
            "photos without a label have no share of a class: set augment.mixup = 0 and "
            "distillation.logit_loss = kl or dist"
        )
    return whole


def with_unlabeled(folder: ImageFolder, more: str = "") -> ImageFolder:
    """Add the folder's photos without a label, and those below `more`, to the train split.

    Logs how many there are and how many were left out. Raises UserError if `more` holds no photo,
    or photos of the data set itself.
    """
    held, free = of_held_groups(folder, more)
    if not held and not free:
        return folder
    left_out = set(_like_scored(folder, free)) if free else set()
    kept = [file for file in free if file not in left_out]
    log.info(
        "%d photos without a label join training; left out are %d that cannot be read or look like "
        "one in val or test, and %d of a group that is in val or test and not in train",
        len(kept),
        len(left_out),
        len(held),
    )
    unknown = sum(file not in folder.unlabeled_groups for file in kept)
    if unknown and (unseen := _unseen_groups(folder)):
        log.warning(
            "%d photos without a label have no group: if they are of %s, which is in val or test "
            "alone, the accuracy there is too high",
            unknown,
            " or ".join(sorted(unseen)[:NAMED]),
        )
    count, files = len(kept), (*folder.files, *kept)
    # A copy of a labeled photo has no label that could contradict it: all count as of one class.
    equal = equal_photos(folder.root, files, [""] * len(files))
    return dataclasses.replace(
        folder,
        files=files,
        labels=np.concatenate([folder.labels, np.full(count, NO_LABEL, dtype=np.int64)]),
        splits=np.concatenate([folder.splits, np.full(count, "train", dtype="<U5")]),
        sources=(*folder.sources, *("" for _ in kept)),
        groups=(*folder.groups, *(folder.unlabeled_groups.get(file, "") for file in kept)),
        unlabeled=(),
        unlabeled_groups={},
        equal=tuple(tuple(files[i] for i in positions) for positions in equal),
    )


def of_held_groups(folder: ImageFolder, more: str = "") -> tuple[list[str], list[str]]:
    """The photos without a label of groups that are in val or test alone, and the others.

    They are the folder's, and those below `more`. Raises UserError as photos_below does.
    """
    files = [*folder.unlabeled, *(photos_below(folder, Path(more)) if more else ())]
    unseen = _unseen_groups(folder)
    parts: tuple[list[str], list[str]] = ([], [])
    for file in files:
        parts[folder.unlabeled_groups.get(file) not in unseen].append(file)
    return parts


def _unseen_groups(folder: ImageFolder) -> set[str]:
    """Groups with photos in val or test and with none in train.

    Where too few groups were drawn photo by photo, each is in all splits. Training then knows all
    of them, and to leave them out would leave out all photos without a label.
    """
    of_split: dict[bool, set[str]] = {True: set(), False: set()}
    for group, split in zip(folder.groups, folder.splits.tolist(), strict=True):
        of_split[split == "train"].add(group)
    return of_split[False] - of_split[True] - {""}


def photos_below(folder: ImageFolder, place: Path) -> list[str]:
    """Photos below another folder, as files relative to the data set's root.

    Raises UserError if there are none, or photos of the data set itself.
    """
    if not place.is_dir():
        raise UserError(f"{place} is not a folder: name one that holds photos without a label")
    root, place = folder.root.resolve(), place.resolve()
    if place == root or place in root.parents:
        raise UserError(f"{place} holds the labeled photos too: name a folder of its own")
    found, passed = list_images(place)
    if not found:
        raise nothing_found(place, passed, "<image>")
    try:
        files = [Path(os.path.relpath(place / file, root)).as_posix() for file in found]
    except ValueError as error:  # on Windows
        raise UserError(f"{place} is on another drive than {root}: copy it there") from error
    if own := {*folder.files} & {*files}:
        raise UserError(f"{place} holds photos with a label, {min(own)} first: name another folder")
    known = {*folder.unlabeled}
    return [file for file in files if file not in known]


def _like_scored(folder: ImageFolder, files: Sequence[str]) -> list[str]:
    """Those of `files` that look like a photo of val or test, or cannot be read.

    Decoding all photos takes minutes, so the result is cached beside the decoded images.
    """
    scored = [
        file
        for file, split in zip(folder.files, folder.splits.tolist(), strict=True)
        if split != "train"
    ]
    settings = f"{decoded_by()} like scored {NEAR_BITS} {len(scored)}"
    key = files_key(folder.root, [*scored, *files], settings)
    path = decoded_cache_folder() / f"like-scored-{key}.json"
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
        if not any(readable(folder.root / file) for file in found["not read"]):
            return list(found["left out"])
    except (OSError, ValueError, TypeError, KeyError):  # none yet, or damaged: look again
        pass
    own, theirs = (_coefficients(folder.root, names) for names in (files, scored))
    unreadable = np.isnan(own[:, 0, 0])
    if unreadable.any():
        first = files[int(unreadable.argmax())]
        check_corrupt("the photos without a label", int(unreadable.sum()), len(files), first)
    near = np.zeros(len(files), dtype=bool)
    unread = np.isnan(theirs[:, 0, 0])
    if not unread.all():
        _, bits = nearest(own[~unreadable], theirs[~unread])
        near[~unreadable] = bits <= NEAR_BITS
    left_out = [files[i] for i in np.flatnonzero(near | unreadable)]
    not_read = [*compress(files, unreadable), *compress(scored, unread)]
    write_atomic(path, json.dumps({"left out": left_out, "not read": not_read}))
    return left_out


def _coefficients(root: Path, files: Sequence[str]) -> Coefficients:
    """(files, LOW, LOW); NaN where a photo cannot be read."""
    found = np.full((len(files), LOW, LOW), np.nan, dtype=np.float32)
    bar = plain_console(stderr=True)
    for i, file in enumerate(track(files, "looking for duplicates", console=bar, transient=True)):
        try:
            found[i] = low_coefficients(open_upright(root / file))
        except UserError as error:
            log.warning("left out: %s", error)
    return found
