"""Operator by operator: each int8 kernel against float arithmetic on the very same inputs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from swin2mcu.common.pixels import to_int8
from tinyml.format.tflite import parse
from tinyml.runtimes.litert import LiteRT


def compare_operators(run: Path, pixels: Iterable[npt.NDArray[np.uint8]]) -> dict[str, Any]:
    """Operator → {"elements", "off": share of elements that differ, "max_lsb"}.

    The kernels are LiteRT's reference ones; what they are compared with is the fake-quantised
    network of `run`, fed with the tensors those kernels were given.
    """
    import torch

    from pytorch_side.int8.legalize import compute
    from pytorch_side.qat import load_quantised

    net = load_quantised(run)[0]
    model = (run / "model_int8.tflite").read_bytes()
    graph = parse(model)
    interpreter = LiteRT(model, keep_tensors=True)
    index = {tensor.name: tensor.index for tensor in graph.tensors}
    operator_of = {graph.tensors[o.outputs[0]].name: o.op for o in graph.operators}
    found: dict[str, dict[str, Any]] = {}

    def stored(name: str) -> npt.NDArray[Any]:
        value = interpreter.tensor(index[name])
        return value.transpose(0, 3, 1, 2) if value.ndim == 4 else value

    def real(name: str) -> torch.Tensor:
        scale, zero_point = net.parameters_of(name)
        return torch.from_numpy(
            (stored(name).astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
        )

    for image in pixels:
        interpreter.run(to_int8(image))
        for step in net.legal.steps:
            with torch.inference_mode():
                weight, bias = net.rounded_weights(step) if step.has_weights else (None, None)
                y = compute(step, [real(name) for name in step.inputs], weight, bias)
                y = net.rounded(step.name, y)
            scale, zero_point = net.parameters_of(step.name)
            simulated = np.round(y.numpy() / scale) + zero_point
            difference = np.abs(simulated - stored(step.name))
            entry = found.setdefault(
                operator_of[step.name], {"elements": 0, "off": 0.0, "max_lsb": 0}
            )
            entry["elements"] += difference.size
            entry["off"] += float((difference > 0).sum())
            entry["max_lsb"] = max(entry["max_lsb"], int(difference.max()))
    for entry in found.values():
        entry["off"] /= entry["elements"]
    return found
