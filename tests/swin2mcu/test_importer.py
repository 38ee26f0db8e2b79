"""Every folder that people have gives the right table, or one clear line."""

from __future__ import annotations

import os
import unicodedata

import pytest
from photo_trees import CLASSES, Make, numbered, table

from swin2mcu.common.card import SplitRule
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import SPLITS, scan_folder
from swin2mcu.common.dataset.summary import crossing_groups, describe
from swin2mcu.common.dataset.table import rows_of, write_table
from swin2mcu.split import main as split_command


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


def test_a_stray_photo_does_not_make_farms_the_classes(make: Make) -> None:
    for farm in ("north", "south", "west"):
        for label in CLASSES:
            make(*numbered(f"{farm}/{label}/{{}}.png", 4))
    root = make("north/overview.png")
    line = (
        r"may be north, south, west or blight, healthy "
        r"\(north/overview\.png lies beside the latter\): say which"
    )
    with pytest.raises(UserError, match=line):
        scan_folder(root)
    inner = scan_folder(root, level="inner")
    assert inner.classes == CLASSES and set(inner.groups) == {"north", "south", "west"}
    assert inner.passed_over == {"photo in no class folder": ("north/overview.png",)}
    assert scan_folder(root, level="outer").classes == ("north", "south", "west")
    (root / "north/overview.png").unlink()
    assert (scan_folder(root).splits == inner.splits).all()


def test_a_stray_photo_under_countries_and_farms_is_asked_about(make: Make) -> None:
    for farm in ("de/a", "de/b", "fr/c", "fr/d"):
        for label in CLASSES:
            make(*numbered(f"{farm}/{label}/{{}}.png", 4))
    with pytest.raises(UserError, match=r"may be de, fr or blight, healthy \(de/a/map\.png lies"):
        scan_folder(make("de/a/map.png"))
    inner = scan_folder(make(), level="inner")
    assert inner.classes == CLASSES and set(inner.groups) == {"de/a", "de/b", "fr/c", "fr/d"}


def test_a_stray_photo_beside_the_only_folder_is_passed_over(make: Make) -> None:
    for label in CLASSES:
        make(*numbered(f"unzipped/{label}/{{}}.png", 8))
    folder = scan_folder(make("unzipped/cover.png"))
    assert folder.classes == CLASSES
    assert folder.passed_over == {"photo in no class folder": ("unzipped/cover.png",)}


@pytest.mark.parametrize("inner", ["extra", "{}/deep", "day {}", "{}/day {}"])
@pytest.mark.parametrize("direct", [1, 12])
def test_photos_beside_the_folders_of_their_class_stay_in_it(
    make: Make, inner: str, direct: int
) -> None:
    for label in (*CLASSES, "rust"):
        make(*numbered(f"{label}/{{}}.png", direct))
        for number in range(2):
            where = inner.format(f"{label} {number}", number)
            make(*(f"{label}/{where}/{number}{n}.png" for n in range(10)))
    folder = scan_folder(make())
    assert folder.classes == (*CLASSES, "rust") and not folder.passed_over
    assert len(folder.files) == 3 * (20 + direct)


@pytest.mark.parametrize(
    ("files", "line"),
    [
        (["train/a/1.png", "test/a/2.png", "b/3.png"], "the folder of a split, but b/3.png is not"),
        (["train/a/1.png", "train/test/2.png"], "lies in two splits, test and train"),
        (["a/1.png", "test/2.png"], "test/2.png is in the folder of a split, but a/1.png is not"),
        (["train/1.png", "test/2.png"], "has 2 photos and no class folder: put each"),
        (["1.png", "2.png"], "has 2 photos and no class folder: put each"),
        (["train/images/a_jpg.rf.0123456789abcdef0.jpg"], "one class only"),
    ],
)
def test_layouts_that_say_nothing_are_one_line(make: Make, files: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        scan_folder(make(*files))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("WeiÃ\x9fer Rost", r"'WeiÃ\\x9fer Rost' cannot be the name of a class: a control char"),
        ("new\nline", r"'new\\nline' cannot be the name of a class: a control char"),
        ("x" * 254, "'x{60}…' cannot be the name of a class: it has 254 characters"),
    ],
)
def test_a_folder_that_no_card_can_name_is_refused_when_it_is_read(
    make: Make, name: str, why: str
) -> None:
    root = make(*numbered(f"{name}/{{}}.png", 5), *numbered("healthy/{}.png", 5))
    with pytest.raises(UserError, match=why):
        scan_folder(root)


def test_one_class_says_what_was_passed_over(make: Make) -> None:
    root = make(*numbered("rust/{}.png", 5))
    for name in CLASSES:
        (root / name).mkdir()
        (root / name / "1.cr2").write_bytes(b"raw")
    said = r"one class only \(rust\).*; passed over: 2 x \.cr2 file; 2 x folder without a photo"
    with pytest.raises(UserError, match=said):
        scan_folder(root)


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


def test_a_class_is_no_group_of_photos_without_a_label(make: Make) -> None:
    """In a set without groups; beside farms, the photos are of their farm."""
    names = (f"{label}/{n}.png" for label in CLASSES for n in range(5))
    root = make(*names, f"{CLASSES[0]}/unlabeled/x.png", "unlabeled/north/y.png")
    folder = scan_folder(root)
    assert len(folder.unlabeled) == 2 and folder.unlabeled_groups == {}


def test_of_three_groups_train_is_one_and_that_is_said(make: Make) -> None:
    farms = ("north", "south", "west")
    root = make(*(f"{f}/{c}/{n}.png" for f in farms for c in CLASSES for n in range(12)))
    said = describe(scan_folder(root))
    assert "of three groups train is one (" in said and "--test-group NAME" in said
    held = describe(scan_folder(root, SplitRule(test_group="north")))
    assert "of three groups" not in held


def test_names_of_classes_that_look_alike_are_warned_of(make: Make) -> None:
    """Two phones, or an archive of another system: half of a class would be another class."""
    decomposed = unicodedata.normalize("NFD", "café")
    names = ("Rust", "rust", "café", decomposed, "healthy")
    text = describe(scan_folder(make(*(f"{name}/{n}.png" for name in names for n in range(5)))))
    assert "'Rust' and 'rust' are different classes" in text
    assert text.count("different classes") == 2 and "'healthy'" not in text


def test_names_of_farms_that_look_alike_are_warned_of(make: Make) -> None:
    """Photos of one farm would be in train and in test."""
    root = make(*(f"{c}/{n}.png" for c in CLASSES for n in range(9)))
    rows = [f"{c}/{n}.png,{c},{SPLITS[n // 3]}" for c in CLASSES for n in range(9)]
    for names, said in ((("Farm 1", "farm  1", "b"), True), (("Farm 1", "a", "b"), False)):
        lines = [f"{row},{names[n % 9 // 3]}" for n, row in enumerate(rows)]
        (root / "split.csv").write_text("\n".join(["file,class,split,group", *lines]))
        text = describe(scan_folder(root))
        assert ("called almost alike ('Farm 1' and 'farm  1' first)" in text) == said
    lines = [f"{row},evil\x1b[31m{n % 2}" for n, row in enumerate(rows)]
    (root / "split.csv").write_text("\n".join(["file,class,split,group", *lines]))
    text = describe(scan_folder(root))
    assert "2 groups of photos in more than one split (evil\\x1b[31m0 first)" in text


def test_folders_without_end_are_passed_over(make: Make) -> None:
    root = make(*(f"{label}/{n}.png" for label in CLASSES for n in range(5)))
    (root / CLASSES[0]).joinpath(*["x"] * 150).mkdir(parents=True)
    (passed,) = scan_folder(root).passed_over["folder nested too deeply"]
    assert passed.startswith(f"{CLASSES[0]}/x/x/")


def test_what_is_passed_over_is_counted_and_named(make: Make) -> None:
    root = make(*(f"{label}/{n}.JPG" for label in CLASSES for n in range(5)), "blight/six.jfif")
    (root / "blight/._1.jpg").write_bytes(b"resource fork")
    (root / "blight/notes.txt").write_text("text")
    (root / "blight/old.dng").write_text("raw")
    (root / "rust").mkdir()
    (root / ".split.csv.lock").touch()  # of `swin2mcu split`: nothing of the user's
    (root / ".mine.lock").mkdir()
    (root / "healthy/gone.jpg").symlink_to("nowhere.jpg")
    (root / "healthy/again").symlink_to(root, target_is_directory=True)
    os.mkfifo(root / "healthy/pipe.jpg")
    make("cover.png")
    folder = scan_folder(root)
    assert len(folder.files) == 11 and folder.classes == CLASSES
    assert folder.passed_over == {
        "dot file": (".mine.lock", "blight/._1.jpg"),
        ".txt file": ("blight/notes.txt",),
        ".dng file": ("blight/old.dng",),
        "broken link": ("healthy/gone.jpg",),
        "pipe, socket or device": ("healthy/pipe.jpg",),
        "folder without a photo": ("rust",),
        "photo in no class folder": ("cover.png",),
    }
    (root / "\x1b[31mred\nline.doc").touch()
    assert "\x1b" not in describe(scan_folder(root))
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


def test_files_without_a_photo_may_be_equal_under_two_classes(make: Make) -> None:
    root = make(*(f"{label}/{n}.png" for label in CLASSES for n in range(5)))
    for label in CLASSES:
        (root / label / "empty.png").touch()
        (root / label / "page.png").write_bytes(b"<html>404</html>")
    assert len(scan_folder(root).files) == 7 * len(CLASSES)
    (root / "healthy/9.png").write_bytes((root / "blight/1.png").read_bytes())
    with pytest.raises(
        UserError, match=r"blight/1\.png and healthy/9\.png are the same photo under two classes: "
    ):
        scan_folder(root)


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
