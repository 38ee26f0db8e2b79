"""The PyTorch backends: Swin-L, the teacher that was used, and the student."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from host_tools.inputs import Model
from host_tools.pc.backend import Backend
from host_tools.pc.runner import Pixels, Runner
from host_tools.results import LEARNED_FROM
from pytorch_side.config import read_saved_config, with_values
from pytorch_side.nets.describe import describe_teacher, saved_beside
from swin2mcu.common.cli import UserError
from swin2mcu.common.pixels import to_float

SWIN_LARGE = "swin_large_patch4_window7_224"
PACKAGES = ("torch", "timm")
RANDOM = "random weights: they do not change its speed, and its accuracy is not measured"


@dataclass(frozen=True)
class TorchSource:
    """How to make a network, and whether the result has weights worth scoring."""

    make: Callable[[], Any]  # → nn.Module in eval mode
    teacher_input: str | None = None  # how a teacher expects its pixels; None: our own contract


def torch_backends(model: Model, class_count: int, threads: int) -> list[Backend]:
    """Swin-L, the run's own teacher and student. Weights are used where the folder names them."""
    suffix = "" if threads == 1 else f"-{threads}t"
    found = [
        _backend(
            f"pc-torch-swin-large-float32{suffix}",
            224,
            threads,
            TorchSource(lambda: _timm(SWIN_LARGE, class_count)),
            None,
            RANDOM,
        )
    ]
    found += _teacher_used(model, class_count, threads, suffix)
    weights = model.folder / "student.safetensors"
    trained = weights.is_file()
    found.append(
        _backend(
            f"pc-torch-float32{suffix}",
            model.size,
            threads,
            TorchSource(
                (lambda: _trained_student(weights))
                if trained
                else (lambda: _student(model.card.student, class_count, model.size))
            ),
            weights if trained else None,
            "the float student before quantization-aware training" if trained else RANDOM,
        )
    )
    return found


def _teacher_used(model: Model, class_count: int, threads: int, suffix: str) -> list[Backend]:
    path = model.folder / "config.json"
    if not path.is_file():
        return []
    config = read_saved_config(path)
    if not config.distillation.used:
        return []  # it learned from labels alone
    if config.several_teachers:
        return []
    weights = Path(config.teacher.init) if config.teacher.init else None
    trained = weights is not None and weights.is_file()
    described = describe_teacher(config, saved_beside(weights))
    if not trained:
        if config.teacher.name == SWIN_LARGE or config.teacher.is_student:
            return []  # it is measured already
        unnamed = {"teacher.init": "", "teacher.stem_init": "", "teacher.pretrained": False}
        config = with_values(config, unnamed)

    def make() -> Any:
        from pytorch_side.nets.models import make_teacher

        return make_teacher(config.teacher, class_count).eval()

    return [
        _backend(
            f"pc-torch-teacher-float32{suffix}",
            config.teacher.size,
            threads,
            TorchSource(make, config.teacher.input),
            weights if trained else None,
            f"{LEARNED_FROM}: {described}" if trained else f"{described}; {RANDOM}",
        )
    ]


def _backend(
    target: str, size: int, threads: int, source: TorchSource, file: Path | None, note: str
) -> Backend:
    return Backend(
        target,
        "PyTorch",
        "float32",
        size,
        threads,
        PACKAGES,
        lambda count: load_torch(source, size, count),
        file,
        note,
        scored=file is not None,
    )


def load_torch(source: TorchSource, size: int, threads: int) -> Runner:
    import torch

    torch.set_num_threads(threads)
    network = source.make().to(memory_format=torch.channels_last)

    def prepare(pixels: Pixels) -> Any:
        values = torch.from_numpy(to_float(pixels)[None].transpose(0, 3, 1, 2).copy())
        if source.teacher_input is not None:
            from pytorch_side.nets.models import teacher_input

            values = teacher_input(values, source.teacher_input)
        return values.contiguous(memory_format=torch.channels_last)

    def run(values: Any) -> np.ndarray[Any, Any]:
        with torch.inference_mode():
            logits: np.ndarray[Any, Any] = network(values)[0].numpy()
        return logits

    return Runner(prepare, run, lambda: _facts(network, size))


def _facts(network: Any, size: int) -> dict[str, int]:
    """Multiply-accumulates and parameters, counted by running the network once."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, size, size))
    return {
        "macs": counter.get_total_flops() // 2,  # it counts a multiplication and an addition as two
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }


def timm_package() -> Any:
    from pytorch_side.nets.models import timm_package as found

    return found()


def _timm(name: str, class_count: int) -> Any:
    return timm_package().create_model(name, pretrained=False, num_classes=class_count).eval()


def _student(name: str, class_count: int, size: int) -> Any:
    """The network that a card names, after a check that it takes images of the model's size."""
    import torch

    if not timm_package().is_model(name):
        raise UserError(f"timm has no model {name!r}, which the card names as the student")
    try:
        network = _timm(name, class_count)
        with torch.inference_mode():
            network(torch.zeros(1, 3, size, size))
    except Exception as error:  # each of timm's hundreds of networks refuses in its own way
        what = f"{type(error).__name__}: {error}"
        raise UserError(f"the card's student {name!r} takes no {size} px image: {what}") from error
    return network


def _trained_student(path: Path) -> Any:
    from pytorch_side.nets.models import load_student

    return load_student(path)[0]
