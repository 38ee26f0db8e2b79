"""Listing a data set, its splits, and the augmentations made from it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs
from PIL import Image

from pytorch_side.config import Augment, Config
from pytorch_side.data.augment import augment_image
from pytorch_side.data.cache import decode_images
from pytorch_side.data.loader import TrainBatches
from swin2mcu.common.card import SplitRule
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import load_split_pixels, name_of, scan_folder, spread
from swin2mcu.common.pixels import load_pixels

STILL = Augment(area_min=1.0, aspect=0.0, color=0.0, any_angle=0.0)


def test_without_a_table_the_split_is_seeded_and_reaches_every_class(
    make_folder: Callable[..., Path],
) -> None:
    root = make_folder(classes=3, images=20)
    first, again, other = (scan_folder(root, SplitRule(seed=seed)) for seed in (1, 1, 2))
    assert (first.splits == again.splits).all()
    assert (first.splits != other.splits).any()
    for split in ("train", "val", "test"):
        assert set(first.labels[first.indices(split)]) == {0, 1, 2}


@pytest.mark.parametrize("images", [3, 4, 9, 60])
def test_photos_added_later_move_none_from_train_to_test(
    make_folder: Callable[..., Path], images: int
) -> None:
    root = make_folder(classes=2, images=images, size=8)
    first = scan_folder(root)
    trained = {first.files[i] for i in first.indices("train")}
    for number in range(40):
        photo = (root / f"class_{number % 2}" / "00.png").read_bytes()
        added = photo + bytes([number])  # no copy, which would go where the photo lies
        (root / f"class_{number % 2}" / f"added {number}.png").write_bytes(added)
        later = scan_folder(root)
        assert not trained & {later.files[i] for i in later.indices("test")}
    assert len(later.indices("test")) > len(first.indices("test"))


def test_the_digest_of_train_data_is_of_every_photo_but_those_of_test(
    make_folder: Callable[..., Path],
) -> None:
    folder = scan_folder(make_folder())
    splits, labels, before = folder.splits, folder.labels, folder.train_data_digest()
    for split in ("train", "val", "test"):
        position = int(folder.indices(split)[0])
        assert (folder.without({position}).train_data_digest() == before) is (split == "test")
        moved, renamed = splits.copy(), labels.copy()
        moved[position] = "val" if split == "train" else "train"
        renamed[position] += 1
        assert dataclasses.replace(folder, splits=moved).train_data_digest() != before
        assert (dataclasses.replace(folder, labels=renamed).train_data_digest() == before) is (
            split == "test"
        )


def test_a_draw_keeps_to_its_shares(make_folder: Callable[..., Path]) -> None:
    """Of 600 files a share of 0.2 is 120, with a standard deviation of 9.8."""
    folder = scan_folder(
        make_folder(classes=2, images=300, size=4), SplitRule("given", 1, 0.1, 0.2)
    )
    assert abs(len(folder.indices("test")) - 120) < 4 * 9.8
    assert abs(len(folder.indices("val")) - 60) < 4 * 7.4


@pytest.mark.parametrize(
    ("images", "rule", "message"),
    [(2, SplitRule(), "too few for train"), (9, SplitRule("given", 0, 0.5, 0.5), "leave nothing")],
)
def test_a_draw_that_leaves_a_split_empty_is_refused(
    make_folder: Callable[..., Path], images: int, rule: SplitRule, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        scan_folder(make_folder(images=images), rule)


def test_split_csv_decides_and_unnamed_files_are_not_used(make_folder: Callable[..., Path]) -> None:
    root = make_folder(classes=2, images=3)
    lines = ["file,class,source,split"]
    for label in range(2):
        for number, split in enumerate(["train", "val"]):
            lines.append(f"class_{label}/{number:02}.png,class_{label},camera {label},{split}")
    (root / "split.csv").write_text("\n".join(lines))
    folder = scan_folder(root)
    assert folder.files == (
        "class_0/00.png",
        "class_0/01.png",
        "class_1/00.png",
        "class_1/01.png",
    )
    assert list(folder.splits) == ["train", "val"] * 2
    assert folder.sources[3] == "camera 1"
    with pytest.raises(UserError, match="no test images"):
        folder.indices("test")


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ("class_0/gone.png,class_0,s,train", "gone.png is missing"),
        ("class_0/00.png,class_0,s,holdout", "holdout"),
        ("class_0/00.png,class_1,s,train", "class_1"),
        ("class_0/00.png,class_0,s,train\nclass_0/00.png,class_0,s,val", "twice"),
        ("", "names no image"),
    ],
)
def test_a_wrong_split_csv_is_named(make_folder: Callable[..., Path], row: str, names: str) -> None:
    root = make_folder(classes=2, images=2)
    (root / "split.csv").write_text(f"file,class,source,split\n{row}\n")
    with pytest.raises(UserError, match=names):
        scan_folder(root)


def test_a_split_csv_from_excel_is_read(make_folder: Callable[..., Path]) -> None:
    """Its "CSV UTF-8" begins with a byte order mark and ends lines as Windows does."""
    root = make_folder(classes=2, images=1)
    (root / "class_0").rename(root / "ätzend")
    rows = ["file,class,split", "ätzend/00.png,ätzend,train", "class_1/00.png,class_1,val"]
    (root / "split.csv").write_bytes("\r\n".join(rows).encode("utf-8-sig"))
    assert list(scan_folder(root).splits) == ["val", "train"]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_of_another_separator_and_with_empty_rows_is_read(
    make_folder: Callable[..., Path], mark: str, end: str
) -> None:
    root = make_folder(classes=2, images=2)
    (root / "class_0/00.png").rename(root / "class_0/a; b, c.png")
    rows = [("file", "split", "class"), ("class_0/a; b, c.png", "train", "class_0"),
            ("class_0/01.png", "val", "class_0"), ("", "", ""),
            ("class_1/00.png", "train", "class_1"), ("", "", "")]  # fmt: skip
    lines = [mark.join(f'"{cell}"' if " " in cell else cell for cell in row) for row in rows]
    (root / "split.csv").write_bytes(end.join([*lines, ""]).encode())
    folder = scan_folder(root)
    assert folder.files == ("class_0/01.png", "class_0/a; b, c.png", "class_1/00.png")
    assert list(folder.splits) == ["val", "train", "train"]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("file,class,split\nclass_0/ä.png,class_0,train".encode("latin-1"), "is not UTF-8"),
        ("file,class,split\nclass_0/00.png,class_0,train".encode("utf-16"), "is not UTF-8"),
        (b"file,class,split\nclass_0/" + 200_000 * b"x", "field larger than"),
        (200_000 * b"x", "field larger than"),
        (b"", "lacks the column class, file"),
        (
            b"file|class|split\n",
            r"lacks the column class, file: its columns are 'file.class.split'",
        ),
        (b"File,class\n", "lacks the column file: its columns are 'File', 'class'"),
        (b"file,class,class\n", "has 2 columns class: keep one of them"),
        (b"file;class;group;group\n", "has 2 columns group: keep one of them"),
        (b"file,class\n,\n", "names no image"),
    ],
    ids=[
        "latin-1",
        "utf-16",
        "field",
        "title",
        "empty",
        "bars",
        "case",
        "twice",
        "groups",
        "no row",
    ],
)
def test_a_split_csv_that_is_no_table_is_named(
    make_folder: Callable[..., Path], content: bytes, names: str
) -> None:
    root = make_folder(classes=2, images=2)
    (root / "split.csv").write_bytes(content)
    with pytest.raises(UserError, match=rf"split\.csv.*{names}"):
        scan_folder(root)


def test_a_split_csv_that_is_no_file_is_never_ignored(make_folder: Callable[..., Path]) -> None:
    root = make_folder(images=3)
    (root / "split.csv").mkdir()
    with pytest.raises(UserError, match=r"split\.csv is not a plain file"):
        scan_folder(root)
    (root / "split.csv").rmdir()
    os.mkfifo(root / "split.csv")
    with pytest.raises(UserError, match=r"split\.csv is not a plain file"):
        scan_folder(root)
    (root / "split.csv").unlink()
    (root / "split.csv").symlink_to("gone.csv")
    with pytest.raises(UserError, match=r"cannot read .*split\.csv: No such file"):
        scan_folder(root)


def test_a_folder_without_what_training_needs_is_refused(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        scan_folder(tmp_path / "gone")
    (tmp_path / "empty" / "class_0").mkdir(parents=True)
    with pytest.raises(UserError, match="holds no image"):
        scan_folder(tmp_path / "empty")
    with pytest.raises(UserError, match="one class only"):
        scan_folder(make_folder(classes=1, name="single"))


def test_evaluation_pixels_are_those_of_tinyml(make_folder: Callable[..., Path]) -> None:
    root = make_folder(classes=2, images=20)
    folder = scan_folder(root)
    pixels, labels, files, corrupt = load_split_pixels(folder, "test", 24)
    assert corrupt == ()
    assert len(pixels) == len(labels) == len(files) == len(folder.indices("test"))
    assert (pixels[1] == load_pixels(root / files[1], 24, 24)).all()


def test_an_augmentation_is_its_seed() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3)).astype(np.uint8)
    settings = Augment()
    for seed in range(20):
        first = augment_image(image, seed, settings, (32, 24))
        assert [made.shape for made in first] == [(32, 32, 3), (24, 24, 3)]
        again = augment_image(image, seed, settings, (32, 24))
        assert all((a == b).all() for a, b in zip(first, again, strict=True))
    augmentations = {augment_image(image, seed, settings, (16,))[0].tobytes() for seed in range(50)}
    assert len(augmentations) == 50


def test_an_augmentation_that_changes_nothing_is_the_evaluation_image_turned(
    tmp_path: Path,
) -> None:
    """The same antialiased frequencies in training and in use: equal but for eight symmetries."""
    image = np.random.default_rng(0).integers(0, 256, (48, 48, 3)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "image.png")
    plain = load_pixels(tmp_path / "image.png", 20, 20)
    turned = [np.rot90(plain, k) for k in range(4)]
    symmetries = {x.tobytes() for t in turned for x in (t, t[:, ::-1])}
    seen = {augment_image(image, seed, STILL, (20,))[0].tobytes() for seed in range(100)}
    assert seen == symmetries


def test_a_full_turn_by_any_angle_keeps_the_picture_in_place() -> None:
    """A disc turned about its center is itself: the center is right to a fraction of a pixel."""
    y, x = np.mgrid[:64, :64] - 31.5
    disc = np.repeat(((x**2 + y**2 < 200) * 200).astype(np.uint8)[..., None], 3, axis=2)
    settings = structs.replace(STILL, any_angle=1.0)
    plain = augment_image(disc, 0, STILL, (64,))[0].astype(int)
    for seed in range(10):
        turned = augment_image(disc, seed, settings, (64,))[0].astype(int)
        assert np.abs(turned - plain).mean() < 2.0
        weights = turned[..., 0] / turned[..., 0].sum()
        assert abs((weights * x).sum()) < 0.1
        assert abs((weights * y).sum()) < 0.1


def test_color_moves_brightness_within_its_bounds() -> None:
    gray = np.full((32, 32, 3), 100, dtype=np.uint8)
    settings = structs.replace(STILL, color=0.3)
    means = [augment_image(gray, seed, settings, (16,))[0].mean() for seed in range(200)]
    assert 69 <= min(means) < 75
    assert 125 < max(means) <= 131


def test_an_epoch_depends_on_its_number_only(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config]
) -> None:
    images = decode_images(scan_folder(make_folder()))
    config = tiny_config({"augment.cached": 0})
    batches = TrainBatches(images, config, 32)
    list(batches.epoch(0))
    later = list(batches.epoch(3))
    alone = list(TrainBatches(images, config, 32).epoch(3))
    assert (
        len(later) == batches.steps == len(images.folder.indices("train")) // config.optimizer.batch
    )
    for a, b in zip(later, alone, strict=True):
        assert a.files == b.files
        assert (a.images == b.images).all()
    assert (later[0].images != next(iter(batches.epoch(4))).images).any()


def test_two_processes_share_one_global_batch(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config]
) -> None:
    images = decode_images(scan_folder(make_folder()))
    config = tiny_config()
    whole = next(iter(TrainBatches(images, config, 32).epoch(1)))
    halves = [
        next(iter(TrainBatches(images, config, 32, rank=rank, processes=2).epoch(1)))
        for rank in range(2)
    ]
    assert halves[0].files + halves[1].files == whole.files


def test_a_part_of_a_split_is_spread_over_its_classes() -> None:
    assert spread(10, None) == spread(10, 10) == spread(10, 99) == list(range(10))
    assert spread(10, 4) == [0, 2, 5, 7]
    assert spread(3, 1) == [0]


def test_a_data_set_has_a_name_also_as_a_table_or_as_the_current_folder(
    make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder(classes=2, images=3, size=8)
    monkeypatch.chdir(root)
    assert scan_folder(Path()).name == scan_folder(root).name == root.name != ""
    # A table that is not the folder's own may split it otherwise: records tell them apart.
    for name, called in (("split.csv", "images"), ("other.csv", "images/other.csv")):
        Path(name).write_text(
            "file,class\n"
            + "".join(f"class_{c}/0{n}.png,class_{c}\n" for c in (0, 1) for n in range(3))
        )
        table = root / name
        assert scan_folder(Path(name)).name == scan_folder(table).name == name_of(table) == called
