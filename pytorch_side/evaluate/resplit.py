"""A split of the same photos as a data set of its own, made of links."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from swin2mcu.common.cli import UserError, write_atomic
from swin2mcu.common.dataset import ImageFolder


def write_linked(folder: ImageFolder, out: Path) -> None:
    """Make `out` a data set of its own: links to the class folders, and the folder's split.

    Raises UserError when `out` holds anything but such links.
    """
    if out.resolve() == folder.root.resolve():
        raise UserError(f"--out {out} is the data set itself: name a new folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the folder {out}: {error.strerror}; name a new one with --out"
        ) from error
    for name in folder.classes:
        link, target = out / name, (folder.root / name).resolve()
        if link.is_symlink() and link.resolve() == target:
            continue
        if link.exists() or link.is_symlink():
            raise UserError(f"{link} is in the way: name a new folder with --out")
        link.symlink_to(target, target_is_directory=True)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("file", "class", "source", "split"))
    for file, source, split in zip(folder.files, folder.sources, folder.splits, strict=True):
        writer.writerow((file, file.split("/")[0], source, split))
    write_atomic(out / "split.csv", stream.getvalue())
