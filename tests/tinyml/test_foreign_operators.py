"""Operators and habits of files that other converters wrote, against the interpreter's bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from aot_runner import build, compile_bytes, images_for, reference, run

from swin2mcu.common.cli import UserError
from tinyml.aot import tables
from tinyml.aot.lower import lower
from tinyml.format.tflite import MalformedError, parse
from tinyml.format.writer import INT8, UINT8, GraphWriter

EVERY_VALUE = np.arange(-128, 128).astype(np.int8).reshape(1, 1, 256, 1)


def pointwise(op: str, source: tuple[float, int], result: tuple[float, int], alpha: float) -> bytes:
    writer = GraphWriter()
    x = writer.input(EVERY_VALUE.shape, *source)
    y = writer.activation(EVERY_VALUE.shape, *result)
    if op == "LEAKY_RELU":
        writer.leaky_relu(x, alpha, y)
    else:
        writer.pointwise(op, x, y)
    return writer.finish(y)


def our_table(
    op: str, source: tuple[float, int], result: tuple[float, int], alpha: float
) -> np.ndarray | None:
    match op:
        case "LEAKY_RELU":
            return tables.leaky_relu_table(alpha, source, result)
        case "LOGISTIC":
            return tables.logistic_table(source)
        case "QUANTIZE":
            return tables.requantize_table(source, result)
    return tables.relu_table(source, result)


@pytest.mark.parametrize("op", ["LEAKY_RELU", "LOGISTIC", "QUANTIZE", "RELU"])
def test_tables_equal_the_interpreter_for_any_scale(op: str) -> None:
    dice = np.random.default_rng(7)
    varied = 0
    # Round scales show in which precision they are divided.
    chosen = [(a, b) for a in (1 / 64, 1 / 128, 1 / 256) for b in (0.02, 0.05, 0.1, 0.2, 0.3, 0.7)]
    drawn = [tuple(2.0 ** dice.uniform(-12, 4, 2)) for _ in range(150)]
    for scales in [*chosen, *drawn]:
        source, result = (
            (float(np.float32(scale)), int(dice.integers(-128, 128))) for scale in scales
        )
        result = (1 / 256, -128) if op == "LOGISTIC" else result
        alpha = float(np.float32(dice.choice([0.1, 0.2, 0.25, 0.3, dice.uniform(-0.5, 1.5)])))
        table = our_table(op, source, result, alpha)
        assert table is not None
        (answer,) = reference(pointwise(op, source, result, alpha), [EVERY_VALUE])
        np.testing.assert_array_equal(table, answer, f"{source} {result} {alpha}")
        varied += len(np.unique(answer)) > 20
    assert varied > 30


def softmax_model(classes: int, scale: float, beta: float) -> bytes:
    writer = GraphWriter()
    x = writer.input((1, 1, 4, classes), scale, 11)
    y = writer.activation((1, 1, 4, classes), 1 / 256, -128)
    writer.softmax(x, y, beta)
    return writer.finish(y)


def answers_differ(folder: Path, models: list[bytes], count: int = 4) -> list[int]:
    """Which models' generated C answers other bytes than the interpreter."""
    images = [images_for(model, count, seed) for seed, model in enumerate(models)]
    expected = [reference(m, i) for m, i in zip(models, images, strict=True)]
    runs = [
        (n, image, answer.size)
        for n in range(len(models))
        for image, answer in zip(images[n], expected[n], strict=True)
    ]
    given = run(build(folder, [compile_bytes(m) for m in models]), runs)
    flat = [answer for answers in expected for answer in answers]
    return sorted(
        {r[0] for r, o, e in zip(runs, given, flat, strict=True) if not np.array_equal(o, e)}
    )


def test_softmax_equals_the_interpreter(tmp_path: Path) -> None:
    dice = np.random.default_rng(3)
    models = [
        softmax_model(int(dice.integers(1, 200)), float(2.0 ** dice.uniform(-10, 1)), beta)
        for beta in (0.5, 1.0, 2.0)
        for _ in range(10)
    ]
    assert answers_differ(tmp_path, models) == []


def uint8_model() -> bytes:
    """QUANTIZE, a convolution, QUANTIZE: what a converter writes where uint8 ends are asked for."""
    writer = GraphWriter()
    x = writer.tensor((1, 5, 4, 3), [0.5], [128], UINT8)
    writer.graph.inputs = [x]
    inner = writer.pointwise("QUANTIZE", x, writer.activation((1, 5, 4, 3), 0.5, 0))
    weights = np.random.default_rng(0).integers(-127, 128, (7, 1, 1, 3)).astype(np.int8)
    out = writer.activation((1, 5, 4, 7), 1.0, 3)
    writer.conv(inner, weights, [0.01] * 7, np.zeros(7, np.int32), out)
    y = writer.tensor((1, 5, 4, 7), [1.5], [120], UINT8)
    return writer.finish(writer.pointwise("QUANTIZE", out, y))


def test_uint8_ends_are_int8_with_128_less(tmp_path: Path) -> None:
    model = uint8_model()
    images = images_for(model, 4)
    expected = reference(model, [(image ^ -128).view(np.uint8) for image in images])
    program = build(tmp_path, [compile_bytes(model)])
    given = run(program, [(0, image, 140) for image in images])
    for answer, other in zip(given, expected, strict=True):
        np.testing.assert_array_equal(answer.astype(np.int16) + 128, other.astype(np.int16))


def test_uint8_inside_is_refused_by_name() -> None:
    writer = GraphWriter()
    x = writer.tensor((1, 2, 2, 1), [0.5], [128], UINT8)
    writer.graph.inputs = [x]
    y = writer.tensor((1, 2, 2, 1), [0.5], [128], UINT8)
    model = writer.finish(writer.pointwise("RELU", x, y))
    with pytest.raises(UserError, match=r"RELU 0: tensor 0 't0' is uint8; only int8 runs here"):
        compile_bytes(model)


def conv_model(change: Callable[[GraphWriter], None], scales: int = 6) -> bytes:
    writer = GraphWriter()
    x = writer.input((1, 6, 6, 3), 0.5, -3)
    weights = np.random.default_rng(0).integers(-127, 128, (6, 3, 3, 3)).astype(np.int8)
    out = writer.activation((1, 6, 6, 6), 2.0, 4)
    bias = np.arange(6, dtype=np.int32) * 100
    writer.conv(x, weights, [0.01 * (1 + i) for i in range(scales)], bias, out)
    change(writer)
    return writer.finish(out)


def open_batch(writer: GraphWriter) -> None:
    for tensor in writer.graph.tensors[:2]:
        tensor.shapeSignature = [-1, *tensor.shape[1:]]


def bias_along_three(writer: GraphWriter) -> None:
    writer.graph.tensors[3].quantization.quantizedDimension = 3


def nothing(writer: GraphWriter) -> None:
    pass


def test_files_of_other_converters_run(tmp_path: Path) -> None:
    models = [conv_model(open_batch), conv_model(bias_along_three), conv_model(nothing, scales=1)]
    assert answers_differ(tmp_path, models) == []


def test_an_open_height_is_still_refused() -> None:
    def open_height(writer: GraphWriter) -> None:
        writer.graph.tensors[0].shapeSignature = [-1, -1, 6, 3]

    with pytest.raises(UserError, match="has a dynamic shape"):
        compile_bytes(conv_model(open_height))


def pad_model(before: int, after: int, value: int = -3) -> bytes:
    writer = GraphWriter()
    x = writer.input((1, 6, 6, 3), 0.5, value)
    size = 6 + before + after
    sizes = [(0, 0), (before, after), (before, after), (0, 0)]
    framed = writer.pad(x, sizes, writer.activation((1, size, size, 3), 0.5, value))
    weights = np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    side = (size - 3) // 2 + 1
    out = writer.activation((1, side, side, 4), 2.0, 4)
    writer.conv(framed, weights, [0.01] * 4, np.zeros(4, np.int32), out, (2, 2), 1)
    return writer.finish(out)


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [(0, 1, ["conv"]), (1, 1, ["conv"]), (2, 2, ["conv"]), (3, 3, ["pad", "conv"])],
)
def test_a_pad_becomes_the_convolutions_own(
    before: int, after: int, kinds: list[str], tmp_path: Path
) -> None:
    """Unless a window would then lie wholly outside the image."""
    from tinyml.aot.fuse import FUSIONS, fuse

    program = lower(parse(pad_model(before, after)))
    fuse(program, frozenset(FUSIONS))
    assert [node.kind for node in program.nodes] == kinds
    assert answers_differ(tmp_path, [pad_model(before, after)]) == []


def test_shape_arithmetic_before_a_reshape_is_left_out(tmp_path: Path) -> None:
    """Keras flattens by SHAPE, STRIDED_SLICE and PACK; with a batch of 1 the result is known."""
    writer = GraphWriter()
    x = writer.input((1, 2, 3, 4), 0.5, 0)
    shape = writer.tensor((4,), dtype=2)
    writer.operator("SHAPE", [x], shape)
    relu = writer.pointwise("RELU", x, writer.activation((1, 2, 3, 4), 0.5, 0))
    flat = writer.activation((1, 24), 0.5, 0)
    writer.operator("RESHAPE", [relu, shape], flat)
    compiled = compile_bytes(writer.finish(flat))
    assert compiled.steps == 1


def average_of_other_scale() -> bytes:
    writer = GraphWriter()
    x = writer.input((1, 4, 4, 1), 0.5, 0)
    return writer.finish(
        writer.pool("AVERAGE_POOL_2D", x, (2, 2), writer.activation((1, 4, 4, 1), 0.6, 0))
    )


def softmax_of_other_scale() -> bytes:
    writer = GraphWriter()
    x = writer.input((1, 1, 1, 4), 0.5, 0)
    return writer.finish(writer.softmax(x, writer.activation((1, 1, 1, 4), 1 / 128, -128)))


def pad_of_the_batch() -> bytes:
    writer = GraphWriter()
    x = writer.input((1, 4, 4, 1), 0.5, 0)
    sizes = [(1, 0), (0, 0), (0, 0), (0, 0)]
    return writer.finish(writer.pad(x, sizes, writer.activation((2, 4, 4, 1), 0.5, 0)))


def joined_of_other_scale() -> bytes:
    writer = GraphWriter()
    x = writer.input((1, 4, 4, 1), 0.5, 0)
    return writer.finish(writer.concatenation([x, x], 3, writer.activation((1, 4, 4, 2), 0.25, 0)))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (average_of_other_scale, "AVERAGE_POOL_2D 0: .* must have its input's scale"),
        (softmax_of_other_scale, "SOFTMAX 0: .* must have scale 1/256 and zero point -128"),
        (pad_of_the_batch, "PAD 0: .* pads the batch"),
        (joined_of_other_scale, "CONCATENATION 0: .* must have the output's scale"),
    ],
)
def test_what_the_interpreter_refuses_is_refused_by_name(
    model: Callable[[], bytes], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        compile_bytes(model())


def test_an_endless_option_is_refused() -> None:
    model = softmax_model(3, 0.5, float("inf"))
    with pytest.raises(MalformedError, match="SOFTMAX: a number that is not finite"):
        parse(model)


def test_writer_dtypes_are_the_schemas() -> None:
    graph = parse(uint8_model())
    assert [graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)] == ["uint8"] * 2
    assert INT8 != UINT8


@pytest.mark.parametrize("op", ["CONCATENATION", "ADD", "MUL"])
def test_a_reshaped_tensor_joins_one_that_is_made_row_by_row(op: str, tmp_path: Path) -> None:
    """The reshaped one has one row where it is made, and eight where it is read."""
    noise, scale, zero_point = np.random.default_rng(1), 0.02, 3
    writer = GraphWriter()

    def activation(*shape: int) -> int:
        return writer.activation((1, *shape), scale, zero_point)

    def weights(*shape: int) -> np.ndarray:
        return noise.integers(-127, 128, shape).astype(np.int8)

    def biases(count: int) -> np.ndarray:
        return noise.integers(-500, 500, count).astype(np.int32)

    x = writer.input((1, 8, 8, 16), scale, zero_point)
    rows = writer.conv(x, weights(16, 1, 1, 16), [0.01] * 16, biases(16), activation(8, 8, 16))
    mean = writer.mean(x, activation(1, 1, 16))
    flat = activation(1024)
    writer.fully_connected(mean, weights(1024, 16), [0.01], biases(1024), flat)
    shaped = writer.reshape(flat, (1, 8, 8, 16), activation(8, 8, 16))
    if op == "CONCATENATION":
        both = writer.concatenation([rows, shaped], 3, activation(8, 8, 32))
    else:
        both = writer.pair(op, rows, shaped, activation(8, 8, 16))
    channels = 32 if op == "CONCATENATION" else 16
    kernel = weights(4, 1, 1, channels)
    y = writer.conv(both, kernel, [0.01] * 4, biases(4), activation(8, 8, 4))
    assert answers_differ(tmp_path, [writer.finish(y)]) == []
