"""What a command prints about its images before it uses them: a short table and warnings."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable

import numpy as np

from swin2mcu.common.cli import one_line
from swin2mcu.common.dataset.folder import ImageFolder
from swin2mcu.common.dataset.layouts import SPLITS
from swin2mcu.common.dataset.walk import passed_lines
from swin2mcu.common.tables import table_text

ROWS_MAX = 20
TEST_PHOTOS_MIN = 10  # with fewer, one photo changes a class's recall by more than 10 points

_said: set[str] = set()


def announce(folder: ImageFolder) -> None:
    """Print the table on stderr, once per list of images and process."""
    text = describe(folder)
    if text not in _said and os.environ.get("RANK", "0") == "0":
        _said.add(text)
        print(text, file=sys.stderr, flush=True)


def describe(folder: ImageFolder) -> str:
    """Photos per class and split, how they were split, warnings, and files passed over."""
    counts = Counter(zip(folder.labels.tolist(), folder.splits.tolist(), strict=True))
    rows = [
        (name, [counts[number, split] for split in SPLITS])
        for number, name in enumerate(folder.classes)
    ]
    shown = rows if len(rows) <= ROWS_MAX else sorted(rows, key=lambda row: sum(row[1]))[:ROWS_MAX]
    total = ("all", [sum(row[1][i] for row in rows) for i in range(len(SPLITS))])
    lines = [f"{folder.root}: {len(folder.files)} photos, {len(rows)} classes; {folder.cut_by}"]
    table = [[name, *cells] for name, cells in (*shown, total)]
    lines.append(table_text(["class", *SPLITS], table, indent=2))
    if len(rows) > len(shown):
        lines.append(f"  (the {len(shown)} smallest; {len(rows) - len(shown)} more)")
    lines += [f"  {folder.note}"] if folder.note else []
    lines += map(one_line, warnings(folder, counts))
    if folder.unlabeled:
        lines.append(f"  without a label: {len(folder.unlabeled)} photos, for distillation only")
    lines += [f"  {line}" for line in passed_lines(dict(folder.passed_over))]
    return "\n".join(lines)


def warnings(folder: ImageFolder, counts: Counter[tuple[int, str]]) -> list[str]:
    lines = []
    few = [n for i, n in enumerate(folder.classes) if counts[i, "test"] < TEST_PHOTOS_MIN]
    if few and (folder.splits == "test").any():
        names = ", ".join(few[:5]) + (", …" if len(few) > 5 else "")
        lines.append(
            f"  warning: fewer than {TEST_PHOTOS_MIN} test photos of {names}: "
            "the score of each of these says little"
        )
    for split in SPLITS:
        if (folder.splits == split).any():
            none = [n for i, n in enumerate(folder.classes) if not counts[i, split]]
            lines += [f"  warning: {split} has no photo of {', '.join(none)}"] if none else []
    lines += [
        f"  warning: {' and '.join(map(repr, names))} are different classes; if they are one: "
        "swin2mcu split --rename OLD=NEW"
        for names in alike(folder.classes)
    ]
    places = dict(zip(folder.groups, folder.splits.tolist(), strict=True))
    apart = [names for names in alike(folder.groups) if len({places[one] for one in names}) > 1]
    if apart:
        lines.append(
            f"  warning: groups in several splits are called almost alike "
            f"({' and '.join(map(repr, apart[0]))} first): if they are one, give them one name"
        )
    crossing = crossing_groups(folder)
    if crossing:
        test = {folder.groups[i] for i in np.flatnonzero(folder.splits == "test")}
        which = "scores are" if test & set(crossing) else "the score on val is"
        lines.append(
            f"  warning: {len(crossing)} group{'s' if len(crossing) > 1 else ''} of photos in more "
            "than one split "
            f"({crossing[0]} first): {which} too good"
        )
    if torn := torn_copies(folder):
        split_of = dict(zip(folder.files, folder.splits.tolist(), strict=True))
        tested = any(split_of[file] == "test" for copies in torn for file in copies)
        lines.append(
            f"  warning: {len(torn)} photo{'s' if len(torn) > 1 else ''} in more than one split, "
            f"as files of the same bytes ({torn[0][0]} and {torn[0][1]} first): "
            f"{'scores are' if tested else 'the score on val is'} too good"
        )
    in_train = {folder.groups[i] for i in np.flatnonzero(folder.splits == "train")}
    if len({*folder.groups}) == len(SPLITS) and len(in_train) == 1 and "" not in folder.groups:
        lines.append(
            f"  warning: of three groups train is one ({min(in_train)}): "
            "--test-group NAME trains on the two others"
        )
    return lines


def alike(names: Iterable[str]) -> list[list[str]]:
    """Names that differ in case, in how a letter is written, or in spaces alone."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        key = " ".join(unicodedata.normalize("NFC", name).casefold().split())
        found.setdefault(key, []).append(name)
    return [names for names in found.values() if len(names) > 1]


def crossing_groups(folder: ImageFolder) -> list[str]:
    """Groups with photos in two splits or more."""
    seen: dict[str, set[str]] = {}
    for group, split in zip(folder.groups, folder.splits.tolist(), strict=True):
        if group:
            seen.setdefault(group, set()).add(split)
    return sorted(group for group, splits in seen.items() if len(splits) > 1)


def torn_copies(folder: ImageFolder) -> list[list[str]]:
    """For each photo whose equal files lie in two splits or more: the first file of each split."""
    split_of = dict(zip(folder.files, folder.splits.tolist(), strict=True))
    found = []
    for copies in folder.equal:
        first: dict[str, str] = {}
        for file in copies:
            if file in split_of:  # only some photos of the folder may have been kept
                first.setdefault(split_of[file], file)
        if len(first) > 1:
            found.append([*first.values()])
    return found
