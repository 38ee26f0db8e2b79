"""A card and its file agree, or one line says where not; a file without a card gets one."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swin2mcu.common.card import Card, save_card
from swin2mcu.common.cli import UserError
from swin2mcu.common.input_contract import USUAL, InputContract, guess, parse_contract
from swin2mcu.common.pixels import to_int8
from tinyml.format.facts import card_of, contract_of, facts_of, open_card
from tinyml.format.tflite import read
from tinyml.format.writer import UINT8, GraphWriter
from tinyml.runtimes.tflite_micro import Micro, arena_bytes, open_interpreter

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)


def classifier(
    scale: float = 1 / 128, zero_point: int = 0, channels: int = 3, unsigned: bool = False
) -> bytes:
    """A convolution over the whole image, with two outputs."""
    writer = GraphWriter()
    if unsigned:
        first = writer.tensor((1, 6, 6, channels), [scale], [zero_point + 128], UINT8)
        writer.graph.inputs = [first]
        inner = writer.activation((1, 6, 6, channels), scale, zero_point)
        x = writer.pointwise("QUANTIZE", first, inner)
    else:
        x = writer.input((1, 6, 6, channels), scale, zero_point)
    weights = np.random.default_rng(1).integers(-127, 128, (2, 6, 6, channels)).astype(np.int8)
    out = writer.activation((1, 1, 1, 2), 0.5, 3)
    writer.conv(x, weights, [0.02, 0.01], np.zeros(2, np.int32), out, (1, 1), 1)
    return writer.finish(writer.reshape(out, (1, 2), writer.activation((1, 2), 0.5, 3)))


def saved(folder: Path, model: bytes, **changes: Any) -> tuple[Path, Path]:
    """A card that says no more than it must, with `changes`, and the file beside it."""
    (folder / "model_int8.tflite").write_bytes(model)
    card = {"schema": 1, "name": "x", "student": "y", "classes": ["a", "b"]}
    (folder / "card.json").write_text(json.dumps(card | {"input_shape": [6, 6, 3]} | changes))
    return folder / "card.json", folder / "model_int8.tflite"


def test_what_the_file_knows_the_file_says(tmp_path: Path) -> None:
    card = open_card(*saved(tmp_path, classifier(1 / 255, -128), macs=5, ops={"ADD": 9}))
    assert (card.input_scale, card.input_zero_point) == (np.float32(1 / 255), -128)
    assert (card.output_scale, card.output_zero_point) == (0.5, 3)
    assert card.macs == 2 * 6 * 6 * 3 and card.ops == {"CONV_2D": 1, "RESHAPE": 1}
    assert card.sha256 is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_shape": [6, 6, 1]}, r"'input_shape' is \(6, 6, 1\), and model_int8.tflite takes"),
        ({"classes": ["a", "b", "c"]}, "names 3 classes, and model_int8.tflite has 2 outputs"),
        ({"input_scale": 0.5}, "'input_scale' is 0.5, and model_int8.tflite says 0.0078125"),
        ({"output_zero_point": 4}, "'output_zero_point' is 4, and model_int8.tflite says 3"),
        ({"sha256": "00"}, "describes another model"),
    ],
)
def test_a_card_of_another_file_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        open_card(*saved(tmp_path, classifier(), **changes))


@pytest.mark.parametrize("kind", USUAL)
def test_the_range_of_an_input_says_what_it_is_fed(kind: str, tmp_path: Path) -> None:
    """Also where it was measured on photos that miss the ends by a percent."""
    mean, std = USUAL[kind]
    if kind == "(p-128)/128":
        scale, zero_point = 1 / 128, 0
    else:
        ends = [(p - m) / s for p in (0, 255) for m, s in zip(mean, std, strict=True)]
        low, high = min(ends) * 0.995, max(ends) * 0.99
        scale = float(np.float32((high - low) / 255))
        zero_point = round(-128 - low / scale)
    assert guess(scale, zero_point, 3) == (mean, std)
    card = open_card(*saved(tmp_path, classifier(scale, zero_point)))
    assert (card.input_mean, card.input_std) == (mean, std)
    contract = contract_of(card)
    assert contract.ours == (kind == "(p-128)/128") and contract.name == kind
    exact = InputContract(mean, std, *guess_ends(mean, std), 3)
    assert exact.is_pixel_minus_128 == (kind not in ("imagenet", "p/127.5-1"))
    real = contract.real(PIXELS)
    np.testing.assert_allclose(real, (PIXELS - np.array(mean)) / np.array(std), atol=1e-5)
    np.testing.assert_allclose(
        (contract.stored(PIXELS).astype(float) - zero_point) * scale, real, atol=3 * scale
    )


def guess_ends(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[float, int]:
    """The quantization of exactly the range that pixels have."""
    ends = [(p - m) / s for p in (0, 255) for m, s in zip(mean, std, strict=True)]
    scale = (max(ends) - min(ends)) / 255
    return scale, round(-128 - min(ends) / scale)


def test_our_own_networks_are_fed_by_one_xor() -> None:
    contract = InputContract((128.0,), (128.0,), 1 / 128, 0, 3)
    np.testing.assert_array_equal(contract.stored(PIXELS), to_int8(PIXELS))


def test_a_range_that_fits_nothing_asks_for_input(tmp_path: Path) -> None:
    model = tmp_path / "odd.tflite"
    model.write_bytes(classifier(0.3, 5))
    with pytest.raises(UserError, match=r"takes numbers from -39.9 to 36.6, .* say with --input"):
        card_of(model, None, None)
    card = card_of(model, None, "100/3,4,5")
    assert (card.input_mean, card.input_std) == ((100.0,), (3.0, 4.0, 5.0))
    save_card(card, tmp_path / "card.json")
    assert open_card(tmp_path / "card.json", model) == card


@pytest.mark.parametrize(
    "text",
    ["", "0", "1/0", "1,2/3", "a/b", "1/2/3", "nan/1", "1e300/1", "0/1e-310", "0/inf", "0/1e300"],
)
def test_a_wrong_input_is_one_line(text: str) -> None:
    with pytest.raises(UserError, match="--input"):
        parse_contract(text)


def test_gray_is_pillows() -> None:
    from PIL import Image

    contract = InputContract((0.0,), (1.0,), 1.0, -128, 1)
    gray = np.asarray(Image.fromarray(PIXELS).convert("L"))
    np.testing.assert_array_equal(contract.stored(PIXELS)[..., 0], to_int8(gray))


def test_labels_come_from_the_file_given_or_the_one_inside(tmp_path: Path) -> None:
    model, labels = tmp_path / "m.tflite", tmp_path / "labels.txt"
    model.write_bytes(classifier())
    assert card_of(model, None, None).classes == ("0", "1")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("labels.txt", "cat\ndog\n")
    model.write_bytes(classifier() + packed.getvalue())
    assert card_of(model, None, None).classes == ("cat", "dog")
    labels.write_text("hen\nfox\n\n")
    assert card_of(model, labels, None).classes == ("hen", "fox")


@pytest.mark.parametrize(
    ("text", "message"),
    [("a\n", "names 1 classes"), ("a\na\n", "names 'a' twice"), (None, "cannot read")],
)
def test_wrong_labels_are_one_line(text: str | None, message: str, tmp_path: Path) -> None:
    model, labels = tmp_path / "m.tflite", tmp_path / "labels.txt"
    model.write_bytes(classifier())
    if text is not None:
        labels.write_text(text)
    with pytest.raises(UserError, match=message):
        card_of(model, labels, None)


def packed(text: str | bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", method) as file:
        file.writestr("labels.txt", text)
    return archive.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_damaged_label_archive_counts_as_none(method: int, tmp_path: Path) -> None:
    whole = packed("a long name of a cat\nand one of a dog", method)
    draw, model = np.random.default_rng(0), tmp_path / "m.tflite"
    damaged = [b"\xff" * 8, *(draw.bytes(8) for _ in range(300))]
    start = 30 + len("labels.txt")
    places = [start, *(int(draw.integers(len(whole) - 8)) for _ in damaged[1:])]
    seen = set()
    for place, noise in zip(places, damaged, strict=True):
        model.write_bytes(classifier() + whole[:place] + noise + whole[place + 8 :])
        try:
            seen.add(card_of(model, None, None).classes)
        except UserError as error:  # of text that is read and names no two classes
            assert "names" in str(error)
    assert ("0", "1") in seen


def test_an_encrypted_label_archive_counts_as_none(tmp_path: Path) -> None:
    data = bytearray(packed("cat\ndog", zipfile.ZIP_STORED))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "m.tflite").write_bytes(classifier() + data)
    assert card_of(tmp_path / "m.tflite", None, None).classes == ("0", "1")


@pytest.mark.parametrize("text", ["", "\n \n", "\ufeff"])
def test_an_empty_label_file_counts_as_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(classifier() + packed(text))
    assert card_of(tmp_path / "m.tflite", None, None).classes == ("0", "1")


def test_labels_of_windows_editor(tmp_path: Path) -> None:
    """It begins a file with a byte order mark."""
    model, labels = tmp_path / "m.tflite", tmp_path / "labels.txt"
    text = b"\xef\xbb\xbfcat\r\ndog\r\n"
    labels.write_bytes(text)
    model.write_bytes(classifier())
    assert card_of(model, labels, None).classes == ("cat", "dog")
    model.write_bytes(classifier() + packed(text))
    assert card_of(model, None, None).classes == ("cat", "dog")


@pytest.mark.parametrize("text", ["cat\x1b[31m\ndog", "dog\n" + "c" * 251])
def test_names_that_a_card_cannot_hold_are_refused(text: str, tmp_path: Path) -> None:
    model, labels = tmp_path / "m.tflite", tmp_path / "labels.txt"
    model.write_bytes(classifier() + packed(text))
    with pytest.raises(UserError, match=r"the class names inside are not .* give others"):
        card_of(model, None, None)
    labels.write_text(text)
    with pytest.raises(UserError, match="'classes' must be"):
        card_of(model, labels, None)


def test_a_contract_of_three_channels_is_refused_for_gray(tmp_path: Path) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(classifier(channels=1))
    for kind in ("imagenet", "1,2,3/1", "1/1,2,3"):
        with pytest.raises(UserError, match=r"is for three channels, and .* takes one"):
            card_of(model, None, kind)
    changes = {"input_shape": [6, 6, 1], "input_mean": [1, 2, 3]}
    with pytest.raises(UserError, match="'input_mean' must be one number, or one for each channel"):
        open_card(*saved(tmp_path, model.read_bytes(), **changes))


def test_one_output_is_refused(tmp_path: Path) -> None:
    writer, path = GraphWriter(), tmp_path / "m.tflite"
    x = writer.input((1, 6, 6, 1), 1 / 255, -128)
    path.write_bytes(writer.finish(writer.mean(x, writer.activation((1, 1), 1.0, 0), False)))
    with pytest.raises(UserError, match="has one output, and at least two classes are needed"):
        card_of(path, None, None)


def test_uint8_ends_are_128_less(tmp_path: Path) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(classifier(unsigned=True))
    card = card_of(model, None, None)
    assert (card.input_scale, card.input_zero_point) == (1 / 128, 0)
    image = contract_of(card).stored(PIXELS)
    np.testing.assert_array_equal(
        Micro(model.read_bytes()).run(image), Micro(classifier()).run(image)
    )


def two_channels(writer: GraphWriter) -> int:
    return writer.input((1, 4, 4, 2), 1.0, 0)


def flat(writer: GraphWriter) -> int:
    return writer.input((1, 16), 1.0, 0)


@pytest.mark.parametrize(
    ("make", "message"), [(two_channels, "shape"), (flat, "its input has shape")]
)
def test_what_is_no_image_classifier_is_refused(
    make: Callable[[GraphWriter], int], message: str, tmp_path: Path
) -> None:
    writer = GraphWriter()
    x = make(writer)
    shape = tuple(writer.graph.tensors[x].shape)
    writer.pointwise("RELU", x, y := writer.activation(shape, 1.0, 0))
    path = tmp_path / "m.tflite"
    path.write_bytes(writer.finish(y))
    with pytest.raises(UserError, match=message):
        card_of(path, None, None)


def test_an_arena_beyond_ten_times_the_file_is_found(tmp_path: Path) -> None:
    """A few kilobytes of file over an image of 1.2 MB."""
    writer = GraphWriter()
    x = writer.input((1, 640, 640, 3), 1 / 128, 0)
    y = writer.pointwise("RELU", x, writer.activation((1, 640, 640, 3), 1 / 128, 0))
    model = writer.finish(writer.mean(y, writer.activation((1, 3), 1 / 128, 0), keep_dims=False))
    assert 10 * len(model) < 100_000
    interpreter, size = open_interpreter(model)
    assert interpreter is not None and size > 2 * 640 * 640 * 3
    path = tmp_path / "m.tflite"
    path.write_bytes(model)
    found = arena_bytes(path)
    assert found is not None and 2 * 640 * 640 * 3 < found < size


def test_a_card_keeps_what_only_it_knows(tmp_path: Path) -> None:
    card = Card("n", "s", ("a", "b"), (6, 6, 3), arena_bytes=4321)
    save_card(card, tmp_path / "card.json")
    (tmp_path / "m.tflite").write_bytes(classifier())
    read = open_card(tmp_path / "card.json", tmp_path / "m.tflite")
    assert (read.arena_bytes, read.name, read.student) == (4321, "n", "s")


def test_an_input_that_the_card_states_stays(tmp_path: Path) -> None:
    """Ours is a default only where a card says nothing: (p - 128) / 128 may be what is meant."""
    card, file = saved(tmp_path, classifier(1 / 255, -128))
    assert open_card(card, file).input_std == (255,)
    save_card(card_of(file, None, "(p-128)/128"), card)
    opened = open_card(card, file)
    assert (opened.input_mean, opened.input_std) == ((128,), (128,))
    card, file = saved(tmp_path, classifier(0.02, 10))  # a range that fits nothing usual
    save_card(card_of(file, None, "(p-128)/128"), card)
    assert open_card(card, file).input_std == (128,)


@pytest.mark.parametrize("end", ["input", "output"])
def test_an_open_size_and_an_output_without_a_shape_are_refused(end: str, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(classifier())
    graph = read(path)
    number, changes = {
        "input": (graph.inputs[0], {"shape": (1, 1, 1, 3), "dynamic": True}),
        "output": (graph.outputs[0], {"shape": ()}),
    }[end]
    tensors = [replace(t, **changes) if t.index == number else t for t in graph.tensors]
    words = {"input": "no fixed height and width", "output": "not one number a class"}[end]
    with pytest.raises(UserError, match=words):
        facts_of(replace(graph, tensors=tuple(tensors)), path)


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """Reading one would wait forever."""
    pipe, model = tmp_path / "pipe.tflite", tmp_path / "m.tflite"
    os.mkfifo(pipe)
    model.write_bytes(classifier())
    with pytest.raises(UserError, match="is not a plain file"):
        read(pipe)
    with pytest.raises(UserError, match="is not a plain file"):
        card_of(model, pipe, None)
