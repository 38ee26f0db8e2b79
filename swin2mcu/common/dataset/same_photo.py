"""Find files of the same bytes: copies of a photo, or one photo under two classes.

Of two classes one is wrong, but which is unknown. Copies must not lie in two splits.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from swin2mcu.common.cli import UserError
from swin2mcu.common.damaged import DAMAGED
from swin2mcu.common.pixels import formats, open_upright

HEAD_BYTES = 4096  # most photos of one size differ in these


def equal_photos(root: Path, files: Sequence[str], labels: Sequence[str]) -> list[list[int]]:
    """The sets of files that have the same bytes and the same label: positions in `files`.

    Raises UserError naming both where two photos of the same bytes have different labels. Only
    files of equal size are opened. A photo that was saved again has other bytes; `evaluate audit`
    finds such copies by their pixels. Files that hold no photo, as empty ones of an interrupted
    download, are in no set and may be equal: whoever reads the photos reports them.
    """
    by_size: dict[int, list[int]] = defaultdict(list)
    paths = [f"{root}/{file}" for file in files]  # Path objects would cost half of the time
    for i, path in enumerate(paths):
        by_size[os.stat(path).st_size].append(i)  # noqa: PTH116
    sets = [*by_size.values()]
    for head in (True, False):
        by_digest: dict[bytes, list[int]] = defaultdict(list)
        for number, members in enumerate(sets):
            for i in members if len(members) > 1 else ():
                by_digest[_digest(paths[i], number, head)].append(i)
        sets = [members for members in by_digest.values() if len(members) > 1]
    pairs, equal = [], []
    for members in sets:
        first = members[0]
        other = next((i for i in members if labels[i] != labels[first]), None)
        if other is None:
            equal += [members] if _begins_as_photo(paths[first]) else []
        elif _is_photo(paths[first]):
            pairs.append((first, other))
    if pairs:
        a, b = pairs[0]
        raise UserError(
            f"{root}: {files[a]} and {files[b]} are the same photo under two classes"
            + (f", and {len(pairs) - 1} more are" if len(pairs) > 1 else "")
            + ": remove the wrong one"
        )
    return equal


def _is_photo(path: str) -> bool:
    try:
        open_upright(Path(path))
    except UserError:
        return False
    return True


def _begins_as_photo(path: str) -> bool:
    """Reads the head alone: to decode thousands of copies would take minutes."""
    try:
        with Image.open(path, formats=formats()):
            return True
    except DAMAGED:
        return False


def _digest(path: str, number: int, head: bool) -> bytes:
    """A digest of a file of the set `number`; those of other sets are never equal to it."""
    try:
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123
            data = stream.read(HEAD_BYTES) if head else stream.read()
    except OSError:
        data = os.fsencode(path)  # the decoder will report why it cannot be read
    return hashlib.blake2b(data, digest_size=16, salt=number.to_bytes(8, "little")).digest()
