"""A digest of the photos that a training run reads, so that it never resumes on other photos.

    <cache>/photos-<key>.txt     the digest; the key covers the files' names, sizes and times

The cache of decoded images has the same key. Photos are read again only after they changed.
"""

from __future__ import annotations

import hashlib

from pytorch_side.data.cache import cache_folder, files_key
from swin2mcu.common.cli import write_atomic
from swin2mcu.common.dataset import ImageFolder


def photos_digest(folder: ImageFolder, split: str) -> str:
    """SHA-256 of the names and bytes of one split's files, in their order: 64 hex digits.

    It covers the files, not the decoded pixels. So it depends neither on the folder's place nor on
    the library that decodes the photos.
    """
    names = [folder.files[i] for i in folder.indices(split)]
    kept = cache_folder() / f"photos-{files_key(folder.root, names)}.txt"
    if kept.is_file() and len(text := kept.read_text(encoding="ascii", errors="replace")) == 64:
        return text
    digest = hashlib.sha256()
    for name in names:
        with (folder.root / name).open("rb") as stream:
            photo = hashlib.file_digest(stream, "sha256").hexdigest()
        digest.update(f"{name} {photo}\n".encode(errors="surrogateescape"))
    write_atomic(kept, digest.hexdigest())
    return digest.hexdigest()
