"""The model card: the one metadata record that travels with a model from training to the board."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from swin2mcu.common.cli import UserError, write_atomic
from swin2mcu.common.json_file import read_json
from swin2mcu.common.lock import locked

SOFTMAX_OUTPUT = (1 / 256, -128)  # scale and zero point
SCHEMA = 1
SPLIT_KINDS = ("given", "random")
CROPS = ("", "center")
PHOTO, GROUP = DRAWN_BY = ("photo", "group")
CLASSES_MAX = 10_000  # ImageNet has 1,000
CLASS_NAME_MAX = 250  # a folder's name
# Control characters, ends of lines, and halves of characters: not in the name of a class.
UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
CLASS_NAMES = (
    f"a list of at least two different names, each of at most {CLASS_NAME_MAX} characters and "
    "without control characters"
)
TRAINING_MAX = 500  # characters
# Beyond this a pixel's real value or its quantization is infinite in float32.
PIXEL_MAX, DEVIATION_MIN = 2.0**31, 2.0**-31
# `swin2mcu calibrate` fits temperatures of 0.2 to 5, and logits are some ten units. With much less,
# exp(logit / temperature) is 0 for all classes of a photo, and probabilities are 0 / 0.
TEMPERATURE_MIN, TEMPERATURE_MAX = 0.01, 100
THRESHOLD_MAX = 700  # a device compares with exp(threshold), which must be a double


@dataclass(frozen=True)
class SplitRule:
    """How a folder of images is split. Later stages need it, to score no training images."""

    kind: str = "given"  # by split.csv, or drawn at random if there is none; or "random"
    seed: int = 0  # of the random draw
    val_share: float = 0.12  # of each class, if there is no split.csv
    test_share: float = 0.12
    # Which photos stay in one split: "folder", a regular expression on file names, "none", or "":
    # the groups of split.csv or of the folders around the classes.
    group_by: str = ""
    test_group: str = ""  # this group is the test split
    # For photos whose shape is not the input's: "" squashes them, "center" takes the centered part
    # of the input's shape. This says how photos are read, and is kept with how they are split.
    crop: str = ""
    # What the draw took together: "photo" or "group"; "" decides by the number of groups. A run
    # keeps what was decided for it: a third farm would draw all photos anew.
    drawn_by: str = ""


@dataclass(frozen=True)
class Calibration:
    """Turns int8 logits into probabilities or *not sure*; fitted on val (common/answer.py)."""

    temperature: float  # logits are divided by it before the softmax
    threshold: float  # with less evidence than this, the answer is "not sure"
    coverage: float  # share of val's photos that get an answer
    images: int  # number of val images


@dataclass(frozen=True)
class Card:
    """What later stages need to know about a model.

    Each stage fills in what it measures and keeps the other fields. None means that no stage has
    filled in this field yet.
    """

    name: str  # the run's or the zoo entry's name
    student: str  # timm's name of the architecture
    classes: tuple[str, ...]  # in the order of the output's elements
    input_shape: tuple[int, int, int]  # height, width, channels; NHWC on every target
    input_scale: float = 1 / 128
    input_zero_point: int = 0
    # The real input is (pixel - mean) / std: one number, or one per channel.
    input_mean: tuple[float, ...] = (128.0,)
    input_std: tuple[float, ...] = (128.0,)
    output_scale: float | None = None
    output_zero_point: int | None = None
    ops: dict[str, int] = field(default_factory=dict)  # TFLite operator → number of occurrences
    macs: int | None = None  # multiply-accumulates of one inference
    parameters: int | None = None  # weights and biases of the int8 model
    arena_bytes: int | None = None  # used by TFLite Micro's interpreter on the PC
    sha256: str | None = None  # of model_int8.tflite
    # stage ("float", "qat", "ptq", "int8", ...) → {"split", "images", "top1", "data", "command"}
    accuracy: dict[str, dict[str, Any]] = field(default_factory=dict)
    split: SplitRule = SplitRule()  # the split that the model was trained with
    calibration: Calibration | None = None
    training: str = ""  # how the student was trained: its start, teacher and epochs; "" = unknown
    schema: int = SCHEMA

    @property
    def gives_probabilities(self) -> bool:
        """Whether the last operator is a softmax. TFLite gives its output this one quantization."""
        output = self.output_scale, self.output_zero_point
        return "SOFTMAX" in self.ops and output == SOFTMAX_OUTPUT


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_line(value: Any) -> bool:
    return _is_text(value) and len(value) <= TRAINING_MAX and value.isprintable()


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**48  # isinstance would accept a bool as an int


def _is_scale(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < 2**127  # not nan; a float32 in TFLite


def _is_zero_point(value: Any) -> bool:
    return type(value) is int and -128 <= value <= 127


def are_means(value: Any) -> bool:
    """Whether `value` is a valid mean of an input contract: a list of one or three numbers."""
    return (
        isinstance(value, list)
        and len(value) in (1, 3)
        and all(type(n) in (int, float) and abs(n) < PIXEL_MAX for n in value)
    )


def are_deviations(value: Any) -> bool:
    """Whether `value` is a valid std of an input contract."""
    return are_means(value) and all(n >= DEVIATION_MIN for n in value)


def _is_arena(value: Any) -> bool:
    return _is_count(value) and value < 2**31  # no board has more, nor a 32-bit size_t


def are_class_names(value: Any) -> bool:
    """Whether `value` is a valid list of classes: different names, without control characters.

    Line breaks would let a name write lines of its own. Names are written to C as UTF-8, which lone
    surrogates are not; folders' names have none, see `dataset.layouts.printable`.
    """
    return (
        isinstance(value, list)
        and 2 <= len(value) <= CLASSES_MAX
        and all(_is_text(name) and name and len(name) <= CLASS_NAME_MAX for name in value)
        and len(set(value)) == len(value)
        and not any(UNFIT.search(name) for name in value)
    )


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(_is_count(n) and n for n in value)


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


def _is_calibration(value: Any) -> bool:
    names = {one.name for one in fields(Calibration)}
    if not isinstance(value, dict) or set(value) != names or not _is_count(value["images"]):
        return False
    numbers = [value[name] for name in ("temperature", "threshold", "coverage")]
    finite = all(type(n) in (int, float) and abs(n) < 1e6 for n in numbers)
    return (
        finite
        and TEMPERATURE_MIN <= value["temperature"] <= TEMPERATURE_MAX
        and value["threshold"] <= THRESHOLD_MAX
        and 0 <= value["coverage"] <= 1
    )


def _are_scores(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(entry, dict)
        and _is_text(entry.get("split"))
        and _is_count(entry.get("images"))
        and type(entry.get("top1")) in (int, float)
        and 0 <= entry["top1"] <= 1
        and all(_is_text(entry.get(name, "")) for name in ("data", "command"))
        for entry in value.values()
    )


# Valid values of each field except "split" and "schema": a check, and a text for errors. A field
# whose default is None may also be null.
FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (_is_text, "a text"),
    "student": (_is_text, "a text"),
    "classes": (are_class_names, CLASS_NAMES),
    "input_shape": (_is_shape, "[height, width, channels]"),
    "input_scale": (_is_scale, "a number above 0"),
    "input_zero_point": (_is_zero_point, "a whole number from -128 to 127"),
    "input_mean": (are_means, "a list of one or three numbers of pixels"),
    "input_std": (are_deviations, "a list of one or three numbers above 0, in pixels"),
    "output_scale": (_is_scale, "a number above 0"),
    "output_zero_point": (_is_zero_point, "a whole number from -128 to 127"),
    "ops": (_are_counts, "an object of operators and how often they occur"),
    "macs": (_is_count, "a whole number"),
    "parameters": (_is_count, "a whole number"),
    "arena_bytes": (_is_arena, "a whole number below 2^31"),
    "sha256": (_is_text, "a text"),
    "calibration": (
        _is_calibration,
        f"an object of {', '.join(f.name for f in fields(Calibration))}, with a temperature of "
        f"{TEMPERATURE_MIN} to {TEMPERATURE_MAX} and a threshold of at most {THRESHOLD_MAX}",
    ),
    "training": (_is_line, f"a printable line of at most {TRAINING_MAX} characters"),
    "accuracy": (_are_scores, "an object of stages and their split, images and top1 from 0 to 1"),
}


def load_card(path: Path) -> Card:
    """Read a card.json. Raises UserError for a missing or malformed file."""
    try:
        values = read_json(path)
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing: run the stage that makes it, or name another folder"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a model card: {error}") from error
    return _checked(values, path)


def _checked(values: Any, path: Path) -> Card:
    """The card in a JSON value. Raises UserError, about `path`, where it is none."""
    if not isinstance(values, dict):
        raise UserError(f"{path} is not a model card: it holds no JSON object")
    if values.get("schema") != SCHEMA:
        raise UserError(
            f"{path} has schema {values.get('schema')}, this version reads {SCHEMA}: make it again"
        )
    default = {f.name: f.default for f in fields(Card)}
    if unknown := sorted(set(values) - set(default)):
        raise UserError(
            f"{path} has unknown keys {', '.join(unknown)}: it was made by another version"
        )
    if missing := sorted({"name", "student", "classes", "input_shape"} - set(values)):
        raise UserError(f"{path} lacks {', '.join(missing)}: make it again")
    for name, (fits, what) in FIELDS.items():
        unsaid = values.get(name) is None and (name not in values or default[name] is None)
        if not unsaid and not fits(values[name]):
            raise UserError(f"{path}: '{name}' must be {what}")
    channels = values["input_shape"][2]
    for name in ("input_mean", "input_std"):
        if len(values.get(name, [0])) not in (1, channels):
            raise UserError(f"{path}: '{name}' must be one number, or one for each channel")
    values["classes"] = tuple(values["classes"])
    values["input_shape"] = tuple(values["input_shape"])
    if values.get("calibration") is not None:
        values["calibration"] = Calibration(**values["calibration"])
    for name in ("input_mean", "input_std"):
        if name in values:
            values[name] = tuple(float(number) for number in values[name])
    values["split"] = _split_rule(path, values.get("split", {}))
    return Card(**values)


def _split_rule(path: Path, values: Any) -> SplitRule:
    defaults = asdict(SplitRule())
    if not isinstance(values, dict) or any(
        name not in defaults or type(value) is not type(defaults[name])
        for name, value in values.items()
    ):
        raise UserError(f"{path}: 'split' must hold {', '.join(defaults)}")
    rule = SplitRule(**values)
    shares = rule.val_share, rule.test_share
    if (
        rule.kind not in SPLIT_KINDS
        or rule.crop not in CROPS
        or rule.drawn_by not in ("", *DRAWN_BY)
        or rule.seed < 0
        or not all(0 <= s < 1 for s in shares)
    ):
        raise UserError(f"{path}: 'split' is not a valid rule: {values}")
    return rule


def check_card(card: Card, path: Path) -> None:
    """Raises UserError, about `path`, for a card that `load_card` would refuse."""
    _checked(json.loads(json.dumps(asdict(card))), path)


def save_card(card: Card, path: Path) -> None:
    """Write a card.json in one step. Raises UserError for a card that could not be read again."""
    check_card(card, path)
    write_atomic(path, json.dumps(asdict(card), indent=2) + "\n")


def update_card(path: Path, change: Callable[[Card], Card], measured: str = "") -> Card:
    """Replace the card at `path` by `change(card)`, and return the new card.

    Other commands may update the same card at the same time; nothing is lost. `measured` is the
    SHA-256 of the int8 model whose figures are written. Raises UserError as `load_card` does, and
    where the card is of another int8 model by now.
    """
    with locked(path):
        card = load_card(path)
        if measured and card.sha256 not in (None, measured):  # older cards have none
            raise UserError(
                f"{path}: another model was written here meanwhile, so nothing was written: run "
                "this command again"
            )
        card = change(card)
        save_card(card, path)
    return card


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes. Raises UserError when it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
