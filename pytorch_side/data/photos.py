"""A digest of the photos that a training reads, so that it is never resumed on others.

    <cache>/photos-<key>.txt     the digest, for files of the names, sizes and times in the key

The key is that of the cache of decoded images: photos are read again only after they changed.
"""

from __future__ import annotations

import hashlib

from pytorch_side.data.cache import cache_folder, files_key
from swin2mcu.common.cli import write_atomic
from swin2mcu.common.dataset import ImageFolder


def photos_digest(folder: ImageFolder, split: str) -> str:
    """SHA-256 of the names and bytes of one split's files, in their order: 64 hex digits.

    It is of the files and not of their pixels, so it is the same wherever the photos lie and
    whatever library decodes them.
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
