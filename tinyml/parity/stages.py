"""The stages of the chain: all forms of one model, from the trained float network to its C code."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from swin2mcu.common.card import load_card, sha256_of
from swin2mcu.common.cli import UserError
from swin2mcu.common.pixels import to_float, to_int8
from tinyml.format.facts import contract_of, open_card
from tinyml.format.tflite import read
from tinyml.runtimes.generated import GeneratedC
from tinyml.runtimes.litert import LiteRT
from tinyml.runtimes.onnx import onnx_session
from tinyml.runtimes.reference import open_reference, reference_name

FINE_TUNED = "fine-tuned"  # by QAT, in float: what all rounding starts from
LAST = "generated-c"

# How much a stage may differ from the one it is compared with; compare.py defines the figures.
# docs/PARITY.md gives the reasons, and the worst value of each figure over many small trainings.
Limits = dict[str, float]
SAME_BYTES: Limits = {"max_difference": 0}
SAME_FUNCTION: Limits = {"relative_max": 1e-4}  # float32 rounds differently in another order
# Rounding to int8 changes the function a little.
ROUNDED: Limits = {"relative_rms": 0.5, "decided_agreement": 0.9}
# QAT trains the network further. One that had hardly learned anything may become any other one, so
# its logits have no bound: it may not answer worse.
TRAINED: Limits = {"top1_lost": 0.1}
# For another implementation, differences of one rounding step grow through the network, so its
# logits have no bound. operators.py bounds it operator by operator.
OTHER_KERNELS: Limits = {"decided_agreement": 0.9}

Pixels = npt.NDArray[np.uint8]
Run = Callable[[Pixels], npt.NDArray[Any]]  # pixels (N, h, w, 3) → real logits (N, classes)


@dataclass(frozen=True)
class Stage:
    """One form of the model, and the stage whose logits it is compared with."""

    name: str
    against: str  # name of that stage; "" if there is none
    unit: Literal["lsb", "logit"]  # of max_difference
    run: Run
    limits: Limits = field(default_factory=dict)


def make_stages(run: Path, work: Path) -> list[Stage]:
    """All stages for which a run folder has the files; C is built in `work`.

    A folder without the trained weights (a zoo entry) has only the int8 stages. Raises UserError
    when there is no int8 model, or when it is not the card's.
    """
    path = run / "model_int8.tflite"
    card = load_card(run / "card.json")
    if card.sha256 != sha256_of(path):
        again = f"python -m tinyml.convert {shlex.quote(str(run))}"
        raise UserError(f"{path} is not the model of its card: run {again}")
    sha256 = card.sha256
    card = open_card(run / "card.json", path)
    if not contract_of(card).ours:
        raise UserError(f"{path} is not fed as this project's networks are: score it on a board")
    model, graph = path.read_bytes(), read(path)
    output = graph.tensors[graph.outputs[0]]

    def integers(runner: Callable[[Any], npt.NDArray[Any]]) -> Run:
        def logits(pixels: Pixels) -> npt.NDArray[Any]:
            stored = np.stack([runner(image) for image in to_int8(pixels)]).astype(np.float64)
            return (stored - int(output.zero_points[0])) * float(output.scales[0])

        return logits

    trained = (run / "qat.safetensors").is_file()
    # TFLite Micro, or where it is not to be had the generated C: its logits are the board's.
    name, exact = reference_name(model), integers(open_reference(model).run)
    other_kernels = integers(LiteRT(model).run)
    generated = integers(GeneratedC(graph, sha256, work).run)
    return [
        *(_torch_stages(run) if trained else []),
        *(_float_stages(run) if trained else []),
        Stage(name, "exact", "lsb", exact, SAME_BYTES)
        if trained
        else Stage(name, "", "lsb", exact),
        Stage("litert-int8-reference", name, "lsb", other_kernels, OTHER_KERNELS),
        *([Stage(LAST, name, "lsb", generated, SAME_BYTES)] if name != LAST else []),
    ]


def _float_stages(run: Path) -> list[Stage]:
    onnx = onnx_session(run / "model.onnx")
    float_model = LiteRT((run / "model_float32.tflite").read_bytes(), reference=False)

    def tflite(pixels: Pixels) -> npt.NDArray[Any]:
        return np.stack([float_model.run(image) for image in to_float(pixels)])

    return [
        Stage("onnx", "quantized-weights", "logit", onnx, SAME_FUNCTION),
        Stage("tflite-float32", "onnx", "logit", tflite, SAME_FUNCTION),
    ]


def _torch_stages(run: Path) -> list[Stage]:
    import torch

    from pytorch_side.data.loader import to_images
    from pytorch_side.int8.fine_tune import load_quantized
    from pytorch_side.int8.integer_net import IntegerNet
    from pytorch_side.int8.legalize import legalize
    from pytorch_side.nets.models import load_student

    net = load_quantized(run)[0]

    def torch_run(model: Callable[[Any], Any]) -> Run:
        def logits(pixels: Pixels) -> npt.NDArray[Any]:
            with torch.inference_mode():
                answer: npt.NDArray[Any] = model(to_images(pixels)).numpy()
            return answer

        return logits

    stages: list[Stage] = []
    if (run / "student.safetensors").is_file():
        student = load_student(run / "student.safetensors")[0]
        legal = torch_run(legalize(student))
        stages = [
            Stage("torch-float", "", "logit", torch_run(student)),
            Stage("legalized", "torch-float", "logit", legal, SAME_FUNCTION),
        ]
    fine_tuned = torch_run(net.legal)
    rounded_weights = torch_run(net.with_rounded_weights)
    fake, exact = torch_run(net), torch_run(IntegerNet(net))
    return [
        *stages,
        Stage(FINE_TUNED, "legalized", "logit", fine_tuned, TRAINED)
        if stages
        else Stage(FINE_TUNED, "", "logit", fine_tuned),
        Stage("quantized-weights", FINE_TUNED, "logit", rounded_weights, ROUNDED),
        Stage("fake-quantized", "quantized-weights", "lsb", fake, ROUNDED),
        Stage("exact", "fake-quantized", "lsb", exact, ROUNDED),
    ]
