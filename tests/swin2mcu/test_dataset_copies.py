"""Files of the same bytes are drawn as one photo, or a line says that given splits tear them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from photo_trees import CLASSES, HASH, Make, numbered, table

from swin2mcu.common.card import SplitRule
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import ImageFolder, scan_folder
from swin2mcu.common.dataset.draw import units_of
from swin2mcu.common.dataset.groups import original
from swin2mcu.common.dataset.summary import crossing_groups, describe, torn_copies


def copy(root: Path, file: str, name: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes((root / file).read_bytes())


def split_of(folder: ImageFolder) -> dict[str, str]:
    return dict(zip(folder.files, folder.splits.tolist(), strict=True))


def test_copies_are_drawn_together_and_leave_the_photos_where_they_were(make: Make) -> None:
    """As those of a browser that downloads a folder twice."""
    root = make(*(f"{label}/IMG_{n}.png" for label in CLASSES for n in range(50)))
    alone = split_of(scan_folder(root))
    for file in alone:
        copy(root, file, file.replace(".png", " (1).png"))
    folder = scan_folder(root)
    both = split_of(folder)
    for file, split in alone.items():
        assert both[file] == both[file.replace(".png", " (1).png")] == split
    assert len(both) == 200 and torn_copies(folder) == []
    assert "same bytes" not in describe(folder)


def test_the_draw_of_a_folder_without_copies_is_that_of_older_versions(make: Make) -> None:
    """A model of an older version would else be scored on photos that it was trained on."""
    for farm in "abcde":
        for label in CLASSES:
            make(*numbered(f"{farm}/{label}/{{}}.png", 8))
    drawn = {}
    for seed, group_by, held in ((0, "none", ""), (0, "", ""), (1, "", "c")):
        folder = scan_folder(make(), SplitRule(seed=seed, group_by=group_by, test_group=held))
        for split in ("val", "test"):
            files = " ".join(folder.files[i] for i in folder.indices(split))
            drawn[group_by, held, split] = hashlib.sha256(files.encode()).hexdigest()[:8]
    assert drawn == {
        ("none", "", "val"): "3ebb325a",
        ("none", "", "test"): "a4993188",
        ("", "", "val"): "42021582",
        ("", "", "test"): "67f98f0c",
        ("", "c", "val"): "42021582",
        ("", "c", "test"): "93fe4aca",
    }


def test_only_equal_photos_are_taken_together(make: Make) -> None:
    """Files of one size and with one head are compared whole; broken files are no photos."""
    root = make(*(f"{label}/{n}.png" for label in CLASSES for n in range(9)))
    photo = (root / "blight/0.png").read_bytes()
    for n in range(6):
        (root / f"blight/tail {n}.png").write_bytes(photo + bytes(9000) + bytes([n // 2]))
        (root / f"blight/page {n}.png").write_bytes(b"<html>404</html>")
        (root / f"blight/empty {n}.png").touch()
    pairs = {tuple(f"blight/tail {n}.png" for n in pair) for pair in ((0, 1), (2, 3), (4, 5))}
    assert set(scan_folder(root).equal) == pairs


def test_copies_of_a_photo_that_is_in_a_group_join_it(make: Make) -> None:
    for farm in "abcd":
        for label in CLASSES:
            make(*numbered(f"{farm}/{label}/{{}}.png", 4))
    root = make()
    rows = [
        f"{file},{file.split('/')[1]},the farm called {file[0]}" for file in scan_folder(root).files
    ]
    for farm in "abcd":
        copy(root, f"{farm}/blight/1.png", f"more/{farm}.png")
        rows.append(f"more/{farm}.png,blight,")
    (root / "all.csv").write_text("\n".join(["file,class,group", *rows]))
    for seed in range(4):
        folder = scan_folder(root / "all.csv", SplitRule(seed=seed))
        assert torn_copies(folder) == crossing_groups(folder) == []


def test_copies_of_copies_are_one_unit() -> None:
    files = [f"{name}_jpg.rf.{HASH}.jpg" for name in ("aaa", "bb")]
    files += [f"bb_jpg.rf.{HASH[::-1]}.jpg", "z.jpg"]
    for by_photo in (True, False):
        units = units_of(files, [original(file) for file in files], by_photo, [[0, 1], [2, 3]])
        assert units == ["z.jpg"] * 4


def test_a_photo_of_two_farms_does_not_make_them_one(make: Make) -> None:
    """Of three farms one would be left out of three splits; the copies are counted instead."""
    for farm in "abc":
        for label in CLASSES:
            make(*numbered(f"{farm}/{label}/{{}}.png", 4))
    root = make()
    before = scan_folder(root)
    for farm in "bc":
        (root / f"{farm}/blight/1.png").write_bytes((root / "a/blight/1.png").read_bytes())
    folder = scan_folder(root)
    assert (folder.splits == before.splits).all() and crossing_groups(folder) == []
    assert "warning: 1 photo in more than one split, as files of the same bytes" in describe(folder)


def test_equal_copies_of_roboflow_stay_together(make: Make) -> None:
    """A photo that was uploaded twice has two names, each with its own copies."""
    for label in CLASSES:
        for photo in range(12):
            make(*(f"{label}/IMG_{photo}_jpg.rf.{n}{HASH[1:]}.png" for n in range(2)))
    root = make()
    for file in scan_folder(root).files:
        copy(root, file, file.replace("_jpg", "-1_jpg"))
    for rule in (SplitRule(), SplitRule(drawn_by="photo")):
        folder = scan_folder(root, rule)
        unit = np.array([file.split("_")[1].split("-")[0] for file in folder.files])
        for label in range(2):
            for photo in set(unit):
                own = (unit == photo) & (folder.labels == label)
                assert own.sum() == 4 and len(set(folder.splits[own])) == 1


@pytest.mark.parametrize("by_table", [True, False])
def test_given_splits_that_tear_copies_are_told_and_kept(make: Make, by_table: bool) -> None:
    root = make(*(f"{split}/{label}/{n}.png" for split in ("train", "val", "test")
                  for label in CLASSES for n in range(4)))  # fmt: skip
    copy(root, "test/blight/0.png", "train/blight/0 (1).png")
    copy(root, "val/healthy/0.png", "train/healthy/c.png")
    copy(root, "train/blight/2.png", "train/blight/d.png")
    data = root
    if by_table:
        places = [(file, *file.split("/")[:2]) for file in scan_folder(root).files]
        rows = [f"{file},{label},{split}" for file, split, label in places]
        data = root / "all.csv"
        data.write_text("\n".join(["file,class,split", *rows]))
    folder = scan_folder(data)
    assert all(file.startswith(split) for file, split in split_of(folder).items())
    assert (
        "warning: 2 photos in more than one split, as files of the same bytes (test/blight/0.png "
        "and train/blight/0 (1).png first): scores are too good"
    ) in describe(folder)
    kept = folder.at([i for i, file in enumerate(folder.files) if "test/" not in file])
    assert "1 photo in more than one split, as files" in describe(kept)
    assert "the score on val is too good" in describe(kept)


def test_a_class_of_one_photo_and_its_copies_is_one_line(make: Make) -> None:
    root = make(*(f"{label}/{n}.png" for label in CLASSES for n in range(5)), "rust/0.png")
    for n in range(1, 5):
        copy(root, "rust/0.png", f"rust/{n}.png")
    with pytest.raises(UserError, match=r"\(rust\) has 1 different images or groups, too few for"):
        scan_folder(root)
    assert table(scan_folder(make(*numbered("rust/more {}.png", 4))))["rust"][0] >= 1
