"""What `swin2mcu train` chooses, and that its commands are ones that exist."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace
from safetensors.torch import save, save_file

from pytorch_side.config import Config, load_config, save_config, with_values
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import import_folder
from swin2mcu.predict import main as predict
from swin2mcu.train import main, unlabeled_photos
from swin2mcu.train_plan import (
    EPOCHS_MAX,
    EPOCHS_MIN,
    HALF,
    STEPS_MIN,
    WIDE,
    batch_for,
    plan_training,
    student_for,
)
from swin2mcu.train_steps import steps_of


def plan(images: int, init: str = "imagenet", teacher: Path | None = None, **given: int) -> dict:
    return plan_training(images, (WIDE, 96), init, teacher, given.get("epochs"), 0).settings


@pytest.mark.parametrize("images", [1, 14, 70, 300, 600, 2_000, 12_083, 100_000])
def test_every_set_gets_enough_steps(images: int) -> None:
    settings = plan(images)
    batch, epochs = settings["optimizer.batch"], settings["optimizer.epochs"]
    steps = max(1, images // batch) * epochs  # as TrainBatches counts them
    assert EPOCHS_MIN <= epochs <= EPOCHS_MAX
    assert steps >= STEPS_MIN or epochs == EPOCHS_MAX
    assert settings["optimizer.warmup_epochs"] <= epochs / 10
    assert plan(images, "random")["optimizer.epochs"] >= epochs


def test_batches_grow_with_the_set() -> None:
    sizes = [batch_for(n) for n in (1, 79, 160, 320, 639, 640, 10**6)]
    assert sizes == [8, 8, 16, 32, 32, 64, 64]


def test_a_start_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UserError, match="neither imagenet, random nor a file"):
        plan(10, "weights.safetensors")
    with pytest.raises(UserError, match=r"not the teacher\.safetensors"):
        plan(10, teacher=Path("teacher.safetensors"))


STEM = {"window_size": 5, "embed_dim": 48, "depths": [1, 1], "num_heads": [2, 4]}


@pytest.mark.parametrize(("images", "views"), [(70, 16), (600, 7), (12_083, 6)])
def test_few_photos_are_taught_in_more_augmentations(
    tmp_path: Path, images: int, views: int
) -> None:
    save_config(Config(), tmp_path / "config.json")
    (tmp_path / "teacher.safetensors").touch()
    settings = plan(images, teacher=tmp_path / "teacher.safetensors")
    assert settings["augment.cached"] == views


def test_photos_without_a_label_are_a_part_of_every_epoch(tmp_path: Path) -> None:
    save_config(Config(), tmp_path / "config.json")
    teacher = tmp_path / "teacher.safetensors"
    teacher.touch()
    few = plan_training(600, (WIDE, 96), "imagenet", teacher, None, 0, unlabeled=11_483)
    all_labeled = plan(12_083, teacher=teacher)
    alike = {"distillation.alpha": 0.7, "distillation.beta": 0.3}
    assert few.settings == {**all_labeled, **alike}
    assert few.settings["optimizer.epochs"] == EPOCHS_MIN
    assert "12,083 photos" in few.reasons[1] and "600 have a label" in few.reasons[2]
    assert plan(600, teacher=teacher)["optimizer.epochs"] > EPOCHS_MIN


def test_photos_without_a_label_are_counted_once(
    make: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = [f"{name}/{number}.png" for name in "ab" for number in range(6)]
    data = make(*photos, "unlabeled/1.png", "unlabeled/2.png")
    (tmp_path / "more").mkdir()
    shutil.copy(data / "a/1.png", tmp_path / "more" / "3.png")
    folder = import_folder(data)
    assert unlabeled_photos(folder, "") == 2
    assert unlabeled_photos(folder, str(data / "unlabeled")) == 2
    groups = tuple("north" if split == "test" else "south" for split in folder.splits)
    farms = {"unlabeled/1.png": "north", "unlabeled/2.png": "south"}
    held = dataclasses.replace(folder, groups=groups, unlabeled_groups=farms)
    assert unlabeled_photos(held, "") == 1, "those of a held farm do not join"
    assert unlabeled_photos(folder, str(tmp_path / "more")) == 3
    with pytest.raises(UserError, match="nowhere"):
        unlabeled_photos(folder, str(tmp_path / "nowhere"))

    save_config(Config(), tmp_path / "config.json")
    teacher = tmp_path / "teacher.safetensors"
    save_file({"head.fc.bias": torch.zeros(2)}, teacher)
    planned = [str(data), "--init", "random", "--plan"]
    labeled = len(folder.indices("train"))
    assert main(planned) == 0
    assert f"epochs of {labeled} photos" in capsys.readouterr().out, "they need a teacher"
    assert main([*planned, "--teacher", str(teacher)]) == 0
    said = capsys.readouterr().out
    assert f"epochs of {labeled + 2} photos" in said and f"{labeled} have a label" in said
    more = ["--teacher", str(teacher), "--unlabeled", str(tmp_path / "more")]
    assert main([*planned, *more]) == 0
    said = capsys.readouterr().out
    assert f"epochs of {labeled + 3} photos" in said
    assert f"distillation.unlabeled={tmp_path / 'more'}" in said

    # What the second of several trainings would refuse is refused before the first.
    (tmp_path / "empty").mkdir()
    for place, line in ((data, "holds the labeled photos too"), (tmp_path / "empty", "no image")):
        assert main([*planned, *more[:3], str(place), "--rounds", "2"]) == 2
        assert line in capsys.readouterr().err
    save_file({"head.fc.bias": torch.zeros(3)}, teacher)
    assert main([*planned, *more[:2], "--rounds", "2"]) == 2
    assert "has no classifier for 2 classes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("made", "pairs"),
    [
        ({"teacher.name": "swin", "teacher.arguments": STEM}, ((3, 0), (5, 1))),
        ({"teacher.name": "swin", "teacher.arguments": {"depths": [2, 2, 4, 2]}}, ((3, 2), (5, 3))),
        ({"teacher.name": "swin_tiny_patch4_window7_224"}, ((3, 2), (5, 3))),
        ({"teacher.name": "swin", "teacher.arguments": {"depths": [2]}}, ((5, 0),)),
    ],
)
def test_a_teacher_is_used_as_it_was_trained(
    made: dict[str, object], pairs: tuple[tuple[int, int], ...], tmp_path: Path
) -> None:
    """The command that trains the student reads what the plan says of the teacher."""
    config = with_values(Config(), {**made, "teacher.size": 160, "teacher.init": "weights/start"})
    save_config(config, tmp_path / "config.json")
    teacher = tmp_path / "teacher.safetensors"
    teacher.touch()
    planned = plan_training(600, (WIDE, 96), "random", teacher, None, 0)
    (_, command), *_ = steps_of(planned, tmp_path, tmp_path / "run", [])
    sets = [command[i + 1] for i, word in enumerate(command) if word == "--set"]
    read = load_config(None, sets)
    assert read.teacher == replace(config.teacher, init=str(teacher))
    assert read.distillation.attention_pairs == pairs
    assert read.distillation.alpha > 0


def test_the_board_limits_the_size() -> None:
    assert student_for(None, 10, "imagenet") == (WIDE, 96)
    assert student_for("qemu-m7", 10, "imagenet") == (WIDE, 160)
    assert student_for("nucleo-f746zg", 10, "imagenet") == (HALF, 160)  # one megabyte of flash
    with pytest.raises(UserError, match="toaster"):
        student_for("toaster", 10, "imagenet")


def test_a_narrow_student_starts_from_channels_of_the_wide_one(tmp_path: Path) -> None:
    def start(init: str) -> dict[str, object]:
        chosen = plan_training(70, (HALF, 96), init, None, None, 0).settings
        return {key: value for key, value in chosen.items() if key.startswith("student.")}

    own, size = tmp_path / "own.safetensors", {"student.name": HALF, "student.size": 96}
    wide = size | {"student.selected_from": WIDE}
    assert start("imagenet") == wide | {"student.pretrained": "true"}
    assert start("random") == size
    for student, expected in ((None, wide), (WIDE, wide), (HALF, size)):
        own.write_bytes(save({"weight": torch.zeros(1)}, finished(student)))
        assert start(str(own)) == expected | {"student.init": str(own)}


def finished(student: str | None) -> dict[str, str]:
    """The metadata of a student; None: of other weights."""
    return {"student": student, "size": "128", "classes": '["a", "b"]'} if student else {}


def test_training_goes_on_with_the_student_of_the_file(tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    for student, expected in ((HALF, (HALF, 128)), (WIDE, (WIDE, 128)), (None, (WIDE, 96))):
        own.write_bytes(save({"weight": torch.zeros(1)}, finished(student)))
        assert student_for(None, 2, str(own)) == expected
    own.write_bytes(save({"weight": torch.zeros(1)}, {"student": HALF, "size": "big"}))
    with pytest.raises(UserError, match=r"own\.safetensors"):
        student_for(None, 2, str(own))


def test_bad_arguments_are_one_line(capsys: pytest.CaptureFixture[str], leaves: Path) -> None:
    assert main([str(leaves), "--epochs", "0"]) == 2
    assert "--epochs" in capsys.readouterr().err
    assert main([str(leaves), "--rounds", "0"]) == 2
    assert "--rounds must be at least 1" in capsys.readouterr().err
    assert main([str(leaves), "--rounds", "2"]) == 2
    assert "--rounds needs a teacher" in capsys.readouterr().err
    for share in ("1.5", "-0.1", "nan"):
        assert main([str(leaves), f"--backgrounds={share}"]) == 2
        assert "--backgrounds must be between 0 and 1" in capsys.readouterr().err
    assert main([str(leaves), "--plan", "--init", "random", "--backgrounds", "0.5"]) == 0
    assert "--set augment.backgrounds=0.5" in capsys.readouterr().out
    assert main([str(leaves), "--plan", "--init", "random"]) == 0
    shown = capsys.readouterr().out
    assert "teacher: none: a student of random weights may gain from one" in shown
    assert "start: random weights" in shown and "python -m tinyml.convert runs/mine" in shown


@pytest.mark.parametrize(("images", "calibrated"), [(7, False), (100, True)])
def test_a_val_too_small_to_calibrate_is_told_before_training(
    make_folder: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    images: int,
    calibrated: bool,
) -> None:
    data = make_folder(classes=2, images=images, size=8)
    assert main([str(data), "--plan", "--init", "random"]) == 0
    shown = capsys.readouterr().out
    assert ("python -m swin2mcu.calibrate" in shown) is calibrated
    assert ("the model never answers *not sure*" in shown) is not calibrated
    assert "python -m tinyml.parity" in shown


@pytest.mark.slow
def test_nine_photos_of_each_class_become_a_model_that_answers(
    make_folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = make_folder(classes=2, images=9), tmp_path / "run"
    command = [str(data), "--out", str(run), "--init", "random", "--epochs", "30"]
    assert main(command) == 0
    assert f"{run} is ready" in capsys.readouterr().out
    assert predict([str(run), str(data / "class_0/00.png")]) == 0
    assert "class_" in capsys.readouterr().out
