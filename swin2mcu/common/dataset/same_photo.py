"""Find the same file under two classes: one of the labels is wrong, but which is unknown."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from swin2mcu.common.cli import UserError
from swin2mcu.common.pixels import open_upright

HEAD_BYTES = 4096  # most photos of one size differ in these


def check_same_photo(root: Path, files: Sequence[str], labels: Sequence[str]) -> None:
    """Raise UserError naming both where two files of the same bytes have different labels.

    Only files of equal size are opened. A photo that was saved again has other bytes; `evaluate
    audit` finds such copies by their pixels. Files that hold no photo, as empty ones of an
    interrupted download, may be equal: whoever reads the photos reports them.
    """
    by_size: dict[int, list[int]] = defaultdict(list)
    paths = [f"{root}/{file}" for file in files]  # Path objects would cost half of the time
    for i, path in enumerate(paths):
        by_size[os.stat(path).st_size].append(i)  # noqa: PTH116
    for head in (True, False):
        by_digest: dict[bytes, list[int]] = defaultdict(list)
        for size, members in by_size.items():
            if len({labels[i] for i in members}) > 1:
                for i in members:
                    by_digest[_digest(paths[i], size, head)].append(i)
        by_size = dict(enumerate(by_digest.values()))  # only those with equal digests remain
    pairs = []
    for members in by_size.values():
        first = members[0]
        other = next((i for i in members if labels[i] != labels[first]), None)
        if other is not None and _is_photo(paths[first]):
            pairs.append((first, other))
    if pairs:
        a, b = pairs[0]
        raise UserError(
            f"{root}: {files[a]} and {files[b]} are the same photo under two classes"
            + (f", and {len(pairs) - 1} more are" if len(pairs) > 1 else "")
            + ": remove the wrong one"
        )


def _is_photo(path: str) -> bool:
    try:
        open_upright(Path(path))
    except UserError:
        return False
    return True


def _digest(path: str, size: int, head: bool) -> bytes:
    try:
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123
            data = stream.read(HEAD_BYTES) if head else stream.read()
    except OSError:
        data = os.fsencode(path)  # the decoder will report why it cannot be read
    return hashlib.blake2b(data, digest_size=16, salt=size.to_bytes(8, "little")).digest()
