"""Make another split of the same photos a data set, which consists of links."""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path

from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import ImageFolder
from swin2mcu.common.dataset.table import NAME, rows_of, write_table


def write_linked(folder: ImageFolder, out: Path) -> None:
    """Make `out` a data set: links to the folders of all photos, and the folder's split.

    Raises UserError when `out` lies in the data set, or holds anything but such links and a
    split.csv of their photos; nothing is written then.
    """
    root = folder.root.resolve()
    if out.resolve() == root:
        raise UserError(f"--out {out} is the data set itself: name a new folder")
    if out.resolve().is_relative_to(root):  # the links would be classes of the data set
        raise UserError(f"--out {out} lies in the data set {folder.root}: name a folder beside it")
    names = sorted({file.split("/")[0] for file in (*folder.files, *folder.unlabeled)})
    targets = {name: (folder.root / name).resolve() for name in names}
    # Another data set's photos may lie here, and its split.csv would be replaced.
    for path in sorted(out.iterdir()) if out.is_dir() else []:
        if path.name == NAME:
            known = path.is_file() and _names_only(path, targets)
        else:
            known = path.is_symlink() and path.resolve() == targets.get(path.name)
        if not known:
            raise UserError(f"{path} is in the way: name a new folder with --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the folder {out}: {error.strerror}; name a new one with --out"
        ) from error
    for name, target in targets.items():
        if not (out / name).is_symlink():
            (out / name).symlink_to(target, target_is_directory=True)
    write_table(out / NAME, rows_of(folder))


def _names_only(path: Path, names: Collection[str]) -> bool:
    """Whether all files of a table as write_table makes it are in the folders `names`."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            return all(
                (row.get("file") or "").split("/")[0] in names for row in csv.DictReader(stream)
            )
    except csv.Error:
        return False
