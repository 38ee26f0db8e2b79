"""The facts in a .tflite, and the one place where a card is checked against its file."""

from __future__ import annotations

import collections
import contextlib
import lzma
import math
import struct
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from swin2mcu.common.card import (
    CLASS_NAMES,
    Card,
    are_class_names,
    check_card,
    load_card,
    sha256_of,
)
from swin2mcu.common.cli import UserError
from swin2mcu.common.input_contract import (
    OUR_SCALE,
    OUR_ZERO_POINT,
    OURS,
    USUAL,
    InputContract,
    guess,
    parse_contract,
)
from swin2mcu.common.json_file import read_json
from tinyml.format.schema_names import WEIGHTED
from tinyml.format.tflite import Graph, Tensor, check_plain, read

FOREIGN = "unknown"  # the architecture of a model that came without a card
MAX_LABELS_BYTES = 1 << 20
ENCODING = "utf-8-sig"  # UTF-8; Windows' editor begins a file with a mark, which is no letter
# What zipfile raises for a damaged or an encrypted archive, or one of an unknown method.
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    MemoryError,
)


@dataclass(frozen=True)
class Facts:
    """The input and output of an image classifier. uint8 is treated as int8, minus 128."""

    input_shape: tuple[int, int, int]
    input_scale: float
    input_zero_point: int
    output_scale: float
    output_zero_point: int
    classes: int


def facts_of(graph: Graph, path: Path) -> Facts:
    """Raises UserError if the file is not an 8-bit image classifier of one or three channels."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UserError(f"{path} must have one input and one output")
    source, result = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    for tensor in (source, result):
        if tensor.dtype not in ("int8", "uint8") or tensor.scales.size != 1:
            raise UserError(
                f"{path} is not an int8 image model: {tensor} is {tensor.dtype}; convert it with "
                "full integer quantization"
            )
    if len(source.shape) != 4 or source.shape[0] != 1 or source.shape[3] not in (1, 3):
        raise UserError(
            f"{path} is not an int8 image model: its input has shape {source.shape}, and "
            "(1, height, width, 3 or 1) is needed"
        )
    if source.dynamic or result.dynamic:
        raise UserError(
            f"{path}: its input has no fixed height and width: export it with a fixed size, such "
            "as 96x96x3"
        )
    if not result.shape or math.prod(result.shape) != result.shape[-1]:
        raise UserError(f"{path}: its output has shape {result.shape}, not one number a class")
    if result.shape[-1] < 2:
        raise UserError(
            f"{path} has one output, and at least two classes are needed: give its last layer one "
            "output for each class"
        )
    _, height, width, channels = source.shape
    return Facts(
        (height, width, channels),
        float(source.scales[0]),
        _zero_point(source),
        float(result.scales[0]),
        _zero_point(result),
        result.shape[-1],
    )


def _zero_point(tensor: Tensor) -> int:
    return int(tensor.zero_points[0]) - (128 if tensor.dtype == "uint8" else 0)


def open_card(card_path: Path, model_path: Path) -> Card:
    """The card at `card_path`, after a check that it describes `model_path`.

    Facts that the file contains are taken from the file.
    """
    card, sha256 = load_card(card_path), sha256_of(model_path)
    if card.sha256 is not None and card.sha256 != sha256:
        raise UserError(f"{card_path} describes another model than {model_path.name}: export again")
    graph = read(model_path)
    facts = facts_of(graph, model_path)
    if card.input_shape != facts.input_shape:
        raise UserError(
            f"{card_path}: 'input_shape' is {card.input_shape}, and {model_path.name} takes "
            f"{facts.input_shape}"
        )
    if len(card.classes) != facts.classes:
        raise UserError(
            f"{card_path} names {len(card.classes)} classes, and {model_path.name} has "
            f"{facts.classes} outputs"
        )
    ends = (
        ("input_scale", facts.input_scale, OUR_SCALE),
        ("input_zero_point", facts.input_zero_point, OUR_ZERO_POINT),
        ("output_scale", facts.output_scale, None),
        ("output_zero_point", facts.output_zero_point, None),
    )
    for name, said, default in ends:
        if getattr(card, name) not in (said, default):
            raise UserError(
                f"{card_path}: '{name}' is {getattr(card, name)}, and {model_path.name} says {said}"
            )
    card = _with_facts(card, graph, facts, sha256)
    # A card that says how pixels are fed is right, even where other numbers are usual.
    said = _says_input(card_path) or (card.input_mean, card.input_std) != OURS
    return card if said else _with_guess(card, model_path)


def _says_input(card_path: Path) -> bool:
    """Whether a checked card states its input contract: without it, ours is only a default."""
    values = read_json(card_path)
    return isinstance(values, dict) and {"input_mean", "input_std"} <= set(values)


def card_of(model_path: Path, labels: Path | None, contract: str | None) -> Card:
    """A card for a .tflite that has none. `contract` is an --input; see parse_contract.

    Raises UserError for a model or names of which no card can be made.
    """
    graph = read(model_path)
    facts = facts_of(graph, model_path)
    names = read_labels(labels) if labels else _labels_inside(model_path)
    if names is None:
        names = [str(number) for number in range(facts.classes)]
    elif not labels and not are_class_names(names):
        raise UserError(
            f"{model_path}: the class names inside are not {CLASS_NAMES}: give others with "
            "--classes"
        )
    if len(names) != facts.classes:
        raise UserError(
            f"{labels or model_path} names {len(names)} classes, and {model_path} has "
            f"{facts.classes} outputs"
        )
    card = Card(model_path.stem, FOREIGN, tuple(names), facts.input_shape)
    card = _with_facts(card, graph, facts, sha256_of(model_path))
    if contract is None:
        card = _with_guess(card, model_path)
    else:
        mean, std = parse_contract(contract)
        if max(len(mean), len(std)) > facts.input_shape[2]:
            raise UserError(
                f"--input {contract} is for three channels, and {model_path} takes one: give one "
                "number, such as 127.5/127.5"
            )
        card = replace(card, input_mean=mean, input_std=std)
    check_card(card, model_path)
    return card


def contract_of(card: Card) -> InputContract:
    """The card's input contract: how pixels become the input of its model."""
    ends = card.input_scale, card.input_zero_point, card.input_shape[2]
    return InputContract(card.input_mean, card.input_std, *ends)


def _with_facts(card: Card, graph: Graph, facts: Facts, sha256: str) -> Card:
    return replace(
        card,
        input_scale=facts.input_scale,
        input_zero_point=facts.input_zero_point,
        output_scale=facts.output_scale,
        output_zero_point=facts.output_zero_point,
        ops=dict(collections.Counter(o.op for o in graph.operators)),
        macs=count_macs(graph),
        parameters=count_parameters(graph),
        sha256=sha256,
    )


def _with_guess(card: Card, path: Path) -> Card:
    found = guess(card.input_scale, card.input_zero_point, card.input_shape[2])
    if found is None:
        low = card.input_scale * (-128 - card.input_zero_point)
        high = card.input_scale * (127 - card.input_zero_point)
        raise UserError(
            f"{path}: its input takes numbers from {low:.4g} to {high:.4g}, which fits none of "
            f"{', '.join(USUAL)}: say with --input how pixels become them"
        )
    return replace(card, input_mean=found[0], input_std=found[1])


def read_labels(path: Path) -> list[str]:
    """Class names, one per line. Raises UserError for a missing file or a name given twice."""
    try:
        check_plain(path, MAX_LABELS_BYTES, "a list of class names")
        text = path.read_text(encoding=ENCODING)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the class names in {path}: {error}") from error
    return _names(text, path)


def _names(text: str, path: Path) -> list[str]:
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if twice := [name for name, count in collections.Counter(names).items() if count > 1]:
        raise UserError(f"{path} names {twice[0]!r} twice")
    return names


def _labels_inside(path: Path) -> list[str] | None:
    """The label file in TensorFlow Lite's metadata, a zip archive at the end of the file.

    None where there is none, or none that can be read or holds a name.
    """
    texts = []
    with contextlib.suppress(*UNREADABLE), zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.filename.endswith(".txt") and entry.file_size <= MAX_LABELS_BYTES:
                texts.append(archive.read(entry).decode(ENCODING, errors="replace"))
    return next((names for text in texts if (names := _names(text, path))), None)


def count_macs(graph: Graph) -> int:
    """Multiply-accumulates of one inference, in convolutions and fully connected layers."""
    macs = 0
    for operator in graph.operators:
        if operator.op in WEIGHTED:
            output = graph.tensors[operator.outputs[0]].shape
            weight = graph.tensors[operator.inputs[1]].shape
            depthwise = operator.op == "DEPTHWISE_CONV_2D"  # weights (1, h, w, channels)
            each = math.prod(weight[1:3] if depthwise else weight[1:])
            macs += math.prod(output) * each
    return macs


def count_parameters(graph: Graph) -> int:
    """The number of weights and biases."""
    return sum(t.data.size for t in graph.tensors if t.data is not None and t.scales.size)
