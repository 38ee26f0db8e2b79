"""List every image file below a folder, and the files passed over, with reasons; open none."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from swin2mcu.common.cli import UserError, one_line, status
from swin2mcu.common.lock import is_lock
from swin2mcu.common.pixels import IMAGE_SUFFIXES, PLUGIN_SUFFIXES, readable_suffixes

# Reason → files that were passed over, relative to the root.
PassedOver = dict[str, tuple[str, ...]]

DOT = "dot file"  # macOS's ._leaf.jpg is not a photo, and .git is not a class
BROKEN = "broken link"
SPECIAL = "pipe, socket or device"  # opening one may wait forever
EMPTY = "folder without a photo"
LOOSE = "photo in no class folder"
UNREADABLE = "no right to read"
TOO_DEEP = "folder nested too deeply"
DEPTH_MAX = 100  # folders inside each other


def list_images(root: Path) -> tuple[list[str], PassedOver]:
    """Image files at any depth, sorted, with forward slashes; and other files with the reason.

    Links are followed, except links to a folder above themselves. In a name that is not UTF-8,
    bytes become Python's surrogates. Raises UserError where the root cannot be listed.
    """
    images: list[str] = []
    passed: dict[str, list[str]] = defaultdict(list)
    wanted = readable_suffixes()
    _walk(root, "", frozenset(), wanted, images, passed)
    return sorted(images), {why: tuple(sorted(names)) for why, names in passed.items()}


def photos_in(paths: Sequence[Path]) -> list[Path]:
    """The photos among `paths`, and those below its folders; prints what it passes over there.

    Raises UserError for a folder without a photo, and where there is no such file or folder.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"there is no file or folder {path}")
        if not path.is_dir():
            found.append(path)
            continue
        names, passed = list_images(path)
        if not names:
            raise nothing_found(path, passed, "<image>")
        for line in passed_lines(passed):
            status.print(f"{path}: {line}")
        found += [path / name for name in names]
    return found


def _walk(
    folder: Path,
    prefix: str,
    above: frozenset[tuple[int, int]],
    wanted: frozenset[str],
    images: list[str],
    passed: dict[str, list[str]],
) -> None:
    before = len(images)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        here = folder.stat()
    except OSError as error:
        if not prefix:
            raise UserError(f"cannot list {folder}: {error.strerror}") from error
        passed[UNREADABLE].append(prefix.rstrip("/"))
        return
    inside = above | {(here.st_dev, here.st_ino)}
    for entry in entries:
        name = prefix + entry.name
        if is_lock(entry.name) and not entry.is_dir():  # of `split`, which writes a table here
            continue
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            passed[DOT].append(name)
            continue
        try:
            found = entry.stat()
        except OSError:
            passed[BROKEN].append(name)
            continue
        if stat.S_ISDIR(found.st_mode):
            if len(inside) > DEPTH_MAX:
                passed[TOO_DEEP].append(name)
            elif (found.st_dev, found.st_ino) not in inside:
                _walk(folder / entry.name, f"{name}/", inside, wanted, images, passed)
        elif not stat.S_ISREG(found.st_mode):
            passed[SPECIAL].append(name)
        elif (suffix := os.path.splitext(entry.name)[1].lower()) in wanted:  # noqa: PTH122
            images.append(name)
        elif name != "split.csv":
            passed[_reason(suffix)].append(name)
    if prefix and len(images) == before:
        passed[EMPTY].append(prefix.rstrip("/"))


def _reason(suffix: str) -> str:
    if suffix in PLUGIN_SUFFIXES:
        return f"{suffix} photo ({PLUGIN_SUFFIXES[suffix]})"
    return f"{suffix} file" if suffix else "file without a suffix"


def passed_lines(passed: PassedOver) -> list[str]:
    """One line for each reason: how many files, the reason, and the first file."""
    return [
        f"passed over: {len(names)} x {why}"
        + (", … ({} first)" if len(names) > 1 else " ({})").format(one_line(names[0]))
        for why, names in passed.items()
    ]


def passed_text(passed: PassedOver) -> str:
    """The end of an error: what was passed over, and why; "" for nothing."""
    seen = "; ".join(f"{len(names)} x {why}" for why, names in passed.items())
    return f"; passed over: {seen}" if seen else ""


def nothing_found(root: Path, passed: PassedOver, inside: str = "<class>/<image>") -> UserError:
    """The error for a folder without a usable photo. It lists what was passed over, and why."""
    if loose := len(passed.get(LOOSE, ())):
        return UserError(
            f"{root} has {loose:,} photos and no class folder: put each photo into a folder that "
            "is named after its class, or list them in a split.csv"
        )
    return UserError(
        f"{root} holds no image: expected {root}/{inside} with "
        f"{', '.join(sorted(IMAGE_SUFFIXES))}{passed_text(passed)}"
    )
