"""Photos of one group stay in one split, or a line says that they do not."""

from __future__ import annotations

import numpy as np
import pytest
from photo_trees import CLASSES, HASH, Make, numbered, table

from swin2mcu.common.card import SplitRule
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import scan_folder
from swin2mcu.common.dataset.groups import original
from swin2mcu.common.dataset.summary import crossing_groups, describe
from swin2mcu.common.dataset.table import rows_of, write_table
from swin2mcu.split import main as split_command
from swin2mcu.unseen import groups_of


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


def test_a_third_farm_moves_no_photo_of_an_old_model_into_test(make: Make) -> None:
    """Two farms are drawn photo by photo, three as a whole; the model was trained on the two."""
    for farm in ("farm A", "farm B"):
        for label in CLASSES:
            make(*numbered(f"{farm}/{label}/{farm}{label}{{}}.png", 20))
    before = scan_folder(make())
    assert before.drawn_by == "photo"
    trained = {before.files[i] for i in before.indices("train")}
    for label in CLASSES:
        make(*numbered(f"farm C/{label}/c{label}{{}}.png", 20))
    anew = scan_folder(make())
    assert anew.drawn_by == "group" and trained & {anew.files[i] for i in anew.indices("test")}
    kept = scan_folder(make(), SplitRule(drawn_by=before.drawn_by))
    assert not trained & {kept.files[i] for i in kept.indices("test")}
    assert "photo, as for training" in kept.cut_by


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


@pytest.mark.parametrize("farms", ["abc", "abcd"])
def test_val_is_drawn_again_where_the_held_group_was_the_tables_val(make: Make, farms: str) -> None:
    for farm in farms:
        for label in CLASSES:
            make(*numbered(f"{farm}/{label}/{{}}.png", 9))
    root = make()
    plain = {farm: scan_folder(root, SplitRule(test_group=farm)) for farm in farms}
    assert split_command([str(root), "--write"]) == 0
    whole = scan_folder(root)
    (taken,) = {whole.groups[i] for i in whole.indices("val")}
    for farm in farms:
        held = scan_folder(root, SplitRule(test_group=farm))
        assert {held.groups[i] for i in held.indices("test")} == {farm}
        assert len(held.indices("train")) and len(held.indices("val"))
        if farm == taken:
            assert (held.splits == plain[farm].splits).all(), "as without the table"
            assert held.cut_by == plain[farm].cut_by


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


def test_photos_without_a_label_have_the_groups_of_their_folders(make: Make) -> None:
    """Also below a folder that unzipping made, below a split's, and in a table of them."""
    for farm in ("north", "south", "west"):
        make(*numbered(f"zip/{farm}/blight/{{}}.png", 4), *numbered(f"zip/{farm}/rust/{{}}.png", 4))
    south = (
        "unlabeled/south/day 1/0.png",
        "zip/south/unlabeled/1.png",
        "zip/south/unlabeled/phone/2.png",
        "zip/unlabeled/south/3.png",
    )
    root = make(*south, "unlabeled/4.png", "zip/unlabeled/phone/5.png", "zip/east/unlabeled/6.png")
    folder = scan_folder(root)
    assert set(folder.groups) == {"north", "south", "west"}
    wanted = {**dict.fromkeys(south, "south"), "zip/east/unlabeled/6.png": "east"}
    assert folder.unlabeled_groups == wanted and len(folder.unlabeled) == 7
    write_table(root / "again.csv", rows_of(folder))
    again = scan_folder(root / "again.csv")
    assert (again.unlabeled, again.unlabeled_groups) == (folder.unlabeled, wanted)
    assert again.groups == folder.groups


def test_photos_without_a_label_are_grouped_by_the_rule_of_the_others(make: Make) -> None:
    plants = [f"{label}/day 1/plant{n}_{n}.png" for label in CLASSES for n in range(6)]
    root = make(*plants, "unlabeled/day 1/plant3_9.png", "unlabeled/other.png")
    plant = SplitRule(group_by=r"plant(\d+)")
    assert scan_folder(root, plant).unlabeled_groups == {"unlabeled/day 1/plant3_9.png": "3"}
    table = root / "few.csv"
    lines = [f"{file},{file.split('/')[0]},train,{n % 6}" for n, file in enumerate(plants[:-1])]
    lines += [f"{plants[-1]},,unlabeled,5", "unlabeled/day 1/plant3_9.png,,unlabeled,"]
    table.write_text("\n".join(["file,class,split,plant", *lines]))
    assert scan_folder(table, plant).unlabeled_groups == {
        plants[-1]: "5",
        "unlabeled/day 1/plant3_9.png": "3",
    }
    assert scan_folder(table, SplitRule(group_by="plant")).unlabeled_groups == {plants[-1]: "5"}
    days = scan_folder(table, SplitRule(group_by="folder"))
    assert set(days.groups) == {*days.unlabeled_groups.values()} == {"day 1"}
    assert scan_folder(table, SplitRule(group_by="none")).unlabeled_groups == {}
    with pytest.raises(UserError, match="finds a group for none of 11 photos"):
        scan_folder(table, SplitRule(group_by="_9"))  # in one without a label alone


def test_photos_that_lose_their_labels_keep_their_groups(make: Make) -> None:
    for farm in ("north", "south", "west"):
        for label in CLASSES:
            make(*numbered(f"{farm}/{label}/{{}}.png", 6))
    out = make() / "few.csv"
    few = ["--keep", "train=2", "--rest-unlabeled", "--out", str(out)]
    assert split_command([str(make()), *few]) == 0
    folder = scan_folder(out)
    assert len(folder.unlabeled) == 8
    assert folder.unlabeled_groups == {file: file.split("/")[0] for file in folder.unlabeled}
