"""Every folder that people have gives the right table, or one clear line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swin2mcu.common.card import SplitRule
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import ImageFolder, scan_folder
from swin2mcu.common.dataset.groups import original
from swin2mcu.common.dataset.summary import crossing_groups, describe
from swin2mcu.common.dataset.table import rows_of, write_table
from swin2mcu.split import main as split_command
from swin2mcu.unseen import groups_of

Make = Callable[..., Path]
CLASSES = ("blight", "healthy")
HASH = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A function that makes photos, no two alike, under the names it is given."""
    draw = np.random.default_rng(0)

    def write(*files: str, root: Path = tmp_path / "data") -> Path:
        for file in files:
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = draw.integers(0, 256, (6, 5, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(path, "PNG")
        return root

    return write


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


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train", "valid", "test"), ("train", "val", "test")),  # Roboflow
        (("train", "val", "test"), ("train", "val", "test")),
        (("training_set", "Validation", "test_set"), ("train", "val", "test")),
    ],
)
@pytest.mark.parametrize("form", ["{split}/{name}/{{}}.png", "{name}/{split}/{{}}.png"])
@pytest.mark.parametrize("around", ["", "unzipped/"])
def test_trees_of_splits(
    make: Make, names: tuple[str, ...], splits: tuple[str, ...], form: str, around: str
) -> None:
    for name, count in zip(names, (5, 2, 3), strict=True):
        for label in CLASSES:
            make(*numbered(around + form.format(split=name, name=label), count))
    root = make()
    assert table(scan_folder(root)) == dict.fromkeys(CLASSES, (5, 2, 3))
    folder = scan_folder(root)
    for file, split in zip(folder.files, folder.splits, strict=True):
        assert names[splits.index(split)] in file.split("/")


def test_a_test_that_is_missing_is_drawn_out_of_train(make: Make) -> None:
    """fastai's train and valid: val stands, and test has no photo of it."""
    for label in CLASSES:
        make(*numbered(f"train/{label}/{{}}.png", 20), *numbered(f"valid/{label}/{{}}.png", 4))
    folder = scan_folder(make())
    for counts in table(folder).values():
        assert counts[1] == 4 and counts[0] + counts[2] == 20 and counts[2] >= 1
    held = [folder.files[i] for i in folder.indices("test")]
    assert all(file.startswith("train/") for file in held)


def test_edge_impulse_has_its_labels_in_file_names(make: Make) -> None:
    for label in CLASSES:
        make(*numbered(f"training/{label}.IMG_{{}}.jpg.3ab.jpg", 10))
        make(*numbered(f"testing/{label}.IMG_{{}}.jpg.4cd.jpg", 3))
    (make() / "info.labels").write_text("{}")
    folder = scan_folder(make())
    assert folder.classes == CLASSES
    for counts in table(folder).values():
        assert counts[2] == 3 and counts[0] + counts[1] == 10 and counts[1] >= 1
    assert {folder.files[i].split("/")[0] for i in folder.indices("test")} == {"testing"}


@pytest.mark.parametrize("inner", [("", "more/"), ("close up/", "far/"), ("day 1/", "day 2/")])
def test_folders_below_a_class_belong_to_it(make: Make, inner: tuple[str, str]) -> None:
    own = inner if inner[0] != "close up/" else None  # else each class has its own two
    for label in CLASSES:
        for part in own or (f"{label} a/", f"{label} b/"):
            make(*numbered(f"{label}/{part}{{}}.png", 4))
    folder = scan_folder(make())
    assert {name: sum(counts) for name, counts in table(folder).items()} == dict.fromkeys(
        CLASSES, 8
    )


@pytest.mark.parametrize(
    "farms", [("dikumari", "kasaisa", "shaffa"), ("plot A", "plot B", "plot C")]
)
def test_folders_above_the_classes_are_groups_that_stay_together(
    make: Make, farms: tuple[str, ...]
) -> None:
    for farm in farms:
        for label in CLASSES:
            make(*numbered(f"{farm}/{label}/{{}}.png", 4))
    folder = scan_folder(make())
    assert folder.classes == CLASSES
    assert table(folder) == dict.fromkeys(CLASSES, (4, 4, 4))
    assert crossing_groups(folder) == []
    for farm in farms:
        held = scan_folder(make(), SplitRule(test_group=farm))
        assert {held.files[i].split("/")[0] for i in held.indices("test")} == {farm}
        # Two farms are left: a val of whole groups would take half of what there is to learn from.
        assert farm not in crossing_groups(held)
        assert len(held.indices("train")) > len(held.indices("val"))
        assert {held.files[i].split("/")[0] for i in held.indices("train")} == {*farms} - {farm}
    with pytest.raises(UserError, match=r"no group is called 'x'; there are .*, "):
        scan_folder(make(), SplitRule(test_group="x"))
    by_photo = scan_folder(make(), SplitRule(group_by="none"))
    assert min(map(min, table(by_photo).values())) >= 1 and len(set(by_photo.groups)) == 1


def test_folders_of_two_names_each_are_asked_about(make: Make) -> None:
    """Two diseases indoor and outdoor, or two farms with two classes: only the person knows."""
    for label in CLASSES:
        make(*numbered(f"{label}/indoor/{{}}.png", 5), *numbered(f"{label}/outdoor/{{}}.png", 5))
    with pytest.raises(UserError, match="may be blight, healthy or indoor, outdoor: say which"):
        scan_folder(make())
    inner = scan_folder(make(), level="inner")
    assert inner.classes == ("indoor", "outdoor") and set(inner.groups) == {*CLASSES}
    assert scan_folder(make(), level="outer").classes == CLASSES


@pytest.mark.parametrize("outer", [("blight", "healthy", "rust"), ("plot A", "plot B")])
def test_a_guess_of_the_class_level_is_told(make: Make, outer: tuple[str, ...]) -> None:
    for name in outer:
        make(*numbered(f"{name}/indoor/{{}}.png", 5), *numbered(f"{name}/outdoor/{{}}.png", 5))
    root = make()
    assert (
        "  classes are the inner folders indoor, outdoor; the outer "
        f"{', '.join(outer)} are groups (if not: swin2mcu split {root} --classes outer --write)"
    ) in describe(scan_folder(root)).splitlines()
    assert split_command([str(root), "--classes", "outer", "--write"]) == 0
    assert "inner" not in describe(scan_folder(root))
    assert scan_folder(root).classes == outer


def test_folders_that_may_be_either_are_asked_about(make: Make) -> None:
    make(*numbered("tomato/leaf/{}.png", 4), *numbered("tomato/fruit/{}.png", 4))
    make(*numbered("potato/leaf/{}.png", 4), *numbered("potato/tuber/{}.png", 4))
    with pytest.raises(UserError, match="may be potato, tomato or fruit, leaf, tuber"):
        scan_folder(make())
    assert scan_folder(make(), level="outer").classes == ("potato", "tomato")
    assert split_command([str(make()), "--classes", "outer", "--write"]) == 0
    assert scan_folder(make()).classes == ("potato", "tomato")


@pytest.mark.parametrize(
    ("files", "line"),
    [
        (["train/a/1.png", "test/a/2.png", "b/3.png"], "the folder of a split, but b/3.png is not"),
        (["train/a/1.png", "train/test/2.png"], "lies in two splits, test and train"),
        (["a/1.png", "test/2.png"], "test/2.png is in the folder of a split, but a/1.png is not"),
        (["train/1.png", "test/2.png"], "holds no image"),
        (["1.png", "2.png"], "holds no image"),
        (["train/images/a_jpg.rf.0123456789abcdef0.jpg"], "one class only"),
    ],
)
def test_layouts_that_say_nothing_are_one_line(make: Make, files: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        scan_folder(make(*files))


def test_unlabeled_photos_are_reserved(make: Make) -> None:
    make(*(f"{label}/{n}.png" for label in CLASSES for n in range(5)), "unlabeled/deep/x.png")
    folder = scan_folder(make("Unlabelled/y.png"))
    assert folder.classes == CLASSES and not folder.passed_over
    assert folder.unlabeled == ("Unlabelled/y.png", "unlabeled/deep/x.png")
    assert "without a label: 2 photos" in describe(folder)
    table = make() / "few.csv"
    write_table(table, rows_of(folder))
    assert scan_folder(table).unlabeled == folder.unlabeled
    assert scan_folder(table).files == folder.files
    table.write_text(table.read_text().replace(",,,unlabeled", ",rust,,unlabeled"))
    with pytest.raises(UserError, match="is unlabeled and has the class rust"):
        scan_folder(table)


def test_what_is_passed_over_is_counted_and_named(make: Make) -> None:
    root = make(*(f"{label}/{n}.JPG" for label in CLASSES for n in range(5)), "blight/six.jfif")
    (root / "blight/._1.jpg").write_bytes(b"resource fork")
    (root / "blight/notes.txt").write_text("text")
    (root / "blight/old.dng").write_text("raw")
    (root / "rust").mkdir()
    (root / "healthy/gone.jpg").symlink_to("nowhere.jpg")
    (root / "healthy/again").symlink_to(root, target_is_directory=True)
    os.mkfifo(root / "healthy/pipe.jpg")
    make("cover.png")
    folder = scan_folder(root)
    assert len(folder.files) == 11 and folder.classes == CLASSES
    assert folder.passed_over == {
        "dot file": ("blight/._1.jpg",),
        ".txt file": ("blight/notes.txt",),
        ".dng file": ("blight/old.dng",),
        "broken link": ("healthy/gone.jpg",),
        "pipe, socket or device": ("healthy/pipe.jpg",),
        "folder without a photo": ("rust",),
        "photo in no class folder": ("cover.png",),
    }
    text = describe(folder)
    assert "passed over: 1 x broken link (healthy/gone.jpg)" in text
    assert "fewer than 10 test photos of blight, healthy" in text


def test_a_name_that_is_not_utf8_is_a_photo_like_any_other(
    make: Make, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    root = make(*(f"{label}/{n}.png" for label in CLASSES for n in range(5)))
    odd = os.fsdecode(b"r\xf6st")
    (root / "blight").rename(root / odd)
    (root / odd / "1.png").rename(root / odd / os.fsdecode(b"\xe4\xff.png"))
    folder = scan_folder(root)
    assert folder.classes == ("healthy", r"r\xf6st") and len(folder.files) == 10
    assert folder.train_data_digest()
    assert split_command([str(root), "--write"]) == 0
    assert rb"r\xf6st" in capsysbinary.readouterr().out
    again = scan_folder(root)
    assert again.files == folder.files and (again.splits == folder.splits).all()
    with (root / "split.csv").open("ab") as stream:
        stream.write(b"r\xf6st/gone.png,r\xf6st,,train\n")
    with pytest.raises(UserError, match="is not UTF-8"):
        scan_folder(root)


def test_the_same_photo_under_two_classes_names_both(make: Make) -> None:
    root = make(*(f"{label}/{n}.png" for label in CLASSES for n in range(5)))
    (root / "healthy/copy.png").write_bytes((root / "healthy/1.png").read_bytes())
    scan_folder(root)  # twice in one class is the audit's business
    (root / "blight/wrong.png").write_bytes((root / "healthy/1.png").read_bytes())
    with pytest.raises(UserError, match=r"blight/wrong\.png and healthy/1\.png are the same photo"):
        scan_folder(root)


def test_roboflow_copies_stay_together(make: Make) -> None:
    for label in CLASSES:
        for photo in range(12):
            make(*(f"{label}/IMG_{photo}_jpg.rf.{n}{HASH[1:]}.jpg" for n in range(3)))
    folder = scan_folder(make())
    assert crossing_groups(folder) == [] and len(set(folder.groups)) == 24
    alone = scan_folder(make(), SplitRule(group_by=r"rf\.(.)"))  # by copy: the photos are torn
    assert len(set(alone.groups)) == 3


def test_a_part_of_the_file_name_can_be_the_group(make: Make) -> None:
    for label in CLASSES:
        make(*(f"{label}/plant{plant}_{n}_{label}.png" for plant in range(6) for n in range(3)))
    folder = scan_folder(make(), SplitRule(group_by=r"plant(\d+)"))
    assert set(folder.groups) == set("012345") and crossing_groups(folder) == []
    assert {len(set(np.array(folder.groups)[folder.splits == s])) for s in ("val", "test")} == {1}
    for rule, line in (("(", "nor a regular expression"), ("day", "a group for none of 36 photos")):
        with pytest.raises(UserError, match=line):
            scan_folder(make(), SplitRule(group_by=rule))
    with pytest.raises(UserError, match="--group-by folder finds a group for none"):
        scan_folder(make(), SplitRule(group_by="folder"))


def test_a_table_gives_class_and_group_where_folders_do_not(make: Make) -> None:
    root = make(*numbered("photos/{}.png", 12))
    lines = ["file,class,group"]
    lines += [f"photos/{n}.png,{CLASSES[n % 2]},farm {n // 4}" for n in range(12)]
    (root / "labels.csv").write_text("\n".join(lines))
    make("photos/more.png")
    folder = scan_folder(root / "labels.csv")
    assert folder.passed_over["photo that labels.csv does not name"] == ("photos/more.png",)
    assert folder.root == root and folder.classes == CLASSES
    assert table(folder) == dict.fromkeys(CLASSES, (2, 2, 2)) and crossing_groups(folder) == []


def test_a_column_of_the_table_is_no_regular_expression(make: Make) -> None:
    root = make(*numbered("farm {}.png", 12))
    lines = ["file,class,farm,day"]
    lines += [f"farm {n}.png,{CLASSES[n % 2]},{'abc'[n // 4]}," for n in range(12)]
    (root / "split.csv").write_text("\n".join(lines))
    folder = scan_folder(root, SplitRule(group_by="farm"))
    assert set(folder.groups) == set("abc") and crossing_groups(folder) == []
    assert set(scan_folder(root, SplitRule(group_by="farm .")).groups) > {"farm 1", "farm 2"}
    with pytest.raises(UserError, match=r"--group-by day: this column of .*split\.csv is empty"):
        scan_folder(root, SplitRule(group_by="day"))


def test_val_is_of_whole_groups_where_three_are_left(make: Make) -> None:
    for farm in "abcd":
        for label in CLASSES:
            make(*numbered(f"{farm}/{label}/{{}}.png", 4))
    held = scan_folder(make(), SplitRule(test_group="a"))
    assert crossing_groups(held) == []
    assert "the score on val is too good" not in describe(held)
    made = scan_folder(make(), SplitRule(group_by="[0-9]+"))
    assert crossing_groups(made) == []


def test_a_val_of_the_trained_groups_is_told(make: Make) -> None:
    for farm in "abc":
        for label in CLASSES:
            make(*numbered(f"{farm}/{label}/{{}}.png", 9))
    said = describe(scan_folder(make(), SplitRule(test_group="a")))
    assert "val photo by photo from the few others" in said
    assert "the score on val is too good" in said


def test_two_groups_are_kept_and_said_to_be_too_few(make: Make) -> None:
    """They cannot fill three splits, but one of them can be the test."""
    for farm in ("plot A", "plot B"):
        for label in CLASSES:
            make(*numbered(f"{farm}/{label}/{{}}.png", 12))
    folder = scan_folder(make())
    assert set(folder.groups) == {"plot A", "plot B"} == set(groups_of(make(), ""))
    assert min(map(min, table(folder).values())) >= 1
    said = describe(folder)
    assert "val and test drawn by photo, since fewer than 3 groups were found" in said
    assert "2 groups of photos in more than one split (plot A first): scores are too good" in said
    held = scan_folder(make(), SplitRule(test_group="plot A"))
    assert {held.files[i].split("/")[0] for i in held.indices("test")} == {"plot A"}
    assert "1 group of photos in more than one split (plot B first): the score on val" in describe(
        held
    )


def test_copies_of_one_photo_stay_together_where_farms_are_too_few(make: Make) -> None:
    for farm in ("plot A", "plot B"):
        for label in CLASSES:
            for photo in range(8):
                make(*(f"{farm}/{label}/{photo}_jpg.rf.{n}{HASH[1:]}.jpg" for n in range(3)))
    folder = scan_folder(make())
    photos = {original(file) for file in folder.files}
    assert len(photos) == 32
    for photo in photos:
        own = [original(file) == photo for file in folder.files]
        assert len(set(folder.splits[own])) == 1, photo


@pytest.mark.parametrize("lacking", ["a", "b", "c"])
def test_train_gets_every_class_where_a_farm_lacks_one(make: Make, lacking: str) -> None:
    for farm in "abc":
        for label in CLASSES:
            if (farm, label) != (lacking, "healthy"):
                make(*numbered(f"{farm}/{label}/{{}}.png", 4))
    for seed in range(6):
        folder = scan_folder(make(), SplitRule(seed=seed))
        assert len(folder.indices("train")) >= 4  # raises where train lacks a class
        assert crossing_groups(folder) == []


def test_a_train_that_lacks_a_class_is_told(make: Make) -> None:
    """A class of the held farm alone."""
    for farm in "abc":
        make(*numbered(f"{farm}/blight/{{}}.png", 4), *numbered(f"{farm}/rust/{{}}.png", 4))
    make(*numbered("a/healthy/{}.png", 4))
    folder = scan_folder(make(), SplitRule(test_group="a"), level="inner")
    assert "warning: train has no photo of healthy" in describe(folder)


def test_copies_of_one_photo_in_several_given_splits_are_told(make: Make) -> None:
    """As a Roboflow export that was augmented before it was split."""
    for label in CLASSES:
        for photo in range(3):
            for split, n in (("train", 0), ("train", 1), ("valid", 2), ("test", 3)):
                make(f"{split}/{label}/IMG_{photo}_jpg.rf.{n}{HASH[1:]}.jpg")
    folder = scan_folder(make())
    assert len(crossing_groups(folder)) == 6
    assert "6 groups of photos in more than one split" in describe(folder)


def test_groups_that_given_splits_tear_are_told(make: Make) -> None:
    for label in CLASSES:
        for split, n in (("train", 0), ("train", 1), ("valid", 2), ("test", 3)):
            make(f"{split}/{label}/IMG_{label}_jpg.rf.{n}{HASH[1:]}.jpg")
    folder = scan_folder(make(), SplitRule(group_by="IMG_[a-z]+"))
    assert crossing_groups(folder) == ["IMG_blight", "IMG_healthy"]
    assert "2 groups of photos in more than one split" in describe(folder)


def test_the_split_command_writes_one_table_and_never_over_another(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    for farm in ("north", "south", "west"):
        for label in CLASSES:
            make(*numbered(f"{farm}/{label}/{{}}.png", 4))
    root = make()
    out = root / "north.csv"
    assert split_command([str(root), "--test-group", "north", "--out", str(out)]) == 0
    held = scan_folder(out)
    assert {held.files[i].split("/")[0] for i in held.indices("test")} == {"north"}
    assert set(held.groups) == {"north", "south", "west"}
    assert split_command([str(root), "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert split_command([str(root), "--out", str(root.parent / "x.csv")]) == 2
    assert "must lie in" in capsys.readouterr().err


def test_few_photos_a_class_are_kept_for_an_experiment(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make(*numbered("train/rust/{}.jpg", 9), *numbered("train/fine/{}.jpg", 4),
                 *numbered("val/rust/{}.jpg", 3), *numbered("val/fine/{}.jpg", 3),
                 *numbered("test/rust/{}.jpg", 3), *numbered("test/fine/{}.jpg", 3))  # fmt: skip
    taken = {}
    for count in (2, 5):
        out = root / f"few{count}.csv"
        keep = ["--keep", f"train={count}", "--keep", "val=1"]
        assert split_command([str(root), *keep, "--out", str(out)]) == 0
        folder = scan_folder(out)
        assert table(folder) == {"fine": (min(count, 4), 1, 3), "rust": (count, 1, 3)}
        taken[count] = {f for f, s in zip(folder.files, folder.splits, strict=True) if s == "train"}
    assert taken[2] < taken[5], "a larger set holds the smaller one"
    capsys.readouterr()
    for wrong in ("rust=2", "train", "train=0", "train=x"):
        assert split_command([str(root), "--keep", wrong]) == 2
        assert "--keep" in capsys.readouterr().err
