"""The legalized network with QAT's weights as ONNX.

The graph is written node by node from the steps, so each tensor has its step's name and no exporter
changes the graph. Weights have the int8 model's values (integer times scale). Biases are in float,
not rounded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pytorch_side.config import read_saved_config, split_rule
from pytorch_side.int8.fakequant import QuantNet
from pytorch_side.int8.fine_tune import load_quantized
from pytorch_side.int8.legalize import INPUT, NetStep
from pytorch_side.int8.qparams import integer_weights
from swin2mcu.common.card import Card, load_card, save_card
from swin2mcu.common.cli import atomic_path

OPSET = 17  # what onnx2tf 1.28 is tested with


def onnx_model(net: QuantNet, size: int, class_count: int) -> onnx.ModelProto:
    """An ONNX graph of `net` in float arithmetic for one image of (1, 3, size, size)."""
    nodes: list[onnx.NodeProto] = []
    constants = [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in _CLAMP.items()]
    for step in net.legal.steps:
        nodes += _nodes(step)
        if step.has_weights:
            layer, scales = net.legal.layers[step.name], net.weight_scales_of(step)
            weight = layer.weight.detach().cpu().numpy()
            shape = (-1,) + (1,) * (weight.ndim - 1)
            on_grid = integer_weights(weight, scales) * scales.reshape(shape)
            bias = layer.bias.detach().cpu().numpy()
            constants += [
                numpy_helper.from_array(on_grid.astype(np.float32), f"{step.name}.weight"),
                numpy_helper.from_array(bias, f"{step.name}.bias"),
            ]
    graph = helper.make_graph(
        nodes,
        "student",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, 3, size, size])],
        [
            helper.make_tensor_value_info(
                net.legal.steps[-1].name, TensorProto.FLOAT, [1, class_count]
            )
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(model, strict_mode=True))
    return onnx.shape_inference.infer_shapes(model)


_CLAMP = {"zero": 0.0, "six": 6.0}


def _nodes(step: NetStep) -> list[onnx.NodeProto]:
    """A step as ONNX nodes. Its clamp, and the flattening before a linear layer, are own nodes."""
    before = f"{step.name}.unclamped" if step.activation != "none" else step.name
    inputs = list(step.inputs)
    nodes = []
    if step.operator in ("conv", "depthwise"):
        nodes.append(
            helper.make_node(
                "Conv",
                [*inputs, f"{step.name}.weight", f"{step.name}.bias"],
                [before],
                auto_pad="SAME_UPPER",
                strides=[step.stride, step.stride],
                group=step.groups,
            )
        )
    elif step.operator == "linear":
        flat = f"{step.name}.flat"
        nodes += [
            helper.make_node("Flatten", inputs, [flat]),
            helper.make_node(
                "Gemm", [flat, f"{step.name}.weight", f"{step.name}.bias"], [before], transB=1
            ),
        ]
    elif step.operator == "mean":
        nodes.append(helper.make_node("ReduceMean", inputs, [before], axes=[2, 3], keepdims=1))
    else:
        name = {"add": "Add", "mul": "Mul", "hard_swish": "HardSwish"}[step.operator]
        nodes.append(helper.make_node(name, inputs, [before]))
    if step.activation == "relu":
        nodes.append(helper.make_node("Relu", [before], [step.name]))
    elif step.activation == "relu6":
        nodes.append(helper.make_node("Clip", [before, "zero", "six"], [step.name]))
    return nodes


def export(run: Path) -> Path:
    """Write run/model.onnx (and card.json, if QAT did not) from run/qat.safetensors."""
    net, size, classes, student = load_quantized(run)
    target = run / "model.onnx"
    model = onnx_model(net, size, len(classes))
    with atomic_path(target) as temporary:
        onnx.save(model, temporary)
    card = run / "card.json"
    if not card.is_file():
        rule = split_rule(read_saved_config(run / "config.json"))
        save_card(Card(run.name, student, classes, (size, size, 3), split=rule), card)
    load_card(card)
    return target
