"""The model card: the one metadata record that travels with a model from training to the board."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from tinyml.cli import UserError, write_atomic

SCHEMA = 1
SPLIT_KINDS = ("given", "random")


@dataclass(frozen=True)
class SplitRule:
    """How a folder of images is cut: a score is worth nothing where it saw training images."""

    kind: str = "given"  # by split.csv, or a seeded draw where there is none; or "random"
    seed: int = 0  # of the draw
    val_share: float = 0.12  # of each class, where there is no split.csv
    test_share: float = 0.12


@dataclass(frozen=True)
class Card:
    """What a later stage may know about a model without asking the stage that made it.

    A stage fills in what it learns and leaves the rest alone; None means "no stage has said yet".
    """

    name: str  # the run's or the zoo entry's name
    student: str  # timm's name of the architecture
    classes: tuple[str, ...]  # in the order of the output's elements
    input_shape: tuple[int, int, int]  # height, width, channels; NHWC on every target
    input_scale: float = 1 / 128
    input_zero_point: int = 0
    output_scale: float | None = None
    output_zero_point: int | None = None
    ops: dict[str, int] = field(default_factory=dict)  # TFLite operator → how often
    macs: int | None = None  # multiply-accumulates of one inference
    parameters: int | None = None  # weights and biases of the int8 model
    arena_bytes: int | None = None  # what TFLite Micro's interpreter uses on the PC
    sha256: str | None = None  # of model_int8.tflite
    # stage ("float", "qat", "ptq", "int8", ...) → {"split", "images", "top1", "data", "command"}
    accuracy: dict[str, dict[str, Any]] = field(default_factory=dict)
    split: SplitRule = SplitRule()  # that the model was trained on
    schema: int = SCHEMA


def load_card(path: Path) -> Card:
    """Read a card.json. Raises UserError for a missing, malformed or foreign file."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing: run the stage that makes it, or name another folder"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a model card: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} is not a model card: it holds no JSON object")
    if values.get("schema") != SCHEMA:
        raise UserError(
            f"{path} has schema {values.get('schema')}, this version reads {SCHEMA}: make it again"
        )
    known = {f.name for f in fields(Card)}
    if unknown := sorted(set(values) - known):
        raise UserError(
            f"{path} has unknown keys {', '.join(unknown)}: it was made by another version"
        )
    if missing := sorted({"name", "student", "classes", "input_shape"} - set(values)):
        raise UserError(f"{path} lacks {', '.join(missing)}: make it again")
    classes, shape = values["classes"], values["input_shape"]
    if not (
        isinstance(classes, list) and len(classes) >= 2 and all(isinstance(c, str) for c in classes)
    ):
        raise UserError(f"{path}: 'classes' must be a list of at least two names")
    if not (
        isinstance(shape, list)
        and len(shape) == 3
        and all(isinstance(n, int) and n > 0 for n in shape)
    ):
        raise UserError(f"{path}: 'input_shape' must be [height, width, channels]")
    values["classes"] = tuple(classes)
    values["input_shape"] = tuple(shape)
    values["split"] = _split_rule(path, values.get("split", {}))
    return Card(**values)


def _split_rule(path: Path, values: Any) -> SplitRule:
    defaults = asdict(SplitRule())
    if not isinstance(values, dict) or any(
        type(value) is not type(defaults.get(name)) for name, value in values.items()
    ):
        raise UserError(f"{path}: 'split' must hold {', '.join(defaults)}")
    rule = SplitRule(**values)
    shares = rule.val_share, rule.test_share
    if rule.kind not in SPLIT_KINDS or rule.seed < 0 or not all(0 < s < 1 for s in shares):
        raise UserError(f"{path}: 'split' is no rule that deals images: {values}")
    return rule


def save_card(card: Card, path: Path) -> None:
    """Write a card.json in one step."""
    write_atomic(path, json.dumps(asdict(card), indent=2) + "\n")


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes. Raises UserError when it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
