"""All settings of a run, as one frozen record per concern. A TOML file overrides the defaults.

    base = "small-96.toml"     # optional: start from that file (a path relative to this one)
    seed = 1

    [distillation]             # one table per record, with any of its fields
    beta = 0.0

`--set distillation.beta=0.0` on the command line is applied last.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pytorch_side.config.old import moved, nested
from pytorch_side.config.records import (
    Augment,
    Config,
    Distillation,
    Hint,
    Optimizer,
    Pairs,
    Student,
    Teacher,
)
from swin2mcu.common.card import SplitRule
from swin2mcu.common.cli import UserError, write_atomic
from swin2mcu.common.json_file import read_json

__all__ = [
    "UNREADABLE",
    "Augment",
    "Config",
    "Distillation",
    "Hint",
    "Optimizer",
    "Pairs",
    "Student",
    "Teacher",
    "as_override",
    "config_from",
    "differing",
    "flat",
    "load_config",
    "read_saved_config",
    "save_config",
    "saved_config",
    "split_rule",
    "to_dict",
    "with_values",
]

SECTIONS = tuple(f for f in Config.__struct_fields__ if f != "seed")
# tomllib raises ValueErrors (UnicodeDecodeError, TOMLDecodeError, and for integers of thousands of
# digits), and RecursionError for deeply nested brackets.
UNREADABLE = (ValueError, RecursionError)
QUOTES = ('"', "'")


def load_config(path: Path | None, overrides: Sequence[str] = ()) -> Config:
    """Read a TOML file of differences (and its bases), then apply `section.key=value` overrides.

    Raises UserError for an unknown key, and a value of the wrong type or out of bounds.
    """
    values = _read(path) if path else {}
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set {text}: write it as key=value")
        key = key.strip()
        _put(values, key, _parse(key, value.strip()), f"--set {text}")
    source = f"{path} with --set" if path and overrides else str(path or "--set")
    return config_from(values, source)


def as_override(key: str, value: object) -> str:
    """The text after `--set` from which load_config reads `value` again."""
    if isinstance(value, dict):  # of plain values
        pairs = (f"{name} = {json.dumps(one)}" for name, one in value.items())
        return f"{key}={{{', '.join(pairs)}}}"
    value = str(value) if isinstance(value, Path) else value
    plain = str(value)
    bare = isinstance(value, str) and plain == plain.strip() and not plain.startswith(QUOTES)
    return f"{key}={plain if bare else json.dumps(value, ensure_ascii=False)}"


def config_from(values: Any, source: str) -> Config:
    """A Config of nested `values`, checked.

    Raises UserError, which names `source` and the fault. For a key of older versions it names the
    new key.
    """
    if not isinstance(values, dict):
        raise UserError(f"{source} is not a config: it holds {type(values).__name__}")
    for key, value in values.items():
        if key in SECTIONS and isinstance(value, dict):
            continue
        if new := moved(key):
            raise UserError(f"{source}: {key} is now {new}")
    _check_numbers(values, source)
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        raise UserError(f"{source}: {_in_words(str(error), values)}") from error


def with_values(config: Config, changes: Mapping[str, Any]) -> Config:
    """A copy of `config` with `changes`, named as in a file: {"student.init": "", "seed": 1}."""
    values = to_dict(config)
    for key, value in changes.items():
        _put(values, key, value, "a change")
    return config_from(values, "a changed config")


def to_dict(config: Config) -> dict[str, Any]:
    """The config as nested dicts of plain values, ready for JSON."""
    values: dict[str, Any] = msgspec.to_builtins(config)
    return values


def flat(config: Config) -> dict[str, Any]:
    """The config as one flat dict, {"seed": 0, "student.name": …}, with the names as in a file."""
    values = to_dict(config)
    found: dict[str, Any] = {"seed": values["seed"]}
    for section in SECTIONS:
        found |= {f"{section}.{key}": value for key, value in values[section].items()}
    return found


def differing(own: Config, other: Config) -> list[str]:
    """Names of the fields in which two configs differ.

    `data.drawn_by` is none of them where one config leaves it open: a run decided it by its photos.
    """
    ours, theirs = flat(own), flat(other)
    if not (own.data.drawn_by and other.data.drawn_by):
        del ours["data.drawn_by"]
    return [name for name, value in ours.items() if theirs[name] != value]


def save_config(config: Config, path: Path) -> None:
    """Write the resolved config as JSON, every field spelled out."""
    write_atomic(path, json.dumps(to_dict(config), indent=2) + "\n")


def read_saved_config(path: Path) -> Config:
    """Read a run's config.json, also one of an older version. Raises UserError for other files."""
    try:
        return saved_config(read_json(path), str(path))
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {path}: {error}; name the folder of a training run"
        ) from error


def saved_config(values: Any, source: str) -> Config:
    """The Config from a run's saved values. The flat record of an older version is translated."""
    is_old = isinstance(values, dict) and any(map(moved, values)) and not _has_sections(values)
    return config_from(nested(values) if is_old else values, source)


def split_rule(config: Config) -> SplitRule:
    """How the config's images are split."""
    data = config.data
    return SplitRule(
        data.split,
        data.split_seed,
        data.val_share,
        data.test_share,
        data.group_by,
        data.test_group,
        data.crop,
        data.drawn_by,
    )


def _has_sections(values: dict[str, Any]) -> bool:
    return any(isinstance(values.get(section), dict) for section in SECTIONS)


def _read(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The values of a file, merged with its bases. `above` lists the files that extend this one."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"cannot read config {path}: {error.strerror}") from error
    except UNREADABLE as error:
        raise UserError(f"config {path} is not TOML: {error}") from error
    if "base" not in values:
        return values
    base, here = values.pop("base"), path.resolve()
    if not isinstance(base, str):
        raise UserError(f"config {path}: base must be the name of a file, not {base!r}")
    if here in above:
        raise UserError(f"config {path} is its own base: a chain of bases must end")
    merged = _read(path.parent / base, (*above, here))
    for key, value in values.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merged[key] | value if both else value
    return merged


def _put(values: dict[str, Any], key: str, value: Any, source: str) -> None:
    """Set one field by its name in a file: "seed" or "section.field"."""
    section, dot, name = key.partition(".")
    if not dot:
        if section in SECTIONS:
            raise UserError(f"{source}: {section} is a table: name a field, as in {section}.…")
        values[key] = value
        return
    if section not in SECTIONS:
        raise UserError(f"{source}: unknown table {section}; known are {', '.join(SECTIONS)}")
    inner = values.setdefault(section, {})
    if not isinstance(inner, dict):
        raise UserError(f"{source}: {section} must be a table")
    values[section] = {**inner, name: value}


def _parse(key: str, text: str) -> Any:
    """A TOML value, or the bare text: `--set student.name=tf_…` needs no quotes.

    A setting that is a text takes any text so: a group may be called 3 or 2024-05-01.
    """
    section, _, name = key.partition(".")
    default = getattr(getattr(Config(), section, None), name, None)
    if isinstance(default, str) and not text.startswith(QUOTES):
        return text
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except UNREADABLE:
        return text


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and f"{above}{key}" != "teacher.arguments":
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _check_numbers(values: Mapping[str, Any], source: str) -> None:
    """Refuse nan, inf and integers above 64 bits: they pass the checks of bounds, or overflow."""
    for key, value in _leaves(values):
        if isinstance(value, int) and abs(value) >= 2**63:
            raise UserError(
                f"{source}: {key} is a number of {value.bit_length()} bits: the most is 64"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{source}: {key} is {value}, which is not a finite number")


def _in_words(message: str, values: Any) -> str:
    """msgspec's "Expected `int` >= 1 - at `$.optimizer.epochs`" as one readable line."""
    what, _, place = message.partition(" - at `$")
    key = place.rstrip("`").lstrip(".")
    value: Any = values
    for part in key.partition("[")[0].split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if "unknown field" in what:
        record = type(getattr(Config(), key)) if key else Config
        known = ", ".join(record.__struct_fields__)
        unknown = what.rpartition("field ")[2].strip("`")
        return f"unknown key {key + '.' if key else ''}{unknown}; known are {known}"
    return f"{key} is {value!r}: {what[0].lower()}{what[1:]}"
