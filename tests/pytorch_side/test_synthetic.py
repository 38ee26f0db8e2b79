"""Generated leaves: the same at any time, and too hard for a linear classifier."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pytorch_side.config import Config, with_values
from pytorch_side.data.synthetic.__main__ import (
    CLASSES,
    contact_sheet,
    leaf_photo,
    main,
    write_leaves,
)
from pytorch_side.evaluate.background_probe import Split, probe, read_pixels
from swin2mcu.common.dataset import ImageFolder, load_split_pixels, scan_folder


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> ImageFolder:
    out = tmp_path_factory.mktemp("leaves") / "data"
    write_leaves(out, per_class=120, size=64)
    return scan_folder(out)


@pytest.fixture(scope="module")
def pixels(leaves: ImageFolder) -> dict[str, Split]:
    torch.set_num_threads(1)
    return read_pixels(leaves)


def digests(root: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in root.glob("*/*.jpg")}


def test_one_seed_is_one_photo() -> None:
    for name in CLASSES:
        photo = np.asarray(leaf_photo(name, 3, seed=5, size=96))
        assert photo.shape == (96, 96, 3)
        assert np.array_equal(photo, np.asarray(leaf_photo(name, 3, seed=5, size=96)))
        assert not np.array_equal(photo, np.asarray(leaf_photo(name, 4, seed=5, size=96)))
        assert not np.array_equal(photo, np.asarray(leaf_photo(name, 3, seed=6, size=96)))


def test_files_do_not_depend_on_processes_or_on_a_kill(tmp_path: Path) -> None:
    write_leaves(tmp_path / "one", per_class=10, size=48, processes=1)
    write_leaves(tmp_path / "two", per_class=10, size=48, processes=2)
    whole = digests(tmp_path / "one")
    assert len(whole) == 10 * len(CLASSES)
    assert digests(tmp_path / "two") == whole
    # What a kill leaves behind: some photos and no split.csv.
    (tmp_path / "two/split.csv").unlink()
    for lost in list((tmp_path / "two").glob("*/*_00007.jpg")):
        lost.unlink()
    write_leaves(tmp_path / "two", per_class=10, size=48)
    assert digests(tmp_path / "two") == whole
    assert (tmp_path / "two/split.csv").read_text() == (tmp_path / "one/split.csv").read_text()


def test_every_class_is_in_every_split(leaves: ImageFolder) -> None:
    assert leaves.classes == CLASSES
    for label in range(len(CLASSES)):
        splits = list(leaves.splits[leaves.labels == label])
        assert [splits.count(split) for split in ("train", "val", "test")] == [90, 12, 18]


def test_a_linear_classifier_on_pixels_fails(pixels: dict[str, Split]) -> None:
    found = probe(pixels, "whole photo")
    assert found["train_top1"] > 0.5, "the probe learned nothing, so its failure means nothing"
    assert found["test_top1"] <= 0.60


def test_the_background_gives_nothing_away(pixels: dict[str, Split]) -> None:
    for region in ("frame", "eight pixels"):
        found = probe(pixels, region)
        assert found["test_top1"] <= 0.10 + 4 * (0.1 * 0.9 / found["test_images"]) ** 0.5


def test_mean_color_does_not_tell_the_class(pixels: dict[str, Split]) -> None:
    """Lesions do change the color of a leaf's middle a little: 29 % here, 10 % is chance."""

    def means(photos: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        middle = photos[:, 16:48, 16:48].mean(axis=(1, 2), keepdims=True)
        return np.tile(middle.astype(np.uint8), (1, 9, 9, 1))

    blurred = {name: (means(photos), labels) for name, (photos, labels) in pixels.items()}
    assert probe(blurred, "whole photo")["test_top1"] <= 0.35


def test_contact_sheet_has_a_row_for_each_class() -> None:
    sheet = contact_sheet(columns=3, size=48)
    assert sheet.size == (3 * 48, len(CLASSES) * 48)
    first = sheet.crop((48, 2 * 48, 96, 3 * 48))
    assert np.array_equal(np.asarray(first), np.asarray(leaf_photo(CLASSES[2], 1, size=48)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to do"),
        (["--out", "new", "--per-class", "3"], "at least 10"),
        (["--out", "new", "--size", "8"], "choose 48 to 1024"),
        (["--out", "new", "--processes", "0"], "choose 1 to 64"),
        (["--out", "new", "--seed", "-1"], "choose 0 or more"),
        (["--sheet", "new.png", "--size", "0"], "choose 48 to 1024"),
        (["--out", "used"], "other files"),
        (["--out", "grown", "--size", "64"], "leaves with other settings"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, file, text in (
        ("used", "letter.txt", "dear"),
        ("grown", "recipe.txt", "pytorch_side.data.synthetic size 48 seed 0\n"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(text)
    assert main(arguments) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert said.startswith("error: ")
    assert "\n" not in said
    assert (tmp_path / "used/letter.txt").read_text() == "dear"


@pytest.mark.slow
def test_a_small_student_learns_leaves_from_scratch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytorch_side.distillation.train_student import distill
    from pytorch_side.nets.models import load_student
    from pytorch_side.train import top1

    monkeypatch.setenv("SWIN2MCU_CACHE", str(tmp_path / "cache"))
    write_leaves(tmp_path / "data", per_class=300)
    folder = scan_folder(tmp_path / "data")
    config = with_values(
        Config(),
        {
            "optimizer.epochs": 24,
            "optimizer.batch": 32,
            "optimizer.learning_rate": 2e-3,
            "optimizer.ema": 0.995,
            "student.dropout": 0.0,
            "optimizer.label_smoothing": 0.05,
            "augment.area_min": 0.75,
            "augment.color": 0.2,
        },
    )
    distill(config, folder, tmp_path / "run")
    student, size, classes = load_student(tmp_path / "run/student.safetensors")
    assert classes == CLASSES
    photos, labels, _, _ = load_split_pixels(folder, "test", size)
    assert top1(student, photos, labels) >= 0.90
