"""Networks by timm's names: MobileNetV3 students, Swin teachers, and their weights on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from pytorch_side.config import Pairs, Student, Teacher
from pytorch_side.nets.conv_stem import STRIDE, ConvStem
from pytorch_side.nets.hub import hub_without_retries
from pytorch_side.nets.packaged import PREFIX, load_packaged
from pytorch_side.nets.selection import select_weights
from pytorch_side.nets.weights import (
    CLASSIFIERS,
    has_classifier,
    load_weights,
    read_weights,
    student_of,
)
from swin2mcu.common.cli import UserError

TEACHER_INPUTS = ("half", "imagenet", "student")  # the values of teacher.input


# Operators that timm's import of torchvision needs; timm calls neither.
TORCHVISION_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


@cache
def timm_package() -> ModuleType:
    """Import timm beside any build of torchvision.

    A torchvision that matches torch registers its own operators. One that does not match (PyPI's is
    compiled for CUDA, and its library does not load with a CPU build of torch) fails to import,
    because two schemas are missing. Only in that case they are declared here: declaring a schema
    twice ends the process.
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in TORCHVISION_SCHEMAS:
            if not hasattr(torch.ops.torchvision, schema.partition("(")[0]):
                library.define(schema)
        timm_package.library = library  # type: ignore[attr-defined]  # else undefined again
    import timm

    return timm


def make_student(
    name: str,
    class_count: int,
    init: str = "",
    pretrained: bool = False,
    dropout: float = 0.0,
    init_key: str = "student.init",
    classes: Sequence[str] = (),
) -> nn.Module:
    """A timm MobileNetV3 with TensorFlow's padding: its conversion then needs no PAD operator.

    `init` is a .safetensors file to start from. If it is empty, `pretrained` downloads timm's
    weights; otherwise weights are random. `init_key` is the config's name for `init`, used in
    errors. `classes` are as in load_weights.
    """
    if "mobilenetv3" not in name:
        raise UserError(f"student {name} is not a MobileNetV3: try tf_mobilenetv3_small_100")
    same = {} if name.startswith("tf_") else {"pad_type": "same"}
    model = _create(
        name,
        init_key,
        pretrained=pretrained and not init,
        num_classes=class_count,
        drop_rate=dropout,
        **same,
    )
    # timm scales a new classifier by its number of outputs: with ten classes logits start at ±3,
    # with two classes even larger, which delays learning. This standard deviation is torchvision's.
    torch.nn.init.normal_(model.classifier.weight, std=0.01)
    if init:
        load_weights(model, Path(init), classes)
    return model


def student_from(settings: Student, class_count: int, classes: Sequence[str] = ()) -> nn.Module:
    """The student that a config describes; `classes` are as in load_weights."""
    init, pretrained = settings.init, settings.pretrained
    if not settings.selected_from:
        return make_student(
            settings.name, class_count, init, pretrained, settings.dropout, classes=classes
        )
    if not init and not pretrained:
        raise UserError(
            f"student.selected_from needs weights of {settings.selected_from}: name them as "
            "student.init, or set student.pretrained"
        )
    wide = make_student(settings.selected_from, class_count, init, pretrained)
    narrow = make_student(settings.name, class_count, dropout=settings.dropout)
    select_weights(wide, narrow, CLASSIFIERS)
    return narrow


def make_teacher(settings: Teacher, class_count: int) -> nn.Module:
    """A Swin: one of timm's by name, or "swin" with `arguments` for timm's SwinTransformer.

    A finished student can teach too, with its logits alone: then the name is a MobileNetV3's.
    """
    if settings.is_student:
        if settings.input != "student" or not settings.init:
            raise UserError(
                f"teacher {settings.name} is no Swin: name a finished student as teacher.init and "
                'set teacher.input = "student"'
            )
        return make_student(settings.name, class_count, settings.init)
    timm = timm_package()
    common: dict[str, Any] = {
        "img_size": settings.size,
        "num_classes": class_count,
        "drop_path_rate": settings.drop_path,
    }
    if settings.name == "swin":
        if settings.pretrained and not (settings.init or settings.stem):
            raise UserError(
                "teacher.pretrained is true, but teacher 'swin' has no weights to download: take "
                "one of timm's, such as swin_tiny_patch4_window7_224"
            )
        if settings.stem:
            common["embed_layer"] = partial(ConvStem, _stem_network(settings))
            common["patch_size"] = STRIDE
        try:
            model: nn.Module = timm.models.swin_transformer.SwinTransformer(
                **common, **settings.arguments
            )
        except Exception as error:  # timm checks little: depths = [] is an IndexError there
            raise UserError(
                f"teacher.arguments do not make a SwinTransformer: {type(error).__name__}: {error}"
            ) from error
    elif settings.name.startswith(("swin_", "swinv2_")) and "_cr_" not in settings.name:
        pretrained = settings.pretrained and not settings.init
        arguments = {**common, **settings.arguments}
        model = _create(settings.name, "teacher.init", pretrained=pretrained, **arguments)
    else:
        raise UserError(f"teacher {settings.name} is not a Swin: try swin_tiny_patch4_window7_224")
    if settings.init:
        load_weights(model, Path(settings.init))
    return model


def _stem_network(settings: Teacher) -> nn.Module:
    """The network whose first stages become the teacher's stem. Raises UserError.

    Weights come from a file, an installed package or the Hugging Face Hub. A finished teacher needs
    none: its own file holds them.
    """
    init = "" if settings.init else settings.stem_init
    pretrained = settings.pretrained and not settings.init and not init
    if "mobilenetv3" in settings.stem and not init.startswith(PREFIX):
        return make_student(settings.stem, 2, init, pretrained, init_key="teacher.stem_init")
    trunk = _create(settings.stem, "teacher.stem_init", pretrained=pretrained, num_classes=1000)
    if not all(hasattr(trunk, part) for part in ("conv_stem", "bn1", "blocks", "feature_info")):
        raise UserError(
            f"teacher.stem {settings.stem} is not a MobileNet or EfficientNet: try "
            "tf_efficientnet_lite0"
        )
    if init.startswith(PREFIX):
        load_packaged(trunk, settings.stem, init)
    elif init:
        load_weights(trunk, Path(init))
    return trunk


def teacher_input(images: Tensor, kind: str) -> Tensor:
    """Re-normalize images from our contract, (p - 128) / 128, as a teacher expects them."""
    pixels = images * 128.0 + 128.0
    if kind == "half":
        return (pixels - 127.5) / 127.5
    if kind == "imagenet":
        mean = pixels.new_tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
        deviation = pixels.new_tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
        return (pixels / 255.0 - mean) / deviation
    if kind == "student":
        return images
    raise UserError(f"teacher.input {kind!r}: known are {', '.join(TEACHER_INPUTS)}")


def student_features(
    student: nn.Module, images: Tensor, stages: tuple[int, ...]
) -> tuple[Tensor, dict[int, Tensor]]:
    """Logits, and the outputs of chosen `student.blocks` stages, (batch, channels, h, w) each."""
    x = student.bn1(student.conv_stem(images))
    features = {}
    for number, stage in enumerate(student.blocks):
        x = stage(x)
        if number in stages:
            features[number] = x
    return student.forward_head(x), features


def stage_width(student: nn.Module, stage: int) -> int:
    """Output channels of one of the student's stages. Raises UserError for a missing stage."""
    if not 0 <= stage < len(student.blocks):
        raise UserError(f"a student has stages 0 to {len(student.blocks) - 1}, not {stage}")
    convolutions = [m for m in student.blocks[stage].modules() if isinstance(m, nn.Conv2d)]
    return int(convolutions[-1].out_channels)


def teacher_features(
    swin: nn.Module, images: Tensor, stages: tuple[int, ...]
) -> tuple[Tensor, dict[int, Tensor]]:
    """Logits, and the outputs of the chosen `swin.layers` stages, (batch, channels, h, w) each."""
    x = swin.patch_embed(images)
    features = {}
    for number, stage in enumerate(swin.layers):
        x = stage(x)
        if number in stages:
            features[number] = x.permute(0, 3, 1, 2)
    return swin.forward_head(swin.norm(x)), features


def teacher_width(swin: nn.Module, stage: int) -> int:
    """Output channels of one of the teacher's stages. Raises UserError for a missing stage."""
    if not hasattr(swin, "layers"):
        raise UserError(
            "a student that teaches has no attention maps: set distillation.attention_pairs = [] "
            "for its cache"
        )
    if not 0 <= stage < len(swin.layers):
        raise UserError(
            f"the teacher has stages 0 to {len(swin.layers) - 1}, not {stage}: correct the "
            "pairs in distillation.attention_pairs (of a teacher's training: hint.pairs)"
        )
    return int(swin.layers[stage].blocks[0].norm1.normalized_shape[0])


def projections(
    width: Callable[[int], int], pairs: Pairs, channels: Mapping[int, int]
) -> nn.ModuleDict:
    """A learned 1x1 projection for each pair, from `width(own stage)` to the other's `channels`.

    (batch, width, h, w) → (batch, channels, h, w), P·x at every position, like the regressor of
    FitNets (Romero et al. 2015, arXiv 1412.6550). Only training needs them; they are not saved.
    """
    return nn.ModuleDict(
        {
            f"{own}-{theirs}": nn.Conv2d(width(own), channels[theirs], 1, bias=False)
            for own, theirs in pairs
        }
    )


def synchronized(model: nn.Module) -> nn.Module:
    """`model` with batch norms that share their statistics among processes, weights kept.

    timm's conversion, not torch's: a MobileNetV3's batch norms also hold its activations, which
    torch's conversion drops.
    """
    timm_package()
    from timm.layers import convert_sync_batchnorm

    converted: nn.Module = convert_sync_batchnorm(model)
    return converted


def load_student(path: Path) -> tuple[nn.Module, int, tuple[str, ...]]:
    """A finished student from its student.safetensors: network (eval mode), input size, classes."""
    weights, metadata = read_weights(path)
    name, size, classes = student_of(metadata, path)
    if not has_classifier(weights, len(classes)):
        raise UserError(f"{path} has no classifier for the {len(classes)} classes that it names")
    return make_student(name, len(classes), str(path)).eval(), size, classes


def _create(name: str, init_key: str, **arguments: Any) -> nn.Module:
    timm = timm_package()
    if not timm.is_model(name):
        raise UserError(f"timm has no model {name!r}: see timm.list_models('*mobilenetv3*')")
    try:
        with hub_without_retries() if arguments["pretrained"] else nullcontext():
            model: nn.Module = timm.create_model(name, **arguments)
    except Exception as error:  # timm checks little: depths = [] is an IndexError there
        # OSError: huggingface_hub without internet; RuntimeError: timm has no weights
        if arguments["pretrained"] and isinstance(error, OSError | RuntimeError):
            source = getattr(timm.models.get_pretrained_cfg(name), "hf_hub_id", None)
            file = f"model.safetensors of {source} on the Hugging Face Hub" if source else "a file"
            # `swin2mcu train` has no --set, but options of its own for the student.
            short = "; for swin2mcu train: --init FILE or --init random"
            raise UserError(
                f"cannot download weights of {name} ({_first_sentence(error)}): get {file} and say "
                f"{init_key}=FILE, or {init_key.partition('.')[0]}.pretrained=false"
                f"{short if init_key == 'student.init' else ''}"
            ) from error
        raise UserError(
            f"timm cannot make such a {name}: {type(error).__name__}: {error}"
        ) from error
    return model


def _first_sentence(error: Exception) -> str:
    return str(error).partition(". ")[0].partition("\n")[0]
