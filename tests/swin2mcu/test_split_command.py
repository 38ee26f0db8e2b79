"""`swin2mcu split`: classes get other names, tables are read and written, bad input is one line."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from photo_trees import split_of
from PIL import Image

from swin2mcu.common.card import SplitRule
from swin2mcu.common.dataset import SPLITS, ImageFolder, scan_folder
from swin2mcu.common.dataset.draw import draw_one
from swin2mcu.common.dataset.table import Row, rows_of
from swin2mcu.split import main


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
        (
            ["--rename", "class_0=class_1", "--rename", "class_1=class_0", "--out", "x.csv"],
            "class_0/00.png would be of class class_1 in the folder of class class_0",
        ),
        (
            ["--rename", "class_0=class_1", "--rename", "class_1=rust", "--write"],
            "class_1/00.png would be of class rust in the folder of class class_1",
        ),
        (["--rename", f"class_0={'x' * 251}"], "it has 251 characters, more than 250"),
        (["--rename", "class_0=a\x9fb"], r"--rename: 'a\x9fb' cannot be the name of a class"),
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


def test_of_two_commands_at_once_one_writes_the_table(
    make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_folder(classes=2)
    ended: list[int] = []

    def slow(folder: ImageFolder) -> list[Row]:
        if not other.is_alive() and not ended:
            other.start()
            other.join(timeout=0.5)  # with a lock it waits, without one it writes meanwhile
        return rows_of(folder)

    other = threading.Thread(
        target=lambda: ended.append(main([str(data), "--seed", "1", "--write"]))
    )
    monkeypatch.setattr("swin2mcu.split.rows_of", slow)
    first = main([str(data), "--write"])
    other.join()
    assert sorted([first, *ended]) == [0, 2]


@pytest.mark.parametrize("head", ["file,class,split,group", "file, class ,split; group"])
def test_a_space_makes_no_second_class_or_farm(tmp_path: Path, head: str) -> None:
    mark = "," if ";" not in head else ";"
    rows = []
    for number in range(12):
        Image.new("RGB", (20, 20), (number, 9, 9)).save(tmp_path / f"{number}.png")
        space = " " * (number % 3)
        split = SPLITS[number // 4]
        rows.append(mark.join([f"{number}.png", f"{space}rust{space}", split, f"farm{space}"]))
        rows[-1] = rows[-1].replace("rust", "rust" if number % 2 else "healthy")
    head = head.replace(",", mark).replace(";", mark)
    (tmp_path / "split.csv").write_text("\n".join([head, *rows]) + "\n")
    folder = scan_folder(tmp_path)
    assert folder.classes == ("healthy", "rust") and {*folder.groups} == {"farm"}


def test_a_draw_keeps_to_the_splits_that_there_are() -> None:
    names = [f"photo {number}" for number in range(400)]
    drawn = [draw_one(name, SplitRule(), ["train", "test"]) for name in names]
    assert set(drawn) == {"train", "test"} and 20 < drawn.count("test") < 120
    assert drawn == [draw_one(name, SplitRule(), ["test", "train"]) for name in names]
