"""No accuracy is measured on photos that a model was trained on, under whatever names."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pytorch_side import distill, export, qat
from pytorch_side.config import Config, as_override
from pytorch_side.data.photos import photo_hashes
from pytorch_side.evaluate import __main__ as evaluate
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import ImageFolder, import_folder, scan_folder
from swin2mcu.common.dataset.table import read_table, rows_of, write_table
from swin2mcu.common.dataset.trained import (
    NAME,
    OF_A_CACHE,
    OF_A_RUN,
    UNREAD,
    check_place,
    trained_rows,
    unlisted,
    unseen_by,
    unseen_by_weights,
    write_trained,
)
from tinyml.convert import __main__ as convert
from tinyml.parity import __main__ as parity

SPLITS = {"train": (0, 1, 2, 3, 4), "val": (5, 6, 7), "test": (8, 9)}


def table_of(root: Path, name: str, splits: dict[str, tuple[int, ...]]) -> Path:
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
    table_of(root, "split.csv", SPLITS)
    return root


@pytest.fixture
def train(tiny_config: Callable[..., Config]) -> Callable[..., Path]:
    """A function that trains a student for an epoch."""
    config = tiny_config()
    values = {
        "student.name": config.student.name,
        "student.size": config.student.size,
        "optimizer.epochs": 1,
        "optimizer.batch": 4,
    }

    def run_it(data: Path, run: Path, **more: object) -> Path:
        chosen = {**values, **{key.replace("_", ".", 1): value for key, value in more.items()}}
        settings = [word for item in chosen.items() for word in ("--set", as_override(*item))]
        assert distill.main(["--data", str(data), "--out", str(run), *settings]) == 0
        return run

    return run_it


def trained(run: Path, folder: ImageFolder, *starts_from: Path) -> Path:
    rows = trained_rows(folder, photo_hashes(folder, "train"))
    write_trained(run, rows, [str(path) for path in starts_from])
    (run / "student.safetensors").touch()
    return run


def test_a_split_that_was_trained_on_is_refused_and_a_few_photos_are_left_out(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = scan_folder(data)
    run = trained(tmp_path / "run", whole)
    assert unseen_by(whole, run) is whole
    fewer = table_of(data, "fewer.csv", {"train": (0, 1), "val": (5,), "test": (9,)})
    assert len(unseen_by(scan_folder(fewer), run).files) == 8
    for split, line in (("val", "4 of the val photos"), ("test", "4 of the test photos")):
        others = {"train": (5, 6, 7), "val": (8,), "test": (9,), split: (0, 1)}
        table = table_of(data, "other.csv", others)
        wanted = f"{line} of images/other.csv .first: class_0/00.png.: name the folder or table"
        with pytest.raises(UserError, match=wanted):
            import_folder(table, run=run)
        import_folder(table)
    moved = table_of(data, "moved.csv", {"train": (0, 1), "val": (4, 5, 6, 7), "test": (8, 9)})
    caplog.clear()
    found = import_folder(moved, run=run)
    assert [found.files[i][-6:] for i in found.indices("val")] == ["05.png", "06.png", "07.png"] * 2
    assert len(found.indices("train")) == len(found.indices("test")) == 4
    assert "2 photos that" in caplog.text and "(first: class_0/04.png)" in caplog.text


def test_photos_are_known_under_other_names_and_from_earlier_runs(
    data: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    for label in range(2):
        (other / f"class_{label}").mkdir(parents=True)
        for number in range(5):
            copy = other / f"class_{label}" / f"copy {number}.png"
            shutil.copy(data / f"class_{label}" / f"0{number}.png", copy)
    run = trained(tmp_path / "run", scan_folder(data))
    with pytest.raises(UserError, match=r"photos of other \(first: class_"):
        unseen_by(scan_folder(other), run)
    # What a run started from, or was taught by, counts; and so does its fine-tuning.
    late = scan_folder(table_of(data, "late.csv", {"train": (3, 4), "val": (0, 1), "test": (2,)}))
    alone = trained(tmp_path / "a", late, tmp_path / "package:none")
    assert unseen_by(late, alone) is late
    with pytest.raises(UserError, match=r"4 of the val photos of images/late\.csv"):
        unseen_by(late, trained(tmp_path / "b", late, run / "student.safetensors"))
    (tmp_path / "c").mkdir()
    (run / NAME).rename(tmp_path / "c" / NAME)
    (tmp_path / "c").rename(run / "qat")
    with pytest.raises(UserError, match="was trained on"):
        unseen_by(late, run)
    assert unseen_by(late, trained(run, late)) is late  # trained anew: what was before is gone


def test_a_folder_with_copies_of_a_photo_is_accepted_as_in_training(
    data: Path, tmp_path: Path
) -> None:
    shutil.copy(data / "class_0" / "00.png", data / "class_0" / "05.png")  # train and val
    folder = scan_folder(data)
    assert unseen_by(folder, trained(tmp_path / "run", folder)) is folder


def test_a_run_without_a_table_is_accepted_and_a_damaged_table_is_named(
    data: Path, tmp_path: Path
) -> None:
    folder = scan_folder(data)
    assert unseen_by(folder, tmp_path) is folder
    for text in ("sha256,file\n00,a.png\n", "sha256,bytes,file\n00,many,a.png\n", "\0"):
        (tmp_path / NAME).write_text(text + "x")
        with pytest.raises(UserError, match=f"{NAME} is no table of photos"):
            unseen_by(folder, tmp_path)


def test_weights_of_a_run_without_a_table_are_named(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As of a published model; weights of ImageNet have no run beside them."""
    folder, weights = scan_folder(data), tmp_path / "student.safetensors"
    weights.touch()
    assert unseen_by_weights(folder, [str(weights), "package:none", ""]) is folder
    assert not caplog.text
    (tmp_path / "config.json").touch()
    assert unseen_by_weights(folder, [str(weights)]) is folder
    assert f"{tmp_path} does not list the photos" in caplog.text
    caplog.clear()
    trained(tmp_path, folder)
    assert unseen_by_weights(folder, [str(weights)]) is folder
    assert not caplog.text


def test_what_starts_from_weights_without_a_table_passes_that_on(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Over a cache and a student, each with a table of its own."""
    folder, published = scan_folder(data), tmp_path / "published"
    published.mkdir()
    (published / "card.json").touch()
    (published / "teacher.safetensors").touch()
    cache, older = tmp_path / "cache", tmp_path / "older"
    for place in (cache, older):
        place.mkdir()
        (place / "teacher_cache.json").touch()
    write_trained(cache, (), [str(published / "teacher.safetensors")])
    student = trained(tmp_path / "student", folder, cache / "teacher_cache.json")
    starts = [str(student / "student.safetensors"), str(older / "teacher_cache.json")]
    assert unlisted(starts) == [str(published), str(older)]
    assert unseen_by_weights(folder, starts) is folder
    assert caplog.text.count("does not list the photos") == 2


def test_an_empty_table_lists_nothing(data: Path, tmp_path: Path) -> None:
    """Caches of an older version have one where their teacher's run has no table."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "teacher_cache.json").touch()
    write_trained(cache, (), [])
    assert unlisted([str(cache / "teacher_cache.json")]) == [str(cache)]
    folder = scan_folder(data)
    student = trained(tmp_path / "student", folder, cache / "teacher_cache.json")
    assert unlisted([str(student / "student.safetensors")]) == [str(cache)]


def test_the_warning_is_true_of_a_run_and_of_a_cache(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A cache is not trained, its teachers are."""
    (tmp_path / "teacher_cache.json").touch()
    unseen_by_weights(scan_folder(data), [str(tmp_path / "teacher_cache.json")])
    wanted = f"{tmp_path} does not list the photos that it or its teachers were trained on"
    assert wanted in caplog.text


def test_a_table_of_a_cache_removes_none_of_a_fine_tuning(data: Path, tmp_path: Path) -> None:
    tuned = trained(tmp_path / "qat", scan_folder(data)) / NAME
    write_trained(tmp_path, (), [])
    assert tuned.is_file()


def test_a_few_photos_that_teachers_saw_are_left_out(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    teacher = trained(tmp_path / "teacher", scan_folder(data))
    cache = tmp_path / "answers"
    cache.mkdir()
    (cache / "teacher_cache.json").touch()
    write_trained(cache, (), [str(teacher / "student.safetensors")])
    moved = {"train": (0, 1, 2, 3, 5), "val": (4, 6, 7), "test": (8, 9)}
    folder = import_folder(table_of(data, "moved.csv", moved))
    assert len(unseen_by(folder, cache).files) == 18
    assert f"2 photos that the teachers of {cache} were trained on" in caplog.text


def test_a_run_and_a_cache_have_folders_of_their_own(tmp_path: Path) -> None:
    check_place(tmp_path, OF_A_RUN)
    check_place(tmp_path, OF_A_CACHE)
    (tmp_path / "config.json").touch()
    check_place(tmp_path, OF_A_CACHE)
    with pytest.raises(UserError, match="is the folder of a run: name another"):
        check_place(tmp_path, OF_A_RUN)
    (tmp_path / "config.json").unlink()
    (tmp_path / "knowledge.json").touch()
    with pytest.raises(UserError, match="is the folder of a cache of teachers' outputs"):
        check_place(tmp_path, OF_A_CACHE)


@pytest.mark.parametrize("name", ["a\rb", "a\nb", 'a"b', "a,b", " a", "\udcff"])
def test_any_name_of_a_file_comes_back_from_the_tables(
    name: str, data: Path, tmp_path: Path
) -> None:
    (data / "class_0" / "00.png").rename(data / "class_0" / f"{name}.png")
    (data / "split.csv").unlink()
    folder = scan_folder(data)
    run = trained(tmp_path / "run", folder)
    assert len((run / NAME).read_bytes()) > 100 and unseen_by(folder, run) is folder
    write_table(data / "again.csv", rows_of(folder))
    rows, _ = read_table(data / "again.csv", folder.files)
    assert [row.file for row in rows] == list(folder.files)


def test_a_photo_that_cannot_be_opened_is_left_to_who_reads_photos(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a val photo without read rights would end a training after its first epoch."""
    folder, whole = scan_folder(data), Path.open

    def refused(path: Path, *arguments: object, **named: object) -> object:
        if path.name == "05.png":
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path, *arguments, **named)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refused)
        assert photo_hashes(folder, "val").count(UNREAD) == 2
        assert unseen_by(folder, trained(tmp_path / "run", folder)) is folder
    assert UNREAD not in photo_hashes(folder, "val"), "it can be opened now"


def test_the_commands_of_a_run_leave_out_what_it_was_trained_on(
    data: Path,
    tmp_path: Path,
    train: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    few = table_of(data, "few.csv", {"train": (0, 1, 2, 5), "val": (6, 7), "test": (8, 9)})
    run = train(few, tmp_path / "run")
    with caplog.at_level(logging.WARNING):
        assert qat.main([str(run), "--epochs", "0", "--data", str(data)]) == 0
    assert "2 photos that" in caplog.text
    card = json.loads((run / "card.json").read_text())
    assert card["accuracy"]["float"]["images"] == 4
    for command, arguments in ((export.main, []), (convert.main, [])):
        assert command([str(run), *arguments]) == 0
    wrong = table_of(data, "wrong.csv", {"train": (7, 8), "val": (6, 9), "test": (0, 1, 5)})
    for command, arguments in (
        (qat.main, ["--epochs", "0"]),
        (evaluate.main, ["--split", "test"]),
        (parity.main, ["--split", "test"]),
    ):
        words = [str(run), *arguments, "--data", str(wrong)]
        capsys.readouterr()
        assert command(["score", *words] if command is evaluate.main else words) == 2
        said = capsys.readouterr().err
        assert "was trained on 6 of the test photos of images/wrong.csv" in said
    assert not (run / "test_access.jsonl").exists()
