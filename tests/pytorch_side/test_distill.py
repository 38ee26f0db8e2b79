"""A map for each pair, projections that learn and are not saved."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from pytorch_side import distill, teacher
from pytorch_side.config import Config, as_override, with_values
from pytorch_side.distillation import teacher_cache, train_student
from pytorch_side.distillation.attention import energy_map
from pytorch_side.distillation.train_student import StudentWithMaps
from pytorch_side.nets.models import make_student, make_teacher, student_features, student_from
from pytorch_side.nets.weights import read_weights, save_weights
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import scan_folder

TINY = """student = { name = "tf_mobilenetv3_small_minimal_100", size = 32 }
optimizer.epochs = 1
"""
TINY_TEACHER = """[teacher]
name = "swin"
size = 32
arguments = { patch_size = 4, window_size = 4, embed_dim = 8, depths = [1, 2], num_heads = [1, 2] }
"""


def test_alignment_brings_stages_to_the_teachers_width(
    tiny_config: Callable[..., Config],
) -> None:
    student = student_from(tiny_config().student, 3).eval()
    model = StudentWithMaps(student, ((1, 0), (2, 1)), {0: 8, 1: 16})
    images = torch.randn(2, 3, 32, 32)
    logits, maps, _ = model(images)
    assert torch.equal(logits, student(images))
    projection = model.projections["2-1"]
    assert projection.out_channels == 16
    _, features = student_features(student, images, (2,))
    assert torch.allclose(maps[2, 1], energy_map(projection(features[2])))
    maps[2, 1].sum().backward()
    assert projection.weight.grad is not None
    assert not any("projection" in name for name in model.student.state_dict())


def test_without_alignment_the_students_own_energy_is_taken(
    tiny_config: Callable[..., Config],
) -> None:
    student = student_from(tiny_config().student, 3).eval()
    model = StudentWithMaps(student, ((2, 1),), {})
    images = torch.randn(2, 3, 32, 32)
    _, maps, _ = model(images)
    _, features = student_features(student, images, (2,))
    assert torch.equal(maps[2, 1], energy_map(features[2]))


@pytest.mark.parametrize("channels", [{}, {2: 192}])
def test_a_stage_that_the_student_has_not_is_named(channels: dict[int, int]) -> None:
    student = make_student("tf_mobilenetv3_small_100", 3)
    with pytest.raises(UserError, match="stages 0 to 5, not 7"):
        StudentWithMaps(student, ((3, 2), (7, 2)), channels)
    with pytest.raises(UserError, match="stages 0 to 5, not 9"):
        StudentWithMaps(student, (), {}, ((9, 1),), {1: 24})


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"distillation.beta": 0.3, "distillation.attention_pairs": []}, "name pairs of stages"),
        ({"distillation.attention_pairs": [[9, 0]]}, "stages 0 to 5, not 9"),
        ({"hint.pairs": []}, "name them as hint.pairs"),
        ({"hint.pairs": [[9, 1]]}, "stages 0 to 5, not 9"),
        ({"hint.pairs": [[1, 9]]}, "stages 0 to 5, not 9"),
    ],
)
def test_pairs_of_stages_are_checked_before_the_teacher_answers(
    make_folder: Callable[..., Path],
    tiny_config: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, object],
    line: str,
) -> None:
    monkeypatch.setattr(train_student, "make_teacher_cache", None)
    config = tiny_config({"distillation.alpha": 0.5, "teacher.init": "t.safetensors"})
    path = tmp_path / "hint.safetensors"
    about = {"student": config.student.name, "size": 32, "classes": ["a", "b", "c"]}
    save_weights(student_from(config.student, 3), path, about)
    hint = {"hint.init": str(path)} if "hint.pairs" in changes else {}
    images = make_folder()
    config = with_values(config, {**hint, **changes})
    with pytest.raises(UserError, match=line):
        train_student.distill(config, scan_folder(images), tmp_path / "run")
    values = {**changes, **hint, "distillation.alpha": 0.5}
    settings = [word for item in values.items() for word in ("--set", as_override(*item))]
    arguments = [*settings, "--data", str(images), "--out", str(tmp_path / "run")]
    assert teacher_cache.main(arguments) == 2
    assert line in capsys.readouterr().err


def test_a_run_that_asks_its_teacher_and_one_that_finds_the_answers_are_equal(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    folder = scan_folder(make_folder())
    config = tiny_config(
        {"distillation.alpha": 0.5, "distillation.beta": 0.1, "optimizer.epochs": 1}
    )
    path = tmp_path / "teacher.safetensors"
    save_weights(make_teacher(config.teacher, 3), path, {"classes": list(folder.classes)})
    config = with_values(
        config, {"teacher.init": str(path), "distillation.cache": str(tmp_path / "cache")}
    )
    for name in ("asks", "finds"):
        train_student.distill(config, folder, tmp_path / name)
    asks, finds = (
        read_weights(tmp_path / name / "student.safetensors")[0] for name in ("asks", "finds")
    )
    assert asks.keys() == finds.keys()
    assert all(torch.equal(asks[key], finds[key]) for key in asks)


def test_a_finished_run_is_not_taken_for_one_of_a_changed_folder(
    make_folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A photo less, then a class more: the accuracy it would print is of neither."""
    data, config = make_folder(), tmp_path / "config.toml"
    config.write_text(TINY)
    arguments = ["--config", str(config), "--data", str(data), "--out", str(tmp_path / "run")]
    assert distill.main(arguments) == distill.main(arguments) == 0
    folder = scan_folder(data)
    photo = data / folder.files[folder.indices("train")[0]]
    kept = photo.read_bytes()
    more = make_folder(classes=4, name="more") / "class_3"
    for change in (photo.unlink, lambda: shutil.copytree(more, data / "class_3")):
        change()
        capsys.readouterr()
        assert distill.main(arguments) == 2
        assert (
            "checkpoint.pt belongs to other images: use another folder" in capsys.readouterr().err
        )
        photo.write_bytes(kept)


@pytest.mark.parametrize("module", [distill, teacher])
def test_a_finished_run_writes_its_removed_weights_again(
    make_folder: Callable[..., Path], tmp_path: Path, module: ModuleType
) -> None:
    """Those of the last epoch's average, from its checkpoint."""
    config = tmp_path / "config.toml"
    config.write_text(TINY + "optimizer.ema = 0.5\n" + TINY_TEACHER)
    run = tmp_path / "run"
    arguments = ["--config", str(config), "--data", str(make_folder()), "--out", str(run)]
    assert module.main(arguments) == 0
    (weights,) = run.glob("*.safetensors")
    made, log = weights.read_bytes(), (run / "log.csv").read_bytes()
    weights.unlink()
    assert module.main(arguments) == 0
    assert weights.read_bytes() == made and (run / "log.csv").read_bytes() == log


@pytest.mark.parametrize("module", [distill, teacher])
def test_a_run_is_not_resumed_on_other_photos_of_the_same_names(
    make_folder: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    module: ModuleType,
) -> None:
    """A single one of those it learns from, or of those it is scored on."""
    data, config = make_folder(), tmp_path / "config.toml"
    config.write_text(TINY + TINY_TEACHER)
    arguments = ["--config", str(config), "--data", str(data), "--out", str(tmp_path / "run")]
    assert module.main(arguments) == 0
    folder = scan_folder(data)
    for split in ("train", "val"):
        photo = data / folder.files[folder.indices(split)[1]]
        kept = photo.read_bytes()
        Image.fromarray(255 - np.asarray(Image.open(photo))).save(photo)
        capsys.readouterr()
        assert module.main(arguments) == 2
        assert "belongs to other photos with the same names: use another" in capsys.readouterr().err
        photo.write_bytes(kept)
    shutil.copytree(data, tmp_path / "moved")
    arguments[3] = str(tmp_path / "moved")
    assert module.main(arguments) == 0


@pytest.mark.parametrize("module", [distill, teacher_cache, teacher])
def test_a_mistake_is_one_line_and_exit_2(
    module: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(tmp_path / "gone"), "--out", str(tmp_path / "run")]
    assert module.main(arguments) == 2  # type: ignore[attr-defined]
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "gone" in error
    assert module.main([*arguments, "--set", "no_such_key=1"]) == 2  # type: ignore[attr-defined]
    assert "no_such_key" in capsys.readouterr().err


def test_without_data_the_error_says_how_to_name_some(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert distill.main([]) == 2
    assert "SWIN2MCU_DATA" in capsys.readouterr().err
