"""New photos join a table and classes get other names, and no photo moves between splits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from swin2mcu.common.card import SplitRule
from swin2mcu.common.dataset import scan_folder
from swin2mcu.common.dataset.draw import draw_one
from swin2mcu.split import main


def split_of(data: Path) -> dict[str, tuple[str, str]]:
    """File → its class and split."""
    folder = scan_folder(data)
    rows = zip(folder.files, folder.labels, folder.splits.tolist(), strict=True)
    return {file: (folder.classes[label], split) for file, label, split in rows}


def more_photos(folder: Path, count: int, red: int) -> None:
    folder.mkdir(exist_ok=True)
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


def test_two_classes_of_one_name_are_one(make_folder: Callable[..., Path]) -> None:
    data = make_folder(classes=3, images=12)
    before = split_of(data)
    out = data / "merged.csv"
    names = ["--rename", "class_0=blight", "--rename", "class_2=blight"]
    assert main([str(data), *names, "--out", str(out)]) == 0
    after = split_of(out)
    assert {label for label, _ in after.values()} == {"blight", "class_1"}
    assert {file: split for file, (_, split) in after.items()} == {
        file: split for file, (_, split) in before.items()
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rename", "class_7=x"], "no class is called 'class_7'; there are class_0, class_1"),
        (["--rename", "class_0"], "--rename class_0: write it as OLD=NEW"),
        (["--rename", "class_0=a", "--rename", "class_0=b"], "once for each class"),
        (["--rename", "class_0=class_1"], "only the class class_1 would be left"),
        (["--add", "--out", "more.csv"], "split.csv is missing"),
    ],
)
def test_bad_input_is_one_line(
    make_folder: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    assert main([str(make_folder(classes=2)), *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error and len(error.splitlines()) == 1


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


def test_a_draw_keeps_to_the_splits_that_there_are() -> None:
    names = [f"photo {number}" for number in range(400)]
    drawn = [draw_one(name, SplitRule(), ["train", "test"]) for name in names]
    assert set(drawn) == {"train", "test"} and 20 < drawn.count("test") < 120
    assert drawn == [draw_one(name, SplitRule(), ["test", "train"]) for name in names]
