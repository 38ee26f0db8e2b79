"""A whole run folder, made once: a student with random weights through the real chain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from blotches import CLASSES, SIZE, pixels


@pytest.fixture(scope="session")
def converted_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("chain") / "tiny", SIZE)


@pytest.fixture(scope="session")
def converted_run_32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """At 32 px the last means are over one pixel, and the converter drops them."""
    return make_run(tmp_path_factory.mktemp("chain_32") / "tiny", 32)


def make_run(run: Path, size: int) -> Path:
    """student.safetensors → PTQ → model.onnx → .tflite files and card, in a folder of their own.

    One channel is dead, as weight decay leaves them: weights of 1e-9 beside an ordinary bias.
    """
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    from pytorch_side.config import Config, save_config
    from pytorch_side.int8.fakequant import ranges_record
    from pytorch_side.int8.integer_net import ExactNet
    from pytorch_side.int8.legalize import legalize
    from pytorch_side.int8.onnx_model import export
    from pytorch_side.nets.models import timm_package
    from pytorch_side.nets.weights import save_weights
    from tinyml.convert.__main__ import convert

    run.mkdir()
    torch.manual_seed(1)
    student = timm_package().create_model("tf_mobilenetv3_small_100", num_classes=3).eval()
    metadata = {"student": "tf_mobilenetv3_small_100", "size": size, "classes": list(CLASSES)}
    with torch.no_grad():
        for module in student.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.3, 1.2)
                module.bias.normal_(0, 0.2)
        gate = student.blocks[2][1].se.conv_expand
        gate.weight[5] = 1e-9
        gate.bias[5] = -0.7
    save_weights(student, run / "student.safetensors", metadata)
    net = ExactNet(legalize(student))
    fed = torch.from_numpy(pixels(24, size=size)).permute(0, 3, 1, 2).float()
    net.calibrate([(fed - 128) / 128])
    save_weights(net, run / "qat.safetensors", metadata)
    save_config(Config(), run / "config.json")
    (run / "ranges.json").write_text(json.dumps(ranges_record(net)))
    export(run)
    convert(run)
    return run
