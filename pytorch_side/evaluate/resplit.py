"""Make another split of the same photos a data set, which consists of links."""

from __future__ import annotations

from pathlib import Path

from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import ImageFolder
from swin2mcu.common.dataset.table import NAME, rows_of, write_table


def write_linked(folder: ImageFolder, out: Path) -> None:
    """Make `out` a data set: links to the folders of all photos, and the folder's split.

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
    for name in sorted({file.split("/")[0] for file in (*folder.files, *folder.unlabeled)}):
        link, target = out / name, (folder.root / name).resolve()
        if link.is_symlink() and link.resolve() == target:
            continue
        if link.exists() or link.is_symlink():
            raise UserError(f"{link} is in the way: name a new folder with --out")
        link.symlink_to(target, target_is_directory=True)
    write_table(out / NAME, rows_of(folder))
