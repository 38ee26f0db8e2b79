"""Digests of the photos that a training run reads, so that it never resumes on other photos.

    <cache>/photos-<key>.json    the photos' digests; the key covers the files' names, sizes, times

The key does not cover the decoder, since the digests are of the files' bytes. Photos are read again
only after they changed.
"""

from __future__ import annotations

import hashlib
import json

from pytorch_side.data.cache import decoded_cache_folder, files_key
from swin2mcu.common.cli import write_atomic
from swin2mcu.common.dataset import ImageFolder
from swin2mcu.common.dataset.trained import UNREAD, hash_of
from swin2mcu.common.json_file import parse_json


def photo_hashes(folder: ImageFolder, split: str) -> list[str]:
    """SHA-256 of the bytes of each of a split's files, in their order: 64 hex digits each."""
    names = [folder.files[i] for i in folder.indices(split)]
    kept = decoded_cache_folder() / f"photos-{files_key(folder.root, names)}.json"
    if kept.is_file() and len(known := _read(kept.read_bytes())) == len(names):
        return known
    hashes = [hash_of(folder.root / name) for name in names]
    if UNREAD not in hashes:  # a photo that cannot be opened now is read again
        write_atomic(kept, json.dumps(hashes))
    return hashes


def photos_digest(folder: ImageFolder, split: str) -> str:
    """SHA-256 of the names and bytes of one split's files, in their order: 64 hex digits.

    It covers the files, not the decoded pixels. So it depends neither on the folder's place nor on
    the library that decodes the photos.
    """
    digest = hashlib.sha256()
    names = [folder.files[i] for i in folder.indices(split)]
    for name, photo in zip(names, photo_hashes(folder, split), strict=True):
        digest.update(f"{name} {photo}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _read(content: bytes) -> list[str]:
    try:
        known = parse_json(content.decode())
    except ValueError:  # damaged: the photos are read again
        return []
    whole = isinstance(known, list) and all(isinstance(one, str) for one in known)
    return known if whole else []
