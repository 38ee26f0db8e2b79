"""The .tflite reader: it reads what the schema's own writer wrote, and survives the rest."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz_tflite import CORPUS, check
from random_graphs import RandomGraph, seeded

from swin2mcu.common.cli import UserError
from tinyml.format.flatbuffer import MalformedError
from tinyml.format.tflite import parse, read
from tinyml.format.writer import GraphWriter


def small_model(change: Callable[[Any], None] | None = None) -> bytes:
    writer = GraphWriter()
    x = writer.input((1, 5, 6, 3), 0.5, -3)
    weights = np.arange(-27, 27, dtype=np.int8).reshape(2, 3, 3, 3)
    bias = np.array([7, -9], np.int32)
    y = writer.conv(
        x, weights, [0.25, 0.125], bias, writer.activation((1, 3, 3, 2), 2.0, 4), (2, 2)
    )
    return writer.finish(y, change)


def test_reads_tensors_operators_and_options() -> None:
    graph = parse(small_model())
    (operator,) = graph.operators
    assert (operator.op, str(operator)) == ("CONV_2D", "CONV_2D 0")
    assert operator.options == {
        "padding": "SAME",
        "stride_width": 2,
        "stride_height": 2,
        "activation": "NONE",
        "dilation_width": 1,
        "dilation_height": 1,
    }
    source, result, weights, bias = (graph.tensors[i] for i in (0, 1, 2, 3))
    assert graph.inputs == (0,) and graph.outputs == (1,)
    assert operator.inputs == (0, 2, 3) and operator.outputs == (1,)
    assert source.shape == (1, 5, 6, 3) and source.dtype == "int8" and source.data is None
    assert result.scales.tolist() == [2.0] and result.zero_points.tolist() == [4]
    assert weights.scales.tolist() == [0.25, 0.125] and weights.quantized_dimension == 0
    assert weights.data is not None and weights.data.ravel().tolist() == list(range(-27, 27))
    assert bias.data is not None and bias.data.tolist() == [7, -9] and bias.dtype == "int32"


def external(data: bytes) -> bytes:
    """The same model with its buffers after the flatbuffer, as ai_edge_quantizer writes them."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    contents = [b"" if b.data is None else bytes(b.data) for b in model.buffers]

    def pack(start: int) -> bytes:
        import flatbuffers

        at = start
        for buffer, content in zip(model.buffers, contents, strict=True):
            buffer.data = None
            if content:
                buffer.offset, buffer.size = at, len(content)
                at += len(content)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    return pack(len(pack(1 << 20))) + b"".join(contents)


def test_reads_buffers_outside_the_flatbuffer() -> None:
    inline, outside = parse(small_model()), parse(external(small_model()))
    for a, b in zip(inline.tensors, outside.tensors, strict=True):
        assert (a.data is None) == (b.data is None)
        if a.data is not None and b.data is not None:
            np.testing.assert_array_equal(a.data, b.data)


def test_external_buffers_cut_off_are_refused() -> None:
    with pytest.raises(MalformedError, match="buffer 2 lies outside the file"):
        parse(external(small_model())[:-1])


def drop_buffer(model: Any) -> None:
    model.subgraphs[0].tensors[2].buffer = 99


def shorten_buffer(model: Any) -> None:
    model.buffers[1].data = model.buffers[1].data[:10]


def stray_input(model: Any) -> None:
    model.subgraphs[0].operators[0].inputs[0] = 77


def two_scales(model: Any) -> None:
    model.subgraphs[0].tensors[2].quantization.scale = [1.0, 2.0, 3.0]


def endless_scale(model: Any) -> None:
    model.subgraphs[0].tensors[0].quantization.scale = [float("inf")]


def no_options(model: Any) -> None:
    model.subgraphs[0].operators[0].builtinOptionsType = 0
    model.subgraphs[0].operators[0].builtinOptions = None


def no_weights(model: Any) -> None:
    model.subgraphs[0].operators[0].inputs = [0, -1, -1]


def one_input(model: Any) -> None:
    model.subgraphs[0].operators[0].inputs = [0]


def no_output(model: Any) -> None:
    model.subgraphs[0].operators[0].outputs = []


def stray_code(model: Any) -> None:
    model.subgraphs[0].operators[0].opcodeIndex = 5


def strange_padding(model: Any) -> None:
    model.subgraphs[0].operators[0].builtinOptions.padding = 7


def second_subgraph(model: Any) -> None:
    model.subgraphs.append(model.subgraphs[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_buffer, "tensor 2: buffer 99 is missing"),
        (shorten_buffer, r"tensor 2: holds 10 bytes where int8 \(2, 3, 3, 3\) needs 54"),
        (stray_input, "operator 0: CONV_2D: refers to a tensor outside"),
        (two_scales, "tensor 2: 3 scales do not match dimension 0"),
        (endless_scale, "tensor 0: a scale that is not a finite"),
        (no_options, "operator 0: CONV_2D: its options are missing"),
        *((f, "CONV_2D: its input, weights or out") for f in (no_weights, one_input, no_output)),
        (stray_code, "operator 0: operator code 5 is missing"),
        (strange_padding, "operator 0: CONV_2D: unknown padding 7"),
        (second_subgraph, "2 subgraphs"),
    ],
)
def test_a_broken_model_is_refused_by_name(
    change: Callable[[Any], None], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "broken.tflite"
    path.write_bytes(small_model(change))
    with pytest.raises(UserError, match=message):
        read(path)


def test_options_that_are_absent_are_the_schemas_defaults() -> None:
    def without(model: Any) -> None:
        for operator in model.subgraphs[0].operators:
            operator.builtinOptionsType, operator.builtinOptions = 0, None

    writer = GraphWriter()
    x = writer.input((1, 5, 6, 3), 0.5, -3)
    y = writer.pair("ADD", x, x, writer.activation((1, 5, 6, 3), 0.5, 0))
    mean = writer.mean(y, writer.activation((1, 3), 0.5, 0), keep_dims=False)
    add, average = parse(writer.finish(mean, without)).operators
    assert add.options == {"activation": "NONE"} and average.options == {"keep_dims": 0}


def test_missing_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        read(tmp_path / "nothing.tflite")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "png").write_bytes(b"\x89PNG\r\n\x1a\n" * 9)
    for name in ("empty", "png"):
        with pytest.raises(UserError, match="TFL3 is missing"):
            read(tmp_path / name)
    with pytest.raises(UserError, match="cannot read"):
        read(tmp_path)


def test_every_truncation_is_refused_or_read() -> None:
    data = small_model()
    for length in range(len(data)):
        check(data[:length])


def test_mutated_files_never_crash_hang_or_grow() -> None:
    models = [small_model(), *(RandomGraph(seeded(s)).build() for s in range(6))]
    dice = random.Random(1)
    tracemalloc.start()
    started = time.monotonic()
    for _ in range(1000):
        data = bytearray(dice.choice(models))
        for _ in range(dice.randint(1, 8)):
            at = dice.randrange(len(data))
            data[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
        check(bytes(data))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.monotonic() - started < 60
    assert peak < 50 << 20


def test_a_long_name_is_cut() -> None:
    """Converters join the names of the operators that they fuse."""

    def change(model: Any) -> None:
        model.subgraphs[0].tensors[0].name = b"long;" * 1000

    assert parse(small_model(change)).tensors[0].name == ("long;" * 1000)[:1024]


def test_shared_vectors_do_not_multiply() -> None:
    """A thousand tensors that share one large vector of scales stay small."""
    from ai_edge_litert import schema_py_generated as schema

    count, tensors = 20_000, 1000
    writer = GraphWriter()
    x = writer.input((1, 1, 1, count), 0.5, -3)
    y = writer.pointwise("RELU", x, writer.activation((1, 1, 1, count), 0.5, 0))

    def change(model: Any) -> None:
        first, second = model.subgraphs[0].tensors
        first.quantization.scale, first.quantization.zeroPoint = [0.5] * count, [0] * count
        first.quantization.quantizedDimension = 3
        model.subgraphs[0].tensors = [first, second, *[second] * tensors]

    data = bytearray(writer.finish(y, change))
    graph = schema.ModelT.InitFromPackedBuf(bytes(data), 0)
    assert len(graph.subgraphs[0].tensors) == tensors + 2
    table = schema.Model.GetRootAs(bytes(data), 0).Subgraphs(0)
    first, references = table.Tensors(0)._tab.Pos, table._tab.Vector(table._tab.Offset(4))
    for number in range(1, tensors + 2):  # a packer writes each tensor anew: they are made one
        at = references + 4 * number
        struct.pack_into("<I", data, at, first - at)
    tracemalloc.start()
    found = parse(bytes(data))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all(tensor.scales.size == count for tensor in found.tensors)
    assert peak < 8 << 20


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*")), ids=lambda p: p.name)
def test_fuzzing_corpus(path: Path) -> None:
    check(path.read_bytes())


def test_fuzzing_corpus_is_there() -> None:
    assert len(list(CORPUS.glob("*"))) >= 10


@pytest.mark.slow
def test_fuzzing_for_ten_minutes(tmp_path: Path) -> None:
    import os
    import subprocess
    import sys

    script = Path(__file__).with_name("fuzz_tflite.py")
    seconds = os.environ.get("FUZZ_SECONDS", "600")
    command = [sys.executable, str(script), "--seconds", seconds, "--found", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=int(seconds) + 300)
    assert done.returncode == 0, done.stderr[-4000:]
