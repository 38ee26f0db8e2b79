"""Networks by name, their padding, and weights that fit or are refused by name."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from pytorch_side.config import Config, Student, with_values
from pytorch_side.nets.models import (
    load_student,
    make_student,
    make_teacher,
    student_features,
    student_from,
    synchronized,
    teacher_features,
    teacher_input,
    teacher_width,
    timm_package,
)
from pytorch_side.nets.weights import load_weights, read_weights, save_weights
from swin2mcu.common.cli import UserError

MINIMAL = "tf_mobilenetv3_small_minimal_100"
PRETRAINED = {"student.name": MINIMAL, "student.pretrained": True}


def paddings(model: nn.Module) -> set[str]:
    """Kinds of padding of the strided convolutions."""
    return {
        type(m).__name__ for m in model.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)
    }


def test_a_student_without_weights_begins_without_opinions() -> None:
    torch.manual_seed(0)
    student = make_student("tf_mobilenetv3_small_100", 10).train()
    labels = torch.arange(20) % 10
    loss = nn.functional.cross_entropy(student(torch.randn(20, 3, 64, 64)), labels)
    assert abs(float(loss.detach()) - math.log(10)) < 0.1


def test_a_new_classifier_on_given_weights_begins_without_opinions(tmp_path: Path) -> None:
    """timm's would begin with logits of several: the first epochs then unlearn them."""
    torch.manual_seed(0)
    save_weights(make_student("tf_mobilenetv3_small_100", 10), tmp_path / "a.safetensors", {})
    student = make_student("tf_mobilenetv3_small_100", 2, str(tmp_path / "a.safetensors"))
    assert float(student.classifier.weight.detach().abs().max()) < 0.1
    same = make_student("tf_mobilenetv3_small_100", 10, str(tmp_path / "a.safetensors"))
    torch.manual_seed(0)
    drawn = make_student("tf_mobilenetv3_small_100", 10)
    assert torch.equal(same.classifier.weight, drawn.classifier.weight)  # kept, where it fits


@pytest.mark.parametrize("name", [MINIMAL, "mobilenetv3_small_050"])
def test_every_student_has_tensorflow_padding(name: str) -> None:
    """TensorFlow's SAME is asymmetric at stride 2; symmetric padding would become PAD operators."""
    assert paddings(make_student(name, 3)) == {"Conv2dSame"}
    plain = timm_package().create_model("mobilenetv3_small_050")
    assert paddings(plain) == {"Conv2d"}


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (with_values(Config(), {"student.name": "resnet18"}), "not a MobileNetV3"),
        (with_values(Config(), {"student.name": "tf_mobilenetv3_huge"}), "tf_mobilenetv3_huge"),
        (
            with_values(Config(), {"student.name": MINIMAL, "student.init": "gone.safetensors"}),
            r"gone\.safetensors",
        ),
    ],
)
def test_a_wrong_student_is_named(config: Config, names: str) -> None:
    with pytest.raises(UserError, match=names):
        student_from(config.student, 3)


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (with_values(Config(), {"teacher.name": "vit_tiny_patch16_224"}), "not a Swin"),
        (with_values(Config(), {"teacher.name": "swinv2_cr_tiny_224"}), "not a Swin"),
        (
            with_values(Config(), {"teacher.name": "swin", "teacher.arguments": {"depht": 2}}),
            "depht",
        ),
        (
            with_values(
                Config(),
                {"teacher.name": "swin", "teacher.pretrained": True},
            ),
            "no weights to download",
        ),
        (with_values(Config(), {"teacher.name": "swin_nonesuch"}), "timm has no model"),
        (
            with_values(
                Config(),
                {
                    "teacher.name": "swin_tiny_patch4_window7_224",
                    "teacher.arguments": {"depths": []},
                },
            ),
            "cannot make such a swin_tiny",
        ),
    ],
)
def test_a_wrong_teacher_is_named(config: Config, names: str) -> None:
    with pytest.raises(UserError, match=names):
        make_teacher(config.teacher, 3)


def test_a_timm_swin_takes_another_input_size() -> None:
    config = with_values(
        Config(),
        {
            "teacher.name": "swin_tiny_patch4_window7_224",
            "teacher.size": 64,
            "teacher.arguments": {
                "depths": [1, 1],
                "embed_dim": 8,
                "num_heads": [1, 2],
                "window_size": 4,
            },
        },
    )
    assert make_teacher(config.teacher, 3).eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def download(monkeypatch: pytest.MonkeyPatch, weights: dict[str, torch.Tensor] | None) -> list[str]:
    """Stand in for timm's download: it brings `weights`, or fails without; lists what was asked."""
    asked: list[str] = []

    def bring(source: object, *_: object, **__: object) -> dict[str, torch.Tensor]:
        asked.append(str(source))
        if weights is None:
            raise OSError("no network")
        return dict(weights)

    builder = importlib.import_module("timm.models._builder")
    monkeypatch.setattr(builder, "load_state_dict_from_hf", bring)
    monkeypatch.setattr(builder, "load_state_dict_from_url", bring)
    return asked


def test_pretrained_weights_come_through_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a download brings must arrive, and its failure be told."""
    config = with_values(Config(), {"student.name": "mobilenetv3_small_050"})
    source = student_from(config.student, 1000).state_dict()
    asked = download(monkeypatch, source)
    model = student_from(with_values(config, {"student.pretrained": True}).student, 3)
    assert len(asked) == 1
    assert torch.equal(model.conv_stem.weight, source["conv_stem.weight"])
    download(monkeypatch, None)
    with pytest.raises(UserError, match=r"student\.init"):
        student_from(with_values(config, {"student.pretrained": True}).student, 3)


def test_a_pretrained_teacher_comes_through_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"depths": [1, 1], "embed_dim": 8, "num_heads": [1, 2], "window_size": 4}
    config = with_values(
        Config(),
        {
            "teacher.name": "swin_tiny_patch4_window7_224",
            "teacher.size": 64,
            "teacher.arguments": sizes,
        },
    )
    source = make_teacher(config.teacher, 1000).state_dict()
    asked = download(monkeypatch, source)
    teacher = make_teacher(with_values(config, {"teacher.pretrained": True}).teacher, 3)
    assert len(asked) == 1
    name = "layers.1.blocks.0.attn.qkv.weight"
    assert torch.equal(teacher.state_dict()[name], source[name])
    assert teacher.get_classifier().out_features == 3


def test_a_finished_teachers_stem_is_not_downloaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_config: Callable[..., Config]
) -> None:
    sizes = {"window_size": 4, "embed_dim": 8, "depths": [1, 2], "num_heads": [1, 2]}
    config = tiny_config({"teacher.size": 64, "teacher.stem": MINIMAL, "teacher.arguments": sizes})
    save_weights(make_teacher(config.teacher, 3), tmp_path / "teacher.safetensors", {})
    asked = download(monkeypatch, None)
    own = with_values(config, {"teacher.pretrained": True})  # of the student that it teaches
    make_teacher(
        with_values(own, {"teacher.init": str(tmp_path / "teacher.safetensors")}).teacher, 3
    )
    assert asked == []
    with pytest.raises(UserError, match="no network"):
        make_teacher(own.teacher, 3)


def test_synchronized_batch_norms_keep_weights_and_activations() -> None:
    student = make_student(MINIMAL, 3).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        wanted = student(images)
        converted = synchronized(student)
        assert torch.equal(converted(images), wanted)
    kinds = [module for module in converted.modules() if isinstance(module, nn.SyncBatchNorm)]
    assert len(kinds) > 30
    assert not any(isinstance(module, nn.BatchNorm2d) for module in converted.modules())


def test_the_teacher_sees_its_own_normalization() -> None:
    images = (torch.tensor([0.0, 128.0, 255.0]) - 128) / 128
    images = images.view(1, 1, 1, 3).expand(1, 3, 1, 3)
    half = teacher_input(images, "half")[0, 0, 0]
    assert half.tolist() == pytest.approx([-1.0, 0.5 / 127.5, 1.0])
    imagenet = teacher_input(images, "imagenet")[0, 2, 0]
    assert imagenet.tolist() == pytest.approx([(p / 255 - 0.406) / 0.225 for p in (0, 128, 255)])
    assert torch.equal(teacher_input(images, "student"), images)
    with pytest.raises(UserError, match="cifar"):
        teacher_input(images, "cifar")


def test_features_are_those_of_the_forward_pass() -> None:
    student = make_student(MINIMAL, 3).eval()
    images = torch.randn(2, 3, 64, 64)
    logits, features = student_features(student, images, (2, 3))
    assert torch.equal(logits, student(images))
    assert features[3].shape[2:] == (4, 4)
    assert set(features) == {2, 3}


@pytest.mark.parametrize("stem", ["", MINIMAL])
def test_a_teachers_features_are_those_of_the_forward_pass(
    tiny_config: Callable[..., Config], stem: str
) -> None:
    sizes = {"window_size": 4, "embed_dim": 8, "depths": [1, 2], "num_heads": [1, 2]}
    patch = {} if stem else {"patch_size": 4}  # a stem's is 16
    config = tiny_config(
        {"teacher.size": 64, "teacher.stem": stem, "teacher.arguments": sizes | patch}
    )
    teacher = make_teacher(config.teacher, 3).eval()
    images = torch.randn(2, 3, 64, 64)
    watched: list[torch.Tensor] = []
    teacher.layers[1].register_forward_hook(lambda _, __, output: watched.append(output))
    wanted = teacher(images)
    logits, features = teacher_features(teacher, images, (1,))
    assert torch.equal(logits, wanted)
    assert set(features) == {1}
    assert torch.equal(features[1].permute(0, 2, 3, 1), watched[0])
    assert features[1].shape[:2] == (2, teacher_width(teacher, 1)) == (2, 16)
    assert teacher_width(teacher, 0) == 8
    with pytest.raises(UserError, match="stages 0 to 1, not 2"):
        teacher_width(teacher, 2)


def test_a_classifier_for_other_classes_is_left_fresh(tmp_path: Path) -> None:
    source = make_student(MINIMAL, 7)
    save_weights(source, tmp_path / "seven.safetensors", {})
    path = str(tmp_path / "seven.safetensors")
    other = make_student(MINIMAL, 3, init=path)
    assert torch.equal(other.conv_stem.weight, source.conv_stem.weight)
    assert other.classifier.out_features == 3
    same = make_student(MINIMAL, 7, init=path)
    assert torch.equal(same.classifier.weight, source.classifier.weight)


@pytest.mark.parametrize("classes", ["cba", "bd", "xbyc", "xyz"])
def test_classes_of_the_same_name_keep_their_weights(tmp_path: Path, classes: str) -> None:
    path = tmp_path / "three.safetensors"
    source, settings = make_student(MINIMAL, 3), Student(name=MINIMAL, init=str(path))
    nn.init.normal_(source.classifier.bias)
    save_weights(source, path, {"student": MINIMAL, "size": 32, "classes": list("abc")})
    made = student_from(settings, len(classes), classes).classifier
    for row, name in enumerate(classes):
        if name in "abc":
            assert torch.equal(made.weight[row], source.classifier.weight["abc".index(name)])
            assert made.bias[row] == source.classifier.bias["abc".index(name)]
        else:
            assert made.weight[row].std() < 0.02, "random, as of a new student"
    save_weights(source, path, {"student": MINIMAL, "size": 32, "classes": list("abcd")})
    made = student_from(settings, 3, "abc").classifier
    assert torch.equal(made.weight, source.classifier.weight), "by shape, as a file without names"


def test_weights_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    save_weights(model, tmp_path / "model.safetensors", {})
    with pytest.raises(UserError, match=r"0\.weight"):
        load_weights(nn.Sequential(nn.Conv2d(3, 8, 3)), tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"lacks weights.*1\.weight"):
        load_weights(
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)), tmp_path / "model.safetensors"
        )
    with pytest.raises(UserError, match="does not have"):
        load_weights(nn.Linear(3, 4), tmp_path / "model.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(UserError, match="cannot read weights"):
        load_weights(model, tmp_path / "text.safetensors")


def test_a_saved_student_comes_back(tmp_path: Path, tiny_config: Callable[..., Config]) -> None:
    student = student_from(tiny_config().student, 3).eval()
    metadata = {"student": MINIMAL, "size": 32, "classes": ["a", "b", "c"]}
    save_weights(student, tmp_path / "student.safetensors", metadata)
    loaded, size, classes = load_student(tmp_path / "student.safetensors")
    images = torch.randn(1, 3, 32, 32)
    assert torch.equal(loaded(images), student(images))
    assert (size, classes) == (32, ("a", "b", "c"))
    save_weights(student, tmp_path / "bare.safetensors", {"classes": json.dumps(["a"])})
    with pytest.raises(UserError, match="size, student"):
        load_student(tmp_path / "bare.safetensors")


def test_equal_weights_are_equal_bytes(tmp_path: Path) -> None:
    """The library orders a header's keys anew at each call; a hash must not depend on it."""
    model = nn.Sequential(*(nn.Conv2d(1, 1, 1) for _ in range(8)))
    metadata = {name: name for name in "fedcba"}
    for number in range(3):
        save_weights(model, tmp_path / f"{number}.safetensors", metadata)
    files = {(tmp_path / f"{number}.safetensors").read_bytes() for number in range(3)}
    assert len(files) == 1
    weights, found = read_weights(tmp_path / "0.safetensors")
    assert found == metadata
    assert all(torch.equal(weights[n], v) for n, v in model.state_dict().items())


@pytest.mark.parametrize(
    "metadata",
    [
        {"size": "96x", "classes": ["a", "b"]},
        {"size": 0, "classes": ["a", "b"]},
        {"size": 32, "classes": "[a"},
        {"size": 32, "classes": ["a", "a"]},
        {"size": 32, "classes": 2},
    ],
)
def test_a_student_that_tells_no_size_or_classes_is_named(
    tmp_path: Path, metadata: dict[str, object]
) -> None:
    path = tmp_path / "student.safetensors"
    save_weights(make_student(MINIMAL, 2), path, {"student": MINIMAL, **metadata})
    with pytest.raises(UserError, match=r"student\.safetensors (has|is for)"):
        load_student(path)


def test_a_stem_brings_its_weights_and_its_stages(tmp_path: Path) -> None:
    """Up to stride 16 the images go through the lender's own layers; then Swin stages take over."""
    torch.manual_seed(1)
    lender = make_student(MINIMAL, 1000)
    path = tmp_path / "lender.safetensors"
    save_weights(lender, path, {})
    config = with_values(
        Config(),
        {
            "teacher.name": "swin",
            "teacher.stem": MINIMAL,
            "teacher.stem_init": str(path),
            "teacher.size": 64,
            "teacher.arguments": {
                "window_size": 2,
                "embed_dim": 8,
                "depths": [2, 1],
                "num_heads": [1, 2],
            },
        },
    )
    teacher = make_teacher(config.teacher, 3).eval()
    images = torch.randn(2, 3, 64, 64)
    assert teacher(images).shape == (2, 3)
    tokens = teacher.patch_embed(images)
    assert tokens.shape == (2, 4, 4, 8)
    _, features = student_features(lender.eval(), images, (3,))
    assert features[3].shape[2:] == (4, 4)
    own = teacher.patch_embed.norm(teacher.patch_embed.project(features[3]).permute(0, 2, 3, 1))
    assert torch.allclose(tokens, own, atol=1e-5)
