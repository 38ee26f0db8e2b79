"""The networks that are planned with before they are trained are those that will be trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from torch import nn

from pytorch_side.nets.models import make_student
from tinyml.format.mobilenet_graphs import large, small, tiny
from tinyml.format.tflite import parse


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("mobilenetv3_small_050", tiny),
        ("tf_mobilenetv3_small_100", small),
        ("tf_mobilenetv3_large_100", large),
    ],
)
def test_every_layer_has_the_students_shape(name: str, make: Callable[[int], bytes]) -> None:
    layers = [m for m in make_student(name, 10).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    # (outputs, inputs of each, kernel); TFLite keeps a depthwise layer's channels in the last axis.
    real = Counter(
        (m.weight.shape[0], m.weight.shape[1], m.weight[0, 0].numel() if m.weight.dim() == 4 else 1)
        for m in layers
    )
    graph = parse(make(96))
    planned: Counter[tuple[int, int, int]] = Counter()
    for operator in graph.operators:
        if operator.op in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            shape = graph.tensors[operator.inputs[1]].shape
            if operator.op == "DEPTHWISE_CONV_2D":
                planned[shape[3], 1, shape[1] * shape[2]] += 1
            else:
                kernel = shape[1] * shape[2] if len(shape) == 4 else 1
                planned[shape[0], shape[-1], kernel] += 1
    assert planned == real
