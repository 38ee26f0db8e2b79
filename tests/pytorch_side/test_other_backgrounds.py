"""Leaves on the backgrounds of other classes' photos, as an augmentation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image

from pytorch_side.config import Augment, Config, with_values
from pytorch_side.data import backgrounds, cutout
from pytorch_side.data.backgrounds import photo_of, training_images
from pytorch_side.data.cache import DecodedImages
from pytorch_side.data.loader import TrainBatches
from pytorch_side.distillation.cache_identity import expectation
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import SplitRule, scan_folder

TABLES = {"blight": (200, 60, 60), "healthy": (60, 60, 200), "rust": (190, 190, 190)}
SIZE = 96
CORNER = (2, 2)  # always background


def leaf_photo(table: tuple[int, int, int], draw: np.random.Generator) -> np.ndarray:
    """A green disk on a table of its class's color."""
    photo = np.full((SIZE, SIZE, 3), table, dtype=np.int64)
    rows, columns = np.ogrid[:SIZE, :SIZE]
    center = draw.integers(40, 56, 2)
    disk = (rows - center[0]) ** 2 + (columns - center[1]) ** 2 < draw.integers(20, 28) ** 2
    photo[disk] = (40, 150, 40)
    return (photo + draw.integers(-4, 5, photo.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    for name, table in TABLES.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(8):
            path = tmp_path / "photos" / name / f"{i}.png"
            Image.fromarray(leaf_photo(table, draw)).save(path)
    return tmp_path / "photos"


@pytest.fixture
def config(tiny_config: Callable[..., Config]) -> Config:
    return tiny_config({"augment.backgrounds": 0.5})


def behind(photo: np.ndarray) -> str:
    """The class whose table is in the photo's corner."""
    distance = {name: np.abs(photo[CORNER] - np.array(t)).sum() for name, t in TABLES.items()}
    return min(distance, key=lambda name: distance[name])


def test_the_leaf_stays_and_the_table_is_of_another_class(data: Path, config: Config) -> None:
    images = training_images(scan_folder(data), config)
    folder, train = images.folder, images.folder.indices("train")
    swapped = 0
    for position in train:
        own = folder.classes[folder.labels[position]]
        found = set()
        for seed in range(40):
            made = photo_of(images, train, int(position), seed, config.augment)
            again = photo_of(images, train, int(position), seed, config.augment)
            assert np.array_equal(made, again)
            assert np.abs(made[48, 48].astype(int) - images[int(position)][48, 48]).max() <= 1
            swapped += behind(made) != own
            found.add(behind(made))
            always = photo_of(images, train, int(position), seed, Augment(backgrounds=1.0))
            assert behind(always) != own
        assert found == set(TABLES)
    # Half of them: 40 draws of each photo, six standard errors.
    share = swapped / (40 * len(train))
    assert abs(share - 0.5) < 6 * 0.5 / np.sqrt(40 * len(train))


def test_without_the_share_no_leaf_is_cut(
    data: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutout, "small_mask", None)
    images = training_images(scan_folder(data), with_values(config, {"augment.backgrounds": 0.0}))
    assert images.layers is None
    train = images.folder.indices("train")
    assert photo_of(images, train, int(train[0]), 0, Augment()) is not None


def test_an_interrupted_cutting_goes_on(
    data: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, calls = cutout.small_mask, []

    def counted(photo: np.ndarray) -> cutout.Mask | None:
        calls.append(1)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return cut(photo)

    folder = scan_folder(data)
    monkeypatch.setattr(backgrounds, "CHUNK", 4)
    monkeypatch.setattr(backgrounds.os, "cpu_count", lambda: 1)
    monkeypatch.setattr(cutout, "small_mask", counted)
    with pytest.raises(KeyboardInterrupt):
        training_images(folder, config)
    (part,) = backgrounds.decoded_cache_folder().glob("*.part")
    done, first = part.stat().st_size // np.prod(backgrounds.SHAPE), len(calls)
    assert done >= 8  # two chunks
    images = training_images(folder, config)
    assert images.layers is not None
    assert len(calls) - first == len(images.layers) - done
    monkeypatch.setattr(cutout, "small_mask", cut)
    for row, layer in enumerate(images.layers):
        position = int(folder.indices("train")[row])
        assert np.array_equal(layer, backgrounds._layer(images[position]))
    training_images(folder, config)
    assert not list(backgrounds.decoded_cache_folder().glob("*.part"))
    (whole,) = backgrounds.decoded_cache_folder().glob("cutouts-*.bin")
    content = whole.read_bytes()
    whole.write_bytes(content[:-1])  # as a power cut leaves it
    training_images(folder, config)
    assert whole.read_bytes() == content


def test_leaves_are_cut_anew_after_an_update_of_the_decoder(
    data: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    training_images(scan_folder(data), config)
    monkeypatch.setattr(PIL, "__version__", "99.0.0")
    training_images(scan_folder(data), config)
    assert len([*backgrounds.decoded_cache_folder().glob("cutouts-*.bin")]) == 2


def test_photos_without_a_leaf(tmp_path: Path, config: Config) -> None:
    """One is kept as it is, and none at all is one line."""
    draw = np.random.default_rng(0)
    for name in TABLES:
        (tmp_path / name).mkdir()
        for i in range(6):
            level = draw.integers(120, 124, (SIZE, SIZE, 3), dtype=np.uint8)
            Image.fromarray(level).save(tmp_path / name / f"{i}.png")
    with pytest.raises(UserError, match=r"no leaf could be cut out.*augment\.backgrounds = 0"):
        training_images(scan_folder(tmp_path), config)
    for name, table in list(TABLES.items())[:2]:
        Image.fromarray(leaf_photo(table, draw)).save(tmp_path / name / "leaf.png")
    rule = SplitRule(val_share=0.1, test_share=0.1)
    for seed in range(9):  # until both leaves are in train
        images = training_images(scan_folder(tmp_path, replace(rule, seed=seed)), config)
        train = images.folder.indices("train")
        cut = [int(i) for i in train if images.layer(int(i))[..., 3].any()]
        if len(cut) == 2:
            break
    assert len(cut) == 2
    bare = next(int(i) for i in train if i not in cut)
    for seed in range(20):
        made = photo_of(images, train, bare, seed, config.augment)
        assert np.array_equal(made, images[bare])


def test_teacher_outputs_are_of_the_same_photos(data: Path, config: Config) -> None:
    """A cache that was made without other backgrounds is not taken for one that was."""
    config = with_values(config, {"teacher.init": sys.executable, "augment.cached": 2})
    plain = with_values(config, {"augment.backgrounds": 0.0})
    folder = scan_folder(data)
    made = [expectation(c, training_images(folder, c)) for c in (plain, config)]
    assert "backgrounds" not in made[0]["views"]
    assert made[1]["views"]["backgrounds"] == 0.5
    assert made[0]["pixels"] != made[1]["pixels"]


def test_batches_hold_them(data: Path, config: Config) -> None:
    folder = scan_folder(data)
    plain, swapped = (
        next(TrainBatches(training_images(folder, c), c, 32).epoch(0))
        for c in (with_values(config, {"augment.backgrounds": 0.0}), config)
    )
    assert plain.files == swapped.files
    differ = (plain.images != swapped.images).flatten(1).any(dim=1)
    assert 0 < int(differ.sum()) < len(differ)
    assert plain.labels.tolist() == swapped.labels.tolist()
    assert isinstance(training_images(folder, config), DecodedImages)
