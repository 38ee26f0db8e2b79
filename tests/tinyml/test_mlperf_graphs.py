"""MLPerf Tiny's networks have the reference models' cost and operators, and its bytes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from aot_runner import build, compile_bytes, images_for, reference, run

from tinyml.format.facts import count_macs
from tinyml.format.mlperf_graphs import PUBLISHED, by_name
from tinyml.format.tflite import parse

# Counted in mlcommons/tiny's vww_96_int8.tflite and pretrainedResnet_quant.tflite.
EXPECTED = {
    "mlperf-vww": (7_489_664, {"CONV_2D": 14, "DEPTHWISE_CONV_2D": 13}),
    "mlperf-ic": (12_501_632, {"CONV_2D": 9, "ADD": 3}),
}
HEAD = {"AVERAGE_POOL_2D": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1}


@pytest.mark.parametrize("name", PUBLISHED)
def test_operators_and_multiplications_are_the_reference_models(name: str) -> None:
    model = by_name(name)
    assert model is not None
    graph, (macs, operators) = parse(model), EXPECTED[name]
    assert count_macs(graph) == macs
    assert Counter(o.op for o in graph.operators) == operators | HEAD
    assert compile_bytes(model, "dsp").macs == macs


def test_they_answer_as_the_interpreter_and_not_always_the_same(tmp_path: Path) -> None:
    models = [model for name in PUBLISHED if (model := by_name(name)) is not None]
    images = [images_for(model, 4) for model in models]
    expected = [reference(m, i) for m, i in zip(models, images, strict=True)]
    program = build(tmp_path, [compile_bytes(m) for m in models])
    for number, answers in enumerate(expected):
        given = run(program, [(number, image, answers[0].size) for image in images[number]])
        np.testing.assert_array_equal(given, answers)
        assert len({answer.tobytes() for answer in answers}) > 1
