"""`python -m tinyml.aot`: what it writes, and what it says to unsupported models."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aot_runner import FIRMWARE, WARNINGS

from host_tools.mcu.bare_metal import kernel_sources
from swin2mcu.common.card import Card, save_card
from tinyml.aot.__main__ import main
from tinyml.format import mobilenet_graphs
from tinyml.format.writer import GraphWriter


def two_layers(change: Callable[[Any], None] | None = None) -> bytes:
    """A convolution and a depthwise one, 4x4x2 to 4x4x2."""
    writer = GraphWriter()
    x = writer.input((1, 4, 4, 2), 0.1, 0)
    weights = np.ones((2, 1, 1, 2), np.int8)
    bias = np.zeros(2, np.int32)
    y = writer.activation((1, 4, 4, 2), 0.2, 1)
    writer.conv(x, weights, [0.5, 0.5], bias, y)
    z = writer.activation((1, 4, 4, 2), 0.3, 2)
    writer.depthwise(y, np.ones((1, 3, 3, 2), np.int8), [0.5, 0.25], bias, z)
    return writer.finish(z, change)


def compile_file(model: bytes, folder: Path, *options: str) -> int:
    path = folder / "model.tflite"
    path.write_bytes(model)
    return main([str(path), "--out", str(folder / "out"), *options])


def unsupported(model: Any) -> None:
    model.operatorCodes[1].builtinCode = model.operatorCodes[1].deprecatedBuiltinCode = 28


def dynamic(model: Any) -> None:
    model.subgraphs[0].tensors[0].shapeSignature = [-1, -1, 4, 2]


def float_tensor(model: Any) -> None:
    model.subgraphs[0].tensors[4].type = 0


def along_inputs(model: Any) -> None:
    model.subgraphs[0].tensors[2].quantization.quantizedDimension = 3


def asymmetric(model: Any) -> None:
    model.subgraphs[0].tensors[2].quantization.zeroPoint = [0, 1]


def no_weights(model: Any) -> None:
    model.buffers[model.subgraphs[0].tensors[2].buffer].data = None


def no_scale(model: Any) -> None:
    model.subgraphs[0].tensors[1].quantization = None


def no_input(model: Any) -> None:
    model.subgraphs[0].inputs = []


def wrong_shape(model: Any) -> None:
    model.subgraphs[0].tensors[1].shape = [1, 3, 4, 2]


def batch(model: Any) -> None:
    model.subgraphs[0].tensors[0].shape = [2, 4, 4, 2]


def out_of_order(model: Any) -> None:
    model.subgraphs[0].operators.reverse()


def fused_tanh(model: Any) -> None:
    model.subgraphs[0].operators[0].builtinOptions.fusedActivationFunction = 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (unsupported, "TANH 1 is not supported"),
        (dynamic, "tensor 0 't0' has a dynamic shape"),
        (float_tensor, "DEPTHWISE_CONV_2D 1: tensor 4 't4' is float32"),
        (along_inputs, "CONV_2D 0: tensor 2 't2' needs one scale per output channel"),
        (asymmetric, "CONV_2D 0: tensor 2 't2' has a zero point"),
        (no_weights, "CONV_2D 0: tensor 2 't2' must be a constant, but its buffer is missing"),
        (no_scale, "CONV_2D 0: tensor 1 't1' needs one scale"),
        (no_input, "0 inputs and 1 outputs"),
        (wrong_shape, "CONV_2D 0: tensor 1 't1' has shape (1, 3, 4, 2)"),
        (batch, "only a batch of 1"),
        (out_of_order, "DEPTHWISE_CONV_2D 0: tensor 1 't1' is read before anything writes it"),
        (fused_tanh, "CONV_2D 0: fused activation TANH"),
    ],
)
def test_what_is_unsupported_is_named(
    change: Callable[[Any], None],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert compile_file(two_layers(change), tmp_path) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ") and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_truncated_file_is_refused_and_leaves_older_output_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compile_file(two_layers(), tmp_path) == 0
    before = (tmp_path / "out" / "model.c").read_bytes()
    assert compile_file(two_layers()[:-200], tmp_path) == 2
    assert "not a usable .tflite file" in capsys.readouterr().err
    assert (tmp_path / "out" / "model.c").read_bytes() == before
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["model.c", "model_data.h"]


def test_labels_come_from_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = mobilenet_graphs.small(32)
    classes = tuple(f'class "{i}" \\ ü ??/' for i in range(10))
    card = tmp_path / "card.json"
    digest = hashlib.sha256(model).hexdigest()
    save_card(Card("x", "y", classes, (32, 32, 3), sha256=digest), card)
    assert compile_file(model, tmp_path, "--card", str(card), "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["arena_bytes"] >= figures["bound_bytes"] and figures["core"] == "portable"
    program = tmp_path / "labels"
    (tmp_path / "main.c").write_text(
        "#include <stdio.h>\n#include <model.h>\nint main(void) {"
        "  for (int i = 0; i < model_class_count; ++i) puts(model_labels[i]);"
        '  for (int i = 0; i < 32; ++i) printf("%02x", model_sha256[i]);'
        "  return model_input_height != 32; }"
    )
    kernels = kernel_sources("portable")
    command = ["gcc", *WARNINGS, f"-I{FIRMWARE / 'engine'}", f"-I{FIRMWARE / 'kernels'}", "main.c",
               "out/model.c", *map(str, kernels), "-o", str(program)]  # fmt: skip
    subprocess.run(command, cwd=tmp_path, check=True)
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    assert printed.splitlines() == [*classes, digest]


def test_a_card_of_another_model_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = tmp_path / "card.json"
    save_card(Card("x", "y", ("a", "b"), (4, 4, 2), sha256="00" * 32), card)
    assert compile_file(two_layers(), tmp_path, "--card", str(card)) == 2
    assert "describes another model" in capsys.readouterr().err
    save_card(Card("x", "y", ("a", "b"), (32, 32, 3)), card)
    assert compile_file(mobilenet_graphs.small(32), tmp_path, "--card", str(card)) == 2
    assert "names 2 classes, and model.tflite has 10 outputs" in capsys.readouterr().err


def test_a_tensor_name_cannot_leave_its_comment(tmp_path: Path) -> None:
    def rename(model: Any) -> None:
        model.subgraphs[0].tensors[1].name = b"*/ int evil; /*\n\\"

    assert compile_file(two_layers(rename), tmp_path) == 0
    code = (tmp_path / "out" / "model.c").read_text()
    assert "evil" in code and "*/ int evil" not in code


def test_an_output_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file, not a folder")
    assert compile_file(two_layers(), tmp_path) == 2
    assert "cannot write" in capsys.readouterr().err
