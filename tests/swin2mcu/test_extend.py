"""New photos join a table, and no photo moves between splits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from photo_trees import CLASSES, Make, numbered, split_of
from PIL import Image

from swin2mcu.common.card import SplitRule
from swin2mcu.common.dataset import SPLITS, scan_folder
from swin2mcu.common.dataset.draw import draw_one
from swin2mcu.common.dataset.summary import crossing_groups
from swin2mcu.split import main


def more_photos(folder: Path, count: int, red: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", (20, 20), (red, number, 5 * number)).save(folder / f"new_{number:02}.png")


def test_new_photos_join_and_the_others_stay(make_folder: Callable[..., Path]) -> None:
    data = make_folder(classes=3, images=12)
    assert main([str(data), "--rename", "class_1=rust", "--write"]) == 0
    before = split_of(data)
    more_photos(data / "class_1", 40, 10)  # the table calls this folder's photos rust
    more_photos(data / "class_9", 40, 20)
    assert main([str(data), "--add", "--out", str(data / "more.csv")]) == 0
    after = split_of(data / "more.csv")
    assert {file: after[file] for file in before} == before
    new = {file: after[file] for file in after if file not in before}
    assert len(new) == 80
    assert {label for label, _ in new.values()} == {"rust", "class_9"}
    assert {split for _, split in new.values()} == {"train", "val", "test"}
    train = sum(split == "train" for _, split in new.values())
    assert 45 < train < 75, "about three quarters"
    # More photos later move none of these.
    more_photos(data / "class_0", 30, 30)
    assert main([str(data / "more.csv"), "--add", "--out", str(data / "yet_more.csv")]) == 0
    last = split_of(data / "yet_more.csv")
    assert {file: last[file] for file in after} == after and len(last) == len(after) + 30


def test_a_new_photo_goes_where_its_group_lies(tmp_path: Path) -> None:
    data = tmp_path / "farms"
    for red, farm in enumerate(("north", "south", "west", "east")):
        for blue, label in enumerate(("healthy", "rust")):
            (data / farm).mkdir(parents=True, exist_ok=True)
            more_photos(data / farm / label, 3, 40 * red + 7 * blue)
    assert main([str(data), "--write"]) == 0
    before = scan_folder(data)
    split = dict(zip(before.groups, before.splits.tolist(), strict=True))
    for red, farm in enumerate(split):
        Image.new("RGB", (9, 9), (200, 40 * red, 3)).save(data / farm / "healthy" / "late.png")
    assert main([str(data), "--add", "--out", str(data / "more.csv")]) == 0
    after = split_of(data / "more.csv")
    assert {farm: after[f"{farm}/healthy/late.png"][1] for farm in split} == split


def test_new_photos_of_a_farm_in_several_splits_are_drawn_one_by_one(make: Make) -> None:
    """Two farms are split photo by photo: the last row of the table says nothing of the others."""
    root = make(*(f"{farm}/{c}/{n}.png" for farm in "ab" for c in CLASSES for n in range(30)))
    rows = [
        f"{farm}/{c}/{n}.png,{c},{SPLITS[n % 3]},{farm}"
        for farm in "ab" for c in CLASSES for n in range(30)
    ]  # fmt: skip
    write_csv(root / "split.csv", "file,class,split,group", *rows)
    before = split_of(root)
    make(*(f"a/{c}/new_{n}.png" for c in CLASSES for n in range(60)))
    options = ["--classes", "inner", "--out", str(root / "more.csv")]
    assert main([str(root), "--add", *options]) == 0
    after = split_of(root / "more.csv")
    new = [split for file, (_, split) in after.items() if file not in before]
    assert len(new) == 60 * len(CLASSES) and {*new} == {*SPLITS}
    assert 0.6 < new.count("train") / len(new) < 0.9
    assert {file: after[file] for file in before} == before


def test_the_photos_of_a_new_group_stay_together(tmp_path: Path) -> None:
    data = tmp_path / "farms"
    for red, farm in enumerate(("north", "south", "west")):
        for blue, label in enumerate(("healthy", "rust")):
            (data / farm).mkdir(parents=True, exist_ok=True)
            more_photos(data / farm / label, 3, 40 * red + 7 * blue)
    assert main([str(data), "--write"]) == 0
    new = [f"farm {name}" for name in "abcdefghijkl"]
    for red, farm in enumerate(new):
        (data / farm).mkdir()
        more_photos(data / farm / "healthy", 4, 130 + 10 * red)
    assert main([str(data), "--add", "--out", str(data / "more.csv")]) == 0
    after = split_of(data / "more.csv")
    splits = [{s for file, (_, s) in after.items() if file.startswith(f"{farm}/")} for farm in new]
    assert all(len(found) == 1 for found in splits) and len(set.union(*splits)) > 1


def write_csv(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows))
    return path


def test_a_new_photo_beside_several_classes_is_passed_over(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """A guess would give all of them one class."""
    root = make(*numbered("images/{}.png", 8), *numbered("more/{}.png", 4))
    rows = [f"images/{n}.png,{CLASSES[n % 2]}" for n in range(6)]
    rows += [f"more/{n}.png,blight" for n in range(3)]
    data = write_csv(root / "all.csv", "file,class", *rows)
    assert main([str(data), "--add", "--out", str(root / "new.csv")]) == 0
    said = capsys.readouterr().out
    assert "2 x new photo beside photos of several classes, … (images/6.png first)" in said
    assert "1 photos are new" in said and "does not name" not in said
    after = split_of(root / "new.csv")
    assert set(after) == {row.split(",")[0] for row in rows} | {"more/3.png"}
    assert after["more/3.png"][0] == "blight"


@pytest.mark.parametrize(
    ("place", "why"),
    [("images/", "new photo beside photos of several classes"), ("", "photo in no class folder")],
)
def test_new_photos_of_no_known_class_are_one_line(
    make: Make, capsys: pytest.CaptureFixture[str], place: str, why: str
) -> None:
    root = make(*numbered(place + "{}.png", 8))
    rows = [f"{place}{n}.png,{CLASSES[n % 2]}" for n in range(6)]
    data = write_csv(root / "all.csv", "file,class", *rows)
    assert main([str(data), "--add", "--out", str(root / "new.csv")]) == 2
    said = capsys.readouterr().err.strip()
    assert f"no new photo's class is known (2 x {why}, {place}6.png first)" in said
    assert len(said.splitlines()) == 1 and not (root / "new.csv").exists()


def test_new_photos_with_the_class_in_their_names_join(make: Make) -> None:
    """As Edge Impulse's: photos of all classes lie side by side."""
    names = [f"training/{label}.{n}.jpg.png" for label in CLASSES for n in range(8)]
    root = make(*names)
    assert main([str(root), "--write"]) == 0
    make("training/healthy.new.jpg.png", "training/rust.1.jpg.png", "training/rust.2.jpg.png")
    assert main([str(root), "--add", "--out", str(root / "more.csv")]) == 0
    after = split_of(root / "more.csv")
    assert len(after) == len(names) + 3
    assert after["training/healthy.new.jpg.png"][0] == "healthy"
    assert after["training/rust.1.jpg.png"][0] == "rust"


def test_where_one_farm_has_other_names_its_new_photos_have_them_too(make: Make) -> None:
    for farm in ("north", "south", "west"):
        make(*(f"{farm}/{letter}/{n}.png" for letter in "hr" for n in range(3)))
    root = make()
    called = {"h": "healthy", "r": "rust"}
    rows = [(file, called[file.split("/")[1]]) for file in scan_folder(root).files]
    rows = [(file, label + " in snow" * file.startswith("north/h")) for file, label in rows]
    data = write_csv(root / "all.csv", "file,class", *map(",".join, rows))
    make("north/h/new.png", "south/h/new.png", "east/h/new.png", "east/r/new.png")
    out = root / "more.csv"
    assert main([str(data), "--add", "--out", str(out)]) == 0
    new = {file: label for file, (label, _) in split_of(out).items() if "new" in file}
    assert new == {
        "north/h/new.png": "healthy in snow",
        "south/h/new.png": "healthy",
        "east/r/new.png": "rust",
    }, "a new farm's h may be either"


def test_a_table_that_no_reader_takes_is_not_written(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """The class is in the files' names, and the folder around them is named like a class."""
    root = make(*(f"rust/{label}.{n}.jpg.png" for label in ("rust", *CLASSES) for n in range(8)))
    assert main([str(root)]) == 0
    assert main([str(root), "--write"]) == 2
    assert "would be of class blight in the folder of class rust" in capsys.readouterr().err
    assert not (root / "split.csv").exists()


def test_a_new_photo_is_grouped_by_the_rule_of_the_others(make: Make) -> None:
    for label in CLASSES:
        make(*(f"{label}/plant{n}_{label}_{i}.png" for n in range(8) for i in range(3)))
    root, rule = make(), ["--group-by", r"plant(\d+)"]
    assert main([str(root), *rule, "--write"]) == 0
    before = scan_folder(root)
    split = dict(zip(before.groups, before.splits.tolist(), strict=True))
    assert set(split.values()) == {"train", "val", "test"}
    make(*(f"blight/plant{n}_late_{i}.png" for n in range(12) for i in range(3)))
    assert main([str(root), "--add", *rule, "--out", str(root / "more.csv")]) == 0
    after = scan_folder(root / "more.csv")
    known = zip(after.files, after.groups, after.splits.tolist(), strict=True)
    assert all(split.get(group, found) == found for _, group, found in known)
    assert set(after.groups) == set(map(str, range(12))) and crossing_groups(after) == []


def test_a_group_that_the_folders_do_not_tell_is_asked_for(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in CLASSES:
        make(*(f"{label}/plant{n}_{label}_{i}.png" for n in range(8) for i in range(3)))
    root = make()
    assert main([str(root), "--group-by", r"plant(\d+)", "--write"]) == 0
    make("blight/plant2_late.png")
    assert main([str(root), "--add", "--out", str(root / "more.csv")]) == 2
    said = capsys.readouterr().err.strip()
    assert "several groups for photos beside blight/plant2_late.png: say by --group-by" in said
    assert len(said.splitlines()) == 1


def test_a_farm_has_the_name_that_the_table_gives_it(make: Make) -> None:
    """In a column of any name."""
    for farm in ("n", "s", "w", "e"):
        make(*(f"{farm}/{label}/{n}.png" for label in CLASSES for n in range(3)))
    root = make()
    rows = [f"{file},{file.split('/')[1]},farm {file[0]}" for file in scan_folder(root).files]
    data = write_csv(root / "all.csv", "file,class,farm", *rows)
    by = SplitRule(group_by="farm")
    split = dict(zip(scan_folder(data, by).groups, scan_folder(data, by).splits, strict=True))
    make("n/blight/new.png", "s/blight/new.png", "w/blight/new.png", "e/blight/new.png")
    out = root / "more.csv"
    assert main([str(data), "--add", "--group-by", "farm", "--out", str(out)]) == 0
    after = scan_folder(out)
    assert set(after.groups) == set(split) and crossing_groups(after) == []


def test_new_photos_keep_out_of_a_test_that_is_one_group(make: Make) -> None:
    for farm in ("north", "south", "west", "east"):
        make(*(f"{farm}/{label}/{n}.png" for label in CLASSES for n in range(3)))
    root, rule = make(), ["--test-group", "north"]
    assert main([str(root), *rule, "--write"]) == 0
    make(*(f"farm {name}/{label}/1.png" for name in "abcdefghijklmnop" for label in CLASSES))
    assert main([str(root), "--add", *rule, "--out", str(root / "more.csv")]) == 0
    after = scan_folder(root / "more.csv")
    assert {after.groups[i] for i in after.indices("test")} == {"north"}


def test_new_photos_without_a_label_join(make: Make) -> None:
    root = make(*(f"{label}/{n}.png" for label in CLASSES for n in range(5)), "unlabeled/0.png")
    assert main([str(root), "--write"]) == 0
    make("unlabeled/1.png")
    assert main([str(root), "--add", "--out", str(root / "more.csv")]) == 0
    assert scan_folder(root / "more.csv").unlabeled == ("unlabeled/0.png", "unlabeled/1.png")
    assert scan_folder(root / "more.csv").files == scan_folder(root).files


def test_new_photos_without_a_label_have_the_group_of_their_farm(make: Make) -> None:
    for farm in "nswe":
        make(*(f"{farm}/{label}/{n}.png" for label in CLASSES for n in range(3)))
    root = make("n/unlabeled/0.png")
    rows = [f"{file},{file.split('/')[1]},farm {file[0]}" for file in scan_folder(root).files]
    data = write_csv(root / "all.csv", "file,class,group", *rows)
    make("s/unlabeled/1.png", "unlabeled/2.png")
    assert main([str(data), "--add", "--out", str(root / "more.csv")]) == 0
    after = scan_folder(root / "more.csv").unlabeled_groups
    assert after == {"n/unlabeled/0.png": "farm n", "s/unlabeled/1.png": "farm s"}


def test_a_copy_joins_where_the_photo_lies(make: Make) -> None:
    """Drawn by its name, most copies of val and test would go to train."""
    root = make(*(f"{label}/{n}.png" for label in CLASSES for n in range(20)))
    assert main([str(root), "--write"]) == 0
    before = split_of(root)
    for file in before:
        (root / file.replace(".png", " (1).png")).write_bytes((root / file).read_bytes())
    make("blight/new.png")
    for copy in "abcde":  # of a photo that is new too
        (root / f"blight/new {copy}.png").write_bytes((root / "blight/new.png").read_bytes())
    assert main([str(root), "--add", "--out", str(root / "more.csv")]) == 0
    after = split_of(root / "more.csv")
    assert len(after) == 2 * len(before) + 6
    for file in before:
        assert after[file] == after[file.replace(".png", " (1).png")] == before[file]
    assert len({split for file, split in after.items() if "/new" in file}) == 1


def test_a_new_farm_does_not_follow_a_copy(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    old = (f"{farm}/{label}/{n}.jpg" for farm in "abcdef" for label in CLASSES for n in range(4))
    root = make(*old)
    assert main([str(root), "--write"]) == 0
    before = split_of(root)
    test = next(file for file, (_, split) in before.items() if split == "test")
    farms = ("new farm", "other farm", "third farm")
    for red, farm in enumerate(farms):
        more_photos(root / farm / test.split("/")[1], 5, 40 + red)
        (root / farm / test.split("/")[1] / "copy.jpg").write_bytes((root / test).read_bytes())
    assert main([str(root), "--add", "--out", str(root / "more.csv")]) == 0
    after = split_of(root / "more.csv")
    for farm in farms:
        own = {split for file, (_, split) in after.items() if file.startswith(farm)}
        assert own == {draw_one(farm, SplitRule(), ("train", "val", "test"))}
        assert not any(file.startswith(farm) and "copy" in file for file in after)
    assert "3 x new copy of a photo outside of its group" in capsys.readouterr().out


def test_new_farms_share_no_photo(make: Make) -> None:
    root = make(
        *(f"{farm}/{label}/{n}.jpg" for farm in "abcdef" for label in CLASSES for n in "01")
    )
    assert main([str(root), "--write"]) == 0
    for number in range(12):  # enough that they are drawn into several splits
        more_photos(root / f"new {number:02}" / CLASSES[0], 2, 40 + number)
        Image.new("RGB", (20, 20), (9, 9, 9)).save(root / f"new {number:02}/{CLASSES[0]}/same.png")
    assert main([str(root), "--add", "--out", str(root / "more.csv")]) == 0
    after = split_of(root / "more.csv")
    assert {split for file, (_, split) in after.items() if "new" in file} > {"train"}
    assert [file for file in after if "same" in file] == [f"new 00/{CLASSES[0]}/same.png"]


def test_a_copy_follows_the_photo_out_of_a_folder_of_another_split(make: Make) -> None:
    root = make(*(f"{s}/{label}/{n}.png" for s in SPLITS for label in CLASSES for n in range(4)))
    assert main([str(root), "--write"]) == 0
    label = CLASSES[0]
    for split, other in (("train", "test"), ("test", "train")):
        copy = root / other / label / f"copy of {split}.png"
        copy.write_bytes((root / split / label / "0.png").read_bytes())
    make(f"test/{label}/new.png")
    assert main([str(root), "--add", "--out", str(root / "more.csv")]) == 0
    after = split_of(root / "more.csv")
    assert after[f"test/{label}/copy of train.png"][1] == "train"
    assert after[f"train/{label}/copy of test.png"][1] == "test"
    assert after[f"test/{label}/new.png"][1] == "test", "its folder says so"


def test_a_table_that_was_written_leaves_nothing_to_pass_over(make: Make) -> None:
    root = make(*(f"{label}/{n}.jpg" for label in CLASSES for n in range(6)))
    assert main([str(root), "--write"]) == 0
    assert (root / ".split.csv.lock").is_file()
    assert scan_folder(root).passed_over == {}
    (root / ".rust.jpg").write_bytes(b"")
    assert scan_folder(root).passed_over == {"dot file": (".rust.jpg",)}


def test_nothing_new_and_an_old_table_are_one_line(
    make_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_folder(classes=2)
    assert main([str(data), "--write"]) == 0
    assert main([str(data), "--add", "--out", str(data / "more.csv")]) == 2
    assert "names all photos of the folder already" in capsys.readouterr().err
    more_photos(data / "class_0", 2, 9)
    table = (data / "split.csv").read_bytes()
    assert main([str(data), "--add", "--write"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (data / "split.csv").read_bytes() == table
