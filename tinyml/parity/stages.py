"""The rungs of the ladder: each a way to run one model, from the trained float network to its C."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from swin2mcu.common.card import load_card, sha256_of
from swin2mcu.common.cli import UserError
from swin2mcu.common.pixels import to_float, to_int8
from tinyml.format.tflite import read
from tinyml.runtimes.generated import GeneratedC
from tinyml.runtimes.litert import LiteRT
from tinyml.runtimes.onnx import onnx_session
from tinyml.runtimes.tflite_micro import Micro

INT8_RUNG = "tflite-micro"  # its logits are the board's

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Rung:
    """One way to run the model, and the rung whose answers its own must equal."""

    name: str
    against: str  # "" for the first
    unit: Literal["lsb", "logit"]  # of the difference from `against`
    limit: float  # the largest difference allowed there; infinite where only top-1 counts
    run: Callable[[Pixels], npt.NDArray[Any]]  # pixels (N, h, w, 3) → real logits (N, classes)


def make_rungs(run: Path, work: Path) -> list[Rung]:
    """All rungs that the files of a run folder allow; C is built in `work`.

    A folder without the trained weights (a zoo entry) has the int8 rungs alone. Raises UserError
    when there is no int8 model, or it is not the card's.
    """
    path = run / "model_int8.tflite"
    card = load_card(run / "card.json")
    if card.sha256 != sha256_of(path):
        raise UserError(f"{path} is not the model of its card: run python -m tinyml.convert {run}")
    model, graph = path.read_bytes(), read(path)
    output = graph.tensors[graph.outputs[0]]

    def integers(runner: Callable[[Any], npt.NDArray[Any]]) -> Callable[[Pixels], Any]:
        def logits(pixels: Pixels) -> npt.NDArray[Any]:
            stored = np.stack([runner(image) for image in to_int8(pixels)]).astype(np.float64)
            return (stored - int(output.zero_points[0])) * float(output.scales[0])

        return logits

    rungs = []
    trained = (run / "qat.safetensors").is_file()
    if trained:
        rungs += _torch_rungs(run)
        session = onnx_session(run / "model.onnx")
        rungs.append(Rung("onnx", "quantised-weights", "logit", 1e-3, session))
        float_model = LiteRT((run / "model_float32.tflite").read_bytes(), reference=False)
        rungs.append(
            Rung(
                "tflite-float32",
                "onnx",
                "logit",
                1e-3,
                lambda pixels: np.stack([float_model.run(i) for i in to_float(pixels)]),
            )
        )
    before = "exact" if trained else ""
    # LiteRT requantises FULLY_CONNECTED with other roundings: one LSB, rarely.
    reference = integers(LiteRT(model).run)
    generated = integers(GeneratedC(graph, card.sha256, work).run)
    return [
        *rungs,
        Rung("litert-int8-reference", before, "lsb", 1, reference),
        Rung(INT8_RUNG, before or "litert-int8-reference", "lsb", 0 if before else 1,
             integers(Micro(model).run)),
        Rung("generated-c", INT8_RUNG, "lsb", 0, generated),
    ]  # fmt: skip


def _torch_rungs(run: Path) -> list[Rung]:
    import torch

    from pytorch_side.data.loader import to_images
    from pytorch_side.int8.integer_net import IntegerNet
    from pytorch_side.int8.legalize import legalize
    from pytorch_side.nets.models import load_student
    from pytorch_side.qat import load_quantised

    net = load_quantised(run)[0]

    def torch_run(model: Callable[[Any], Any]) -> Callable[[Pixels], npt.NDArray[Any]]:
        def logits(pixels: Pixels) -> npt.NDArray[Any]:
            with torch.inference_mode():
                answer: npt.NDArray[Any] = model(to_images(pixels)).numpy()
            return answer

        return logits

    rungs = []
    if (run / "student.safetensors").is_file():
        student = load_student(run / "student.safetensors")[0]
        rungs = [
            Rung("torch-float", "", "logit", 0, torch_run(student)),
            Rung("legalized", "torch-float", "logit", 1e-4, torch_run(legalize(student))),
        ]
    first = "legalized" if rungs else ""
    return [
        *rungs,
        Rung("quantised-weights", first, "logit", np.inf, torch_run(net.with_rounded_weights)),
        Rung("fake-quantised", "quantised-weights", "lsb", np.inf, torch_run(net)),
        Rung("exact", "fake-quantised", "lsb", np.inf, torch_run(IntegerNet(net))),
    ]
