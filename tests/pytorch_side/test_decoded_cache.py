"""Decoded photos: kept on disk, made again after a change or damage; corrupt ones are counted."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image, ImageOps

from pytorch_side.data import cache, photos
from pytorch_side.data.cache import decode_images, decoded_cache_folder
from pytorch_side.evaluate.audit import fingerprint
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import load_split_pixels, scan_folder
from swin2mcu.common.paths import ROOT
from swin2mcu.common.pixels import open_upright


def test_corrupt_images_are_named_counted_and_left_out(
    make_folder: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder(classes=3, images=20)
    folder = scan_folder(root)
    victim = folder.files[folder.indices("train")[0]]
    (root / victim).write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        images = decode_images(scan_folder(root))
    assert images.corrupt == (victim,)
    assert victim in caplog.text
    assert "1 of" in caplog.text
    assert len(images.folder.files) == len(folder.files) - 1
    assert victim not in images.folder.files
    for position in images.folder.indices("train"):  # the others kept their own pixels
        name = images.folder.files[position]
        assert (images[int(position)] == np.asarray(Image.open(root / name))).all()


def test_many_corrupt_images_are_an_error(make_folder: Callable[..., Path]) -> None:
    root = make_folder(classes=2, images=20)
    for number in range(6):
        (root / f"class_0/{number:02}.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="more than 5%"):
        decode_images(scan_folder(root))


def test_damaged_photos_are_counted_alike_by_split_and_at_once(
    make_folder: Callable[..., Path],
) -> None:
    """Training reads one split after the other; the audit reads all, and may not refuse more."""
    root = make_folder(classes=2, images=20)
    folder = scan_folder(root)
    train, val = (folder.indices(split).tolist() for split in ("train", "val"))
    for position in (*train[:2], val[0]):
        (root / folder.files[position]).write_bytes(b"no image")
    assert len(decode_images(folder).corrupt) == 2
    assert len(load_split_pixels(folder, "val", 8)[3]) == 1
    assert fingerprint(folder).digests.count("") == 3
    (root / folder.files[train[2]]).write_bytes(b"no image")
    for read in (decode_images, fingerprint):
        with pytest.raises(UserError, match=r"3 of 40 images .* more than 5%"):
            read(scan_folder(root))


def test_a_changed_image_is_decoded_again(make_folder: Callable[..., Path]) -> None:
    """Also when its size in bytes stays the same, as an uncompressed file's does."""
    root = make_folder(classes=2, images=20)
    for path in sorted(root.glob("*/*.png")):
        Image.open(path).save(path.with_suffix(".bmp"))
        path.unlink()
    folder = scan_folder(root)
    position = int(folder.indices("train")[0])
    before = decode_images(folder)[position].copy()
    changed, now = root / folder.files[position], time.time_ns()
    Image.new("RGB", (40, 40), (1, 2, 3)).save(changed)
    os.utime(changed, ns=(now, now + 4 * 10**9))  # some file systems keep whole seconds
    after = decode_images(folder)[position]
    assert (before != after).any()
    assert (after == (1, 2, 3)).all()


@pytest.mark.parametrize("newer", ["decoder", "Pillow"])
def test_photos_are_decoded_anew_after_an_update(
    make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, newer: str
) -> None:
    """Another version may give other pixels; those of the old one stay, and are no error."""
    folder = scan_folder(make_folder())
    position = int(folder.indices("train")[0])
    before = decode_images(folder)[position].copy()
    monkeypatch.setattr(cache, "open_upright", lambda path: ImageOps.invert(open_upright(path)))
    assert (decode_images(folder)[position] == before).all()
    if newer == "decoder":
        monkeypatch.setattr(cache, "DECODER", cache.DECODER + 1)
    else:
        monkeypatch.setattr(PIL, "__version__", "99.0.0")
    assert (decode_images(folder)[position] == 255 - before).all()
    assert len(list(decoded_cache_folder().glob("decoded-*.bin"))) == 2


def test_an_update_of_the_decoder_reads_no_file_again_for_its_hash(
    make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scan_folder(make_folder())
    before = photos.photo_hashes(folder, "train")
    monkeypatch.setattr(PIL, "__version__", "99.0.0")
    monkeypatch.setattr(photos, "hash_of", None)
    assert photos.photo_hashes(folder, "train") == before


@pytest.mark.parametrize("suffix", [".json", ".bin"])
@pytest.mark.parametrize("left", [b"", b"[]", b'{"images": [["a", 0, 1'])
def test_a_damaged_cache_is_made_again(
    make_folder: Callable[..., Path], suffix: str, left: bytes
) -> None:
    """As a power cut leaves it; also what a killed command left beside it is removed."""
    folder = scan_folder(make_folder())
    images = decode_images(folder)
    before = {int(i): images[int(i)].copy() for i in folder.indices("train")}
    (binary,) = decoded_cache_folder().glob("decoded-*.bin")
    part = binary.with_name(f".{binary.name}.x7{binary.suffix}")
    part.write_bytes(b"x")
    binary.with_suffix(suffix).write_bytes(left)
    after = decode_images(folder)
    assert all(np.array_equal(after[i], image) for i, image in before.items())
    assert not part.exists()


def test_a_user_without_name_and_home_has_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that was given a number for its user."""

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("SWIN2MCU_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert decoded_cache_folder() == ROOT / "build" / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert decoded_cache_folder() == Path("/elsewhere/swin2mcu")
