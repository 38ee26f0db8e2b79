"""QAT as a command: PTQ, training on integers, resuming, and the files it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pytorch_side.config import Config, read_saved_config, save_config, with_values
from pytorch_side.data.cache import decode_images
from pytorch_side.data.loader import TrainBatches
from pytorch_side.int8 import fine_tune
from pytorch_side.int8.fine_tune import complete_card, load_quantized
from pytorch_side.int8.integer_net import IntegerNet
from pytorch_side.int8.qat_settings import QatSettings, qat_config
from pytorch_side.nets.models import student_from
from pytorch_side.nets.weights import read_weights, save_weights
from pytorch_side.qat import main
from swin2mcu.common.card import Calibration, Card, SplitRule, load_card, save_card
from swin2mcu.common.dataset import scan_folder


@pytest.fixture
def run(tmp_path: Path, tiny_config: Callable[..., Config]) -> Path:
    """A run folder with a student of three classes that never saw an image."""
    folder = tmp_path / "run"
    folder.mkdir()
    config = tiny_config()
    torch.manual_seed(0)
    student = student_from(config.student, 3)
    metadata = {
        "student": config.student.name,
        "size": config.student.size,
        "classes": [f"class_{i}" for i in range(3)],
    }
    save_weights(student, folder / "student.safetensors", metadata)
    save_config(config, folder / "config.json")
    return folder


def test_ptq_then_qat(
    run: Path, make_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(make_folder(images=16))]
    config = with_values(read_saved_config(run / "config.json"), {"data.split_seed": 3})
    save_config(config, run / "config.json")
    assert main([str(run), "--epochs", "0", *data]) == 0
    card = load_card(run / "card.json")
    assert card.split == SplitRule(seed=3)
    assert set(card.accuracy) == {"float", "ptq"} and not (run / "qat").exists()
    before = load_quantized(run)[0]

    options = ["--epochs", "3", "--float-epochs", "2", "--follow-epochs", "1"]
    assert main([str(run), *options, "--learning-rate", "1e-3", *data]) == 0
    after, size, classes, student = load_quantized(run)
    assert (size, classes, student) == (32, card.classes, card.student)
    changed = [
        not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True)
    ]
    assert all(changed)
    assert not torch.equal(before.high, after.high)  # followed for an epoch
    card = load_card(run / "card.json")
    assert set(card.accuracy) == {"float", "ptq", "qat"}
    assert len((run / "qat" / "log.csv").read_text().splitlines()) == 4
    assert "of them), val" in capsys.readouterr().out
    # The card's figure is the exact integers' own.
    from pytorch_side.train import top1
    from swin2mcu.common.dataset import import_folder, load_split_pixels

    pixels, labels, _, _ = load_split_pixels(import_folder(Path(data[1]), card=card), "val", size)
    assert card.accuracy["qat"]["top1"] == top1(IntegerNet(after), pixels, labels)

    record = json.loads((run / "ranges.json").read_text())
    for name, entry in record["activations"].items():
        scale, zero_point = after.parameters_of(name)
        assert np.float32(entry["scale"]) == scale and entry["zero_point"] == zero_point


def test_fine_tuning_of_another_student_starts_again(
    run: Path, make_folder: Callable[..., Path], tiny_config: Callable[..., Config]
) -> None:
    """The student was trained further: its int8 weights must not be the old one's."""
    data = ["--data", str(make_folder(images=16)), "--images", "16"]
    assert main([str(run), *data]) == 0
    first = load_quantized(run)[0]
    written = (run / "qat/checkpoint.pt").stat().st_mtime_ns
    assert main([str(run), *data]) == 0
    assert (run / "qat/checkpoint.pt").stat().st_mtime_ns == written, "of the same student it stays"
    path = run / "student.safetensors"
    torch.manual_seed(1)
    save_weights(student_from(tiny_config().student, 3), path, read_weights(path)[1])
    assert main([str(run), *data]) == 0
    second = load_quantized(run)[0]
    own, alone = second.state_dict(), run.with_name("alone")
    assert not all(torch.equal(value, own[name]) for name, value in first.state_dict().items())
    alone.mkdir()
    for name in ("student.safetensors", "config.json"):
        (alone / name).write_bytes((run / name).read_bytes())
    assert main([str(alone), *data]) == 0
    expected = load_quantized(alone)[0].state_dict()
    assert all(torch.equal(value, own[name]) for name, value in expected.items())


def test_other_weights_leave_no_model_and_no_figure_of_the_ones_before(
    run: Path, make_folder: Callable[..., Path]
) -> None:
    data = ["--data", str(make_folder(images=16))]
    assert main([str(run), *data, "--images", "16"]) == 0
    models = [run / name for name in fine_tune.MADE_OF_IT]
    for model in models:
        model.write_text("made of these weights")
    assert main([str(run), *data, "--images", "16"]) == 0
    assert all(model.exists() for model in models), "the same weights again"
    assert main([str(run), *data, "--epochs", "0"]) == 0
    assert not any(model.exists() for model in models)
    assert set(load_card(run / "card.json").accuracy) == {"float", "ptq"}


def test_a_killed_run_ends_as_an_undisturbed_one(
    run: Path, make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--epochs", "3", "--float-epochs", "1", "--data", str(make_folder(images=16))]
    assert main([str(run), *arguments]) == 0
    wanted, _ = read_weights(run / "qat.safetensors")
    for name in ("qat.safetensors", "card.json", "ranges.json"):
        (run / name).unlink()
    for file in (run / "qat").iterdir():
        file.unlink()

    saved = fine_tune.save_weights
    calls = []

    def save_twice(*given: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        saved(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(fine_tune, "save_weights", save_twice)
    assert main([str(run), *arguments]) == 130
    monkeypatch.setattr(fine_tune, "save_weights", saved)
    assert main([str(run), *arguments]) == 0
    resumed, _ = read_weights(run / "qat.safetensors")
    assert all(torch.equal(resumed[name], value) for name, value in wanted.items())


def test_a_part_of_the_images_is_a_fair_one(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config]
) -> None:
    folder = scan_folder(make_folder(images=16))
    batches = TrainBatches(decode_images(folder), tiny_config({"optimizer.batch": 2}), 32, limit=6)
    counts = np.bincount(folder.labels[batches.positions], minlength=3)
    assert batches.steps == 3 and counts.tolist() == [2, 2, 2]
    settings = QatSettings(images=5)
    assert qat_config(tiny_config({"int8.qat_images": 9}), settings).int8.qat_images == 5
    assert qat_config(tiny_config({"int8.qat_images": 9}), QatSettings()).int8.qat_images == 9


def test_another_data_set_is_refused(
    run: Path, make_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_folder(classes=2, images=16, name="two")
    assert main([str(run), "--epochs", "0", "--data", str(data)]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]  # after the table of photos
    assert "knows the classes class_0, class_1, class_2" in error


@pytest.mark.parametrize("file", ["student.safetensors", "config.json"])
def test_an_incomplete_run_is_refused(
    run: Path, make_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str], file: str
) -> None:
    (run / file).unlink()
    assert main([str(run), "--epochs", "0", "--data", str(make_folder())]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]  # after the table of photos
    assert error.startswith("error: ") and file in error


def test_qat_learns_from_labels_alone(tiny_config: Callable[..., Config]) -> None:
    config = tiny_config(
        {
            "distillation.alpha": 0.4,
            "distillation.beta": 0.2,
            "augment.cached": 3,
            "student.dropout": 0.3,
        }
    )
    own = qat_config(config, QatSettings())
    assert not own.distillation.used and own.distillation.cache == ""
    assert (own.augment.cached, own.student.dropout) == (0, 0.0)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--epochs", "-1"], "-1 epochs"),
        (["--float-epochs", "2"], "2 of them in float"),
        (["--epochs=2", "--float-epochs=1", "--follow-epochs=2"], "2 of those update ranges"),
        (["--learning-rate", "nan"], "learning rate nan"),
        (["--images", "-5"], "-5 images"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    run: Path,
    make_folder: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    names: str,
) -> None:
    assert main([str(run), "--data", str(make_folder()), *options]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and names in error and "\n" not in error
    assert not (run / "qat").exists()


def test_quantizing_again_keeps_the_calibration_until_another_file_is_made(tmp_path: Path) -> None:
    """`make board` after `swin2mcu train` makes the same file; it must still say *not sure*."""
    card = Card("mine", "tf_mobilenetv3_small_100", ("a", "b"), (32, 32, 3))
    made = replace(card, sha256="f" * 64, calibration=Calibration(0.5, 2.0, 0.9, 30))
    save_card(made, tmp_path / "card.json")
    complete_card(tmp_path, card, {"qat": 0.5}, 10, "photos", "python -m pytorch_side.qat mine")
    found = load_card(tmp_path / "card.json")
    assert (found.sha256, found.calibration) == (made.sha256, made.calibration)
    (tmp_path / "card.json").write_text("damaged")
    complete_card(tmp_path, card, {"qat": 0.5}, 10, "photos", "python -m pytorch_side.qat mine")
    assert load_card(tmp_path / "card.json").calibration is None
