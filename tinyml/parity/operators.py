"""Compare LiteRT's reference kernels with two simulations, operator by operator on equal inputs.

Each operator of the network is computed on LiteRT's own input tensors, once in float arithmetic and
once in exact mode's integers, which are TFLite Micro's. So the rounding of LiteRT's kernels is
bounded at each operator, by one step, and not after it has grown through the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from swin2mcu.common.cli import UserError
from swin2mcu.common.pixels import to_int8
from tinyml.format.tflite import parse
from tinyml.runtimes.litert import LiteRT

NOTHING = {"elements": 0, "off": 0.0, "max_lsb": 0, "off_exact": 0.0, "max_lsb_exact": 0}


def compare_operators(run: Path, pixels: Iterable[npt.NDArray[np.uint8]]) -> dict[str, Any]:
    """Operator → {"elements", "off", "max_lsb", "off_exact", "max_lsb_exact"}.

    "off" is the share of elements that differ from float arithmetic, "off_exact" from exact mode.
    The converter removes a MEAN over one pixel; then its input is used instead. Raises UserError
    where the file lacks another tensor of the network.
    """
    import torch

    from pytorch_side.int8.fine_tune import load_quantized
    from pytorch_side.int8.integer_net import IntegerNet
    from pytorch_side.int8.legalize import compute

    net = load_quantized(run)[0]
    exact = IntegerNet(net)
    model = (run / "model_int8.tflite").read_bytes()
    graph = parse(model)
    interpreter = LiteRT(model, keep_tensors=True)
    index = {tensor.name: tensor.index for tensor in graph.tensors}
    operator_of = {graph.tensors[o.outputs[0]].name: o.op for o in graph.operators}
    for step in net.legal.steps:
        if step.name in index:
            continue
        if step.operator != "mean":
            raise UserError(f"{run / 'model_int8.tflite'} lacks {step.name}: convert the run again")
        index[step.name] = index[step.inputs[0]]
    found: dict[str, dict[str, Any]] = {}

    def stored(name: str) -> npt.NDArray[Any]:
        value = interpreter.tensor(index[name])
        return value.transpose(0, 3, 1, 2) if value.ndim == 4 else value

    def centered(name: str) -> torch.Tensor:
        _, zero_point = net.parameters_of(name)
        return torch.from_numpy(stored(name).astype(np.float32) - np.float32(zero_point))

    for image in pixels:
        interpreter.run(to_int8(image))
        for step in (s for s in net.legal.steps if s.name in operator_of):
            scale, zero_point = net.parameters_of(step.name)
            inputs = [centered(name) for name in step.inputs]
            with torch.inference_mode():
                weight, bias = net.rounded_weights(step) if step.has_weights else (None, None)
                real = [
                    x * float(net.parameters_of(name)[0])
                    for x, name in zip(inputs, step.inputs, strict=True)
                ]
                y = net.rounded(step.name, compute(step, real, weight, bias)).numpy()
                if step.operator == "linear":
                    inputs = [x.flatten(1) for x in inputs]
                integers = exact.step(step.name, inputs).numpy() + float(zero_point)
            own = stored(step.name).astype(np.float64)
            entry = found.setdefault(operator_of[step.name], dict(NOTHING))
            _count(entry, own, np.round(y / scale) + zero_point, integers)
    for entry in found.values():
        entry["off"] /= entry["elements"]
        entry["off_exact"] /= entry["elements"]
    return found


def _count(
    entry: dict[str, Any],
    own: npt.NDArray[np.float64],
    in_float: npt.NDArray[Any],
    exact: npt.NDArray[Any],
) -> None:
    """Add one output of the kernel to an operator's entry; "off" is a count until the end."""
    entry["elements"] += own.size
    for suffix, other in (("", in_float), ("_exact", exact)):
        difference = np.abs(other - own)
        entry[f"off{suffix}"] += float((difference > 0).sum())
        entry[f"max_lsb{suffix}"] = max(entry[f"max_lsb{suffix}"], int(difference.max()))
