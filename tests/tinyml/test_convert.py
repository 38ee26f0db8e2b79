"""The int8 file is QAT's: every scale, zero point, weight and bias, in operators boards have."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from blotches import pixels

from swin2mcu.common.card import Calibration, load_card, save_card, sha256_of
from swin2mcu.common.cli import UserError
from swin2mcu.common.pixels import to_int8
from tinyml.convert import __main__ as convert
from tinyml.convert.__main__ import (
    main,
    probe_image,
    read_ranges,
    worst_scale_difference,
)
from tinyml.convert.quantize_tflite import match_tensors, quantize_file, require_supported
from tinyml.format.facts import count_macs
from tinyml.format.tflite import parse, read
from tinyml.format.writer import GraphWriter
from tinyml.runtimes.litert import LiteRT
from tinyml.runtimes.onnx import onnx_tensors, onnx_weights
from tinyml.runtimes.tflite_micro import Micro

OPERATORS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MUL", "MEAN", "HARD_SWISH"}


def test_every_range_of_the_file_is_qats(converted_run: Path) -> None:
    graph = read(converted_run / "model_int8.tflite")
    ranges = read_ranges(converted_run / "ranges.json")
    worst = worst_scale_difference(graph, ranges)
    print(f"worst relative difference of {len(ranges['activations'])} scales: {worst:.1e}")
    assert worst <= 1e-6
    made = {graph.tensors[o.outputs[0]].name for o in graph.operators}
    assert made | {"image"} == set(ranges["activations"])


def test_a_wrong_scale_is_seen(converted_run: Path) -> None:
    graph = read(converted_run / "model_int8.tflite")
    ranges = read_ranges(converted_run / "ranges.json")
    ranges["activations"]["conv_head"]["scale"] *= 1 + 3e-6
    assert worst_scale_difference(graph, ranges) > 2e-6
    ranges["activations"]["conv_stem"]["zero_point"] += 1
    assert worst_scale_difference(graph, ranges) == np.inf


def test_weights_and_biases_are_qats(converted_run: Path) -> None:
    from pytorch_side.int8.fine_tune import load_quantized
    from pytorch_side.int8.qparams import integer_bias, integer_weights

    net = load_quantized(converted_run)[0]
    graph = read(converted_run / "model_int8.tflite")
    stored = {t.name: t for t in graph.tensors if t.data is not None}
    for step in net.legal.steps:
        if not step.has_weights:
            continue
        layer, scales = net.legal.layers[step.name], net.weight_scales_of(step)
        weight = integer_weights(layer.weight.detach().numpy(), scales)
        if step.operator == "depthwise":
            weight = weight.transpose(1, 2, 3, 0)
        elif step.operator == "conv":
            weight = weight.transpose(0, 2, 3, 1)
        file_weight, file_bias = stored[f"{step.name}.weight"], stored[f"{step.name}.bias"]
        assert np.array_equal(file_weight.data, weight), step.name
        assert np.array_equal(file_weight.scales, scales[: len(file_weight.scales)])
        input_scale = float(net.parameters_of(step.inputs[0])[0])
        bias = integer_bias(layer.bias.detach().numpy(), input_scale, scales)
        assert np.array_equal(file_bias.data, bias), step.name
        assert np.abs(file_bias.data.astype(np.int64)).max() <= 2**30  # dead channels too


def test_only_supported_operators_and_the_input_contract(converted_run: Path) -> None:
    graph = read(converted_run / "model_int8.tflite")
    assert {o.op for o in graph.operators} <= OPERATORS
    source = graph.tensors[graph.inputs[0]]
    assert (source.dtype, source.scales[0], source.zero_points[0]) == ("int8", 1 / 128, 0)


def test_logits_of_torchs_exact_mode_and_tflite_micro_are_the_same_bytes(
    converted_run: Path,
) -> None:
    from pytorch_side.data.loader import to_images
    from pytorch_side.int8.fine_tune import load_quantized
    from pytorch_side.int8.integer_net import IntegerNet

    images = pixels(30, seed=9)
    exact = IntegerNet(load_quantized(converted_run)[0]).logits(to_images(images))
    micro = Micro((converted_run / "model_int8.tflite").read_bytes())
    assert np.array_equal(exact, np.stack([micro.run(image) for image in to_int8(images)]))
    assert len({row.tobytes() for row in exact}) > 5


def test_constants_lie_inside_the_file_on_words(converted_run: Path) -> None:
    """Weights outside the flatbuffer's root make TFLite Micro return garbage."""
    data = (converted_run / "model_int8.tflite").read_bytes()
    for tensor in parse(data).tensors:
        if tensor.data is not None and tensor.scales.size:
            content = np.ascontiguousarray(tensor.data).tobytes()
            places, start = [], data.find(content)
            while start >= 0 and len(places) < 20:
                places.append(start % 16)
                start = data.find(content, start + 1)
            assert 0 in places, tensor.name


def test_the_card_tells_the_model(converted_run: Path) -> None:
    card = load_card(converted_run / "card.json")
    assert card.sha256 == sha256_of(converted_run / "model_int8.tflite")
    assert card.ops["CONV_2D"] == 42 and sum(card.ops.values()) == 98
    assert card.parameters is not None and 1_500_000 < card.parameters < 1_600_000
    assert card.arena_bytes is not None and 50_000 < card.arena_bytes < 300_000
    output = read(converted_run / "model_int8.tflite").tensors
    assert card.output_scale in {float(t.scales[0]) for t in output if t.scales.size}


def test_macs_are_counted_by_hand() -> None:
    writer = GraphWriter()
    x = writer.input((1, 4, 4, 3), 0.1, 0)
    wide, deep = (writer.activation((1, 2, 2, 8), 0.1, 0) for _ in range(2))
    bias = np.zeros(8, np.int32)
    writer.conv(x, np.ones((8, 3, 3, 3), np.int8), [0.1] * 8, bias, wide, stride=(2, 2))
    writer.depthwise(wide, np.ones((1, 5, 5, 8), np.int8), [0.1] * 8, bias, deep)
    graph = parse(writer.finish(deep))
    assert count_macs(graph) == 2 * 2 * 8 * 27 + 2 * 2 * 8 * 25


def test_converting_again_gives_the_same_bytes_and_leaves_no_litter(
    converted_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied, elsewhere = tmp_path / "again", tmp_path / "elsewhere"
    shutil.copytree(converted_run, copied)
    (copied / "model_int8.tflite").unlink()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    card = load_card(copied / "card.json")
    scores = {**card.accuracy, "int8": {"split": "test", "images": 1, "top1": 1.0}}
    other = Calibration(0.5, 2.0, 0.9, 30)  # of another model's logits
    others = replace(card, sha256="another model's", accuracy=scores, calibration=other)
    save_card(others, copied / "card.json")
    assert main([str(copied)]) == 0
    assert load_card(copied / "card.json") == load_card(converted_run / "card.json")
    for name in ("model_int8.tflite", "model_float32.tflite"):
        assert sha256_of(copied / name) == sha256_of(converted_run / name)
    left = {path.name for path in copied.iterdir() if path.suffix != ".lock"}
    assert left == {path.name for path in converted_run.iterdir() if path.suffix != ".lock"}
    assert not list(elsewhere.iterdir())


def matched(run: Path):  # type: ignore[no-untyped-def]
    model = (run / "model_float32.tflite").read_bytes()
    graph = parse(model)
    image = probe_image(load_card(run / "card.json").input_shape)
    interpreter = LiteRT(model, keep_tensors=True)
    interpreter.run(image)
    values = {o.outputs[0]: interpreter.tensor(o.outputs[0]) for o in graph.operators}
    values |= {graph.inputs[0]: image[None]}
    ranges = read_ranges(run / "ranges.json")
    named = {
        n: v
        for n, v in onnx_tensors(run / "model.onnx", image[None]).items()
        if n in ranges["activations"]
    }
    return model, graph, values, named, ranges


def test_a_network_that_was_changed_on_the_way_is_refused(converted_run: Path) -> None:
    _, graph, values, named, _ = matched(converted_run)
    names = match_tensors(graph, values, named)
    assert len(names) == len(named) == len(set(names.values()))
    index = graph.operators[40].outputs[0]
    values[index] = values[index] * 1.01
    with pytest.raises(UserError, match="equals no tensor"):
        match_tensors(graph, values, named)


def test_weights_that_were_changed_on_the_way_are_refused(converted_run: Path) -> None:
    model, graph, values, named, ranges = matched(converted_run)
    names = match_tensors(graph, values, named)
    weights = onnx_weights(converted_run / "model.onnx")
    weights["conv_head.weight"] = weights["conv_head.weight"] * 1.01
    with pytest.raises(UserError, match="changed the weights of conv_head"):
        quantize_file(model, graph, names, weights, ranges)


def test_an_unsupported_operator_is_named(converted_run: Path) -> None:
    graph = read(converted_run / "model_float32.tflite")
    softmax = replace(graph.operators[3], op="SOFTMAX")
    with pytest.raises(UserError, match="SOFTMAX is not supported in int8"):
        require_supported(replace(graph, operators=(*graph.operators[:3], softmax)))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("ranges.json", None, "ranges.json is missing: run python -m pytorch_side.qat"),
        ("ranges.json", "{}", "holds no ranges"),
        ("ranges.json", "[", "cannot be read"),
        ("model.onnx", None, "model.onnx is missing: run python -m pytorch_side.export"),
        ("model.onnx", "no onnx", "is not an ONNX file"),
        ("card.json", None, "card.json is missing"),
    ],
)
def test_bad_input_is_one_line(
    converted_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
    content: str | None,
    message: str,
) -> None:
    for name in ("ranges.json", "model.onnx", "card.json"):
        shutil.copy(converted_run / name, tmp_path / name)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_text(content)
    assert main([str(tmp_path)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert message in lines[-1] and lines[-1].startswith("error: ")
    assert not (tmp_path / "model_int8.tflite").exists()


def test_a_failing_converter_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("nothing")
    with pytest.raises(UserError, match="onnx2tf cannot convert"):
        convert.run_onnx2tf(tmp_path / "model.onnx")


def test_ranges_are_json_numbers(converted_run: Path) -> None:
    record = json.loads((converted_run / "ranges.json").read_text())
    entry = record["activations"]["image"]
    assert entry == {"min": -1.0, "max": 127 / 128, "scale": 1 / 128, "zero_point": 0}
