"""No accuracy is measured on photos that a model was trained on, under whatever names."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pytorch_side import distill, qat
from pytorch_side.config import Config, as_override
from pytorch_side.data.photos import photo_hashes
from pytorch_side.evaluate import __main__ as evaluate
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import ImageFolder, import_folder, scan_folder
from swin2mcu.common.dataset.trained import NAME, check_unseen, trained_text

SPLITS = {"train": (0, 1, 2, 3, 4), "val": (5, 6, 7), "test": (8, 9)}


def write_table(root: Path, name: str, splits: dict[str, tuple[int, ...]]) -> Path:
    rows = [
        f"class_{label}/{number:02}.png,class_{label},{split}"
        for label in range(2)
        for split, numbers in splits.items()
        for number in numbers
    ]
    path = root / name
    path.write_text("\n".join(["file,class,split", *rows]) + "\n")
    return path


@pytest.fixture
def data(make_folder: Callable[..., Path]) -> Path:
    root = make_folder(classes=2, images=10)
    write_table(root, "split.csv", SPLITS)
    return root


def trained(run: Path, folder: ImageFolder) -> Path:
    run.mkdir(exist_ok=True)
    (run / NAME).write_bytes(trained_text(folder, photo_hashes(folder, "train")))
    return run


def test_a_table_that_scores_what_another_one_trained_is_refused(
    data: Path, tmp_path: Path
) -> None:
    run = trained(tmp_path / "run", scan_folder(data))
    check_unseen(scan_folder(data), run)
    fewer = write_table(data, "fewer.csv", {"train": (0, 1), "val": (5,), "test": (9,)})
    check_unseen(scan_folder(fewer), run)
    for split, line in (("val", "4 of the val photos"), ("test", "4 of the test photos")):
        others = {"train": (5, 6, 7), "val": (8,), "test": (9,), split: (0, 1)}
        table = write_table(data, "other.csv", others)
        wanted = f"{line} of images/other.csv .first: class_0/00.png.: name the folder or table"
        with pytest.raises(UserError, match=wanted):
            import_folder(table, run=run)
        import_folder(table)
    # Another folder, with other names; fine-tuning's photos count too.
    other = tmp_path / "other"
    for label in range(2):
        (other / f"class_{label}").mkdir(parents=True)
        for number in range(8):
            copy = other / f"class_{label}" / f"copy {number}.png"
            shutil.copy(data / f"class_{label}" / f"0{number}.png", copy)
    with pytest.raises(UserError, match=r"photos of other \(first: class_"):
        check_unseen(scan_folder(other), run)
    (run / "qat").mkdir()
    (run / NAME).rename(run / "qat" / NAME)
    with pytest.raises(UserError, match="was trained on"):
        check_unseen(scan_folder(other), run)


def test_a_folder_with_copies_of_a_photo_is_accepted_as_in_training(
    data: Path, tmp_path: Path
) -> None:
    shutil.copy(data / "class_0" / "00.png", data / "class_0" / "05.png")  # train and val
    run = trained(tmp_path / "run", scan_folder(data))
    check_unseen(scan_folder(data), run)


def test_a_run_without_a_table_is_accepted_and_a_damaged_table_is_named(
    data: Path, tmp_path: Path
) -> None:
    folder = scan_folder(data)
    check_unseen(folder, tmp_path)
    for text in ("sha256,file\n00,a.png\n", "sha256,bytes,file\n00,many,a.png\n", "\0"):
        (tmp_path / NAME).write_text(text + "x")
        with pytest.raises(UserError, match=f"{NAME} is no table of photos"):
            check_unseen(folder, tmp_path)


def test_the_commands_refuse_it(
    data: Path,
    tmp_path: Path,
    tiny_config: Callable[..., Config],
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = tiny_config()
    values = {
        "student.name": config.student.name,
        "student.size": config.student.size,
        "optimizer.epochs": 1,
        "optimizer.batch": 4,
    }
    settings = [word for item in values.items() for word in ("--set", as_override(*item))]
    run = tmp_path / "run"
    few = write_table(data, "few.csv", {"train": (0, 1, 2, 5), "val": (6, 7), "test": (8, 9)})
    assert distill.main(["--data", str(few), "--out", str(run), *settings]) == 0
    for command, arguments in (
        (qat.main, [str(run), "--epochs", "0", "--data", str(data)]),
        (evaluate.main, ["score", str(run), "--split", "val", "--data", str(data)]),
    ):
        capsys.readouterr()
        assert command(arguments) == 2
        assert "was trained on 2 of the val photos of images" in capsys.readouterr().err
    assert not (run / "card.json").exists()
    assert qat.main([str(run), "--epochs", "0", "--data", str(few)]) == 0
