"""model.onnx computes what QAT's weights compute, under the steps' own names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from pytorch_side.config import Config, save_config, with_values
from pytorch_side.export import main
from pytorch_side.int8.integer_net import ExactNet
from pytorch_side.int8.legalize import legalize
from pytorch_side.nets.models import timm_package
from pytorch_side.nets.weights import save_weights
from swin2mcu.common.card import load_card


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    torch.manual_seed(0)
    student = timm_package().create_model("tf_mobilenetv3_small_100", num_classes=3).eval()
    net = ExactNet(legalize(student))
    net.calibrate([torch.rand(4, 3, 48, 48) * 2 - 1])
    metadata = {"student": "tf_mobilenetv3_small_100", "size": 48, "classes": ["a", "b", "c"]}
    save_weights(net, folder / "qat.safetensors", metadata)
    save_config(with_values(Config(), {"data.split_seed": 5}), folder / "config.json")
    assert main([str(folder)]) == 0
    return folder


def test_onnx_gives_the_logits_of_the_rounded_weights(run: Path) -> None:
    from pytorch_side.int8.fine_tune import load_quantized

    net = load_quantized(run)[0]
    session = onnxruntime.InferenceSession(run / "model.onnx")
    for seed in range(3):
        torch.manual_seed(seed)
        image = torch.rand(1, 3, 48, 48) * 2 - 1
        with torch.no_grad():
            wanted = net.with_rounded_weights(image).numpy()
            plain = net.legal(image).numpy()
        (got,) = session.run(None, {"image": image.numpy()})
        assert np.abs(got - wanted).max() < 1e-4 * np.abs(wanted).max()
        assert np.abs(got - plain).max() > np.abs(got - wanted).max()  # not the unrounded ones


def test_every_step_is_a_tensor_of_the_graph(run: Path) -> None:
    from pytorch_side.int8.fine_tune import load_quantized

    graph = onnx.load(run / "model.onnx").graph
    made = {name for node in graph.node for name in node.output}
    assert {step.name for step in load_quantized(run)[0].legal.steps} <= made
    assert {node.op_type for node in graph.node} == {
        "Conv", "Clip", "Relu", "HardSwish", "Add", "Mul", "ReduceMean", "Flatten", "Gemm",
    }  # fmt: skip


def test_a_card_is_made_where_there_is_none(run: Path) -> None:
    card = load_card(run / "card.json")
    assert card.classes == ("a", "b", "c") and card.input_shape == (48, 48, 3)
    assert card.split.seed == 5


def test_a_run_without_qat_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "qat.safetensors" in capsys.readouterr().err


def test_a_student_is_not_taken_for_qats_weights(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = timm_package().create_model("tf_mobilenetv3_small_100", num_classes=3)
    metadata = {"student": "tf_mobilenetv3_small_100", "size": 48, "classes": ["a", "b", "c"]}
    save_weights(student, tmp_path / "qat.safetensors", metadata)
    assert main([str(tmp_path)]) == 2
    assert "does not fit a legalized" in capsys.readouterr().err
