"""What tests say of folders of photos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from swin2mcu.common.dataset import ImageFolder, scan_folder

Make = Callable[..., Path]
CLASSES = ("blight", "healthy")
HASH = "0123456789abcdef0123456789abcdef"


def numbered(pattern: str, count: int) -> list[str]:
    return [pattern.format(number) for number in range(count)]


def table(folder: ImageFolder) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(
            int(((folder.labels == number) & (folder.splits == split)).sum())
            for split in ("train", "val", "test")
        )
        for number, name in enumerate(folder.classes)
    }


def split_of(data: Path) -> dict[str, tuple[str, str]]:
    """File → its class and split."""
    folder = scan_folder(data)
    rows = zip(folder.files, folder.labels, folder.splits.tolist(), strict=True)
    return {file: (folder.classes[label], split) for file, label, split in rows}
