"""Read parity.json, also of earlier versions, and list the limits that it does not keep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swin2mcu.common.cli import UserError
from swin2mcu.common.json_file import read_json

OPERATOR_LSB_MAX = 1
BYTE_STAGES = ("tflite-micro", "generated-c")  # the second is compared with the first
AT_LEAST = ("decided_agreement", "top1_agreement")  # limits from below; all others are from above
# Of stages that earlier versions left without a limit. They counted all images, not the decided.
EARLIER_LIMITS = {"top1_agreement": 0.9}
UNITS = {"relative_max": " of the logits' scale", "relative_rms": " of the logits' scale"}
EARLIER_NAMES = {"quantised-weights": "quantized-weights", "fake-quantised": "fake-quantized"}


def read_parity(path: Path) -> dict[str, Any]:
    """The record of a parity.json in today's format. Raises UserError for other files."""
    try:
        record = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {path}: {error}; run python -m tinyml.parity again"
        ) from error
    key = "rungs" if isinstance(record, dict) and "rungs" in record else "stages"
    if not (isinstance(record, dict) and isinstance(record.get(key), list)):
        raise UserError(f"{path} holds no stages: run python -m tinyml.parity again")
    operators = record.get("operators", {})
    if not (
        _has(record, texts=("split",), counts=("images", "split_images"))
        and all(map(_is_stage, record[key]))
        and isinstance(operators, dict)
        and all(_has(one, counts=("max_lsb", "max_lsb_exact")) for one in operators.values())
    ):
        raise UserError(f"{path} holds what no stage measures: run python -m tinyml.parity again")
    if key == "rungs":
        record["stages"] = [_translated(stage) for stage in record.pop("rungs")]
    for stage in record["stages"]:
        if "top1_agreement" in stage and not stage.get("limits"):
            stage["limits"] = EARLIER_LIMITS
    return record


def _is_stage(value: Any) -> bool:
    """Whether `value` is a valid stage, with a figure for each of its limits."""
    numbers = ("top1", "top1_agreement", "top1_lost", "max_difference", "relative_rms")
    if not _has(value, ("name", "against", "unit"), ("images",), numbers):
        return False
    limits = value.get("limits", {})
    return (
        isinstance(limits, dict)
        and (value.get("limit") is None or _is_number(value["limit"]))
        and all(_is_number(limit) and _is_number(value.get(k)) for k, limit in limits.items())
        and (not limits or {"name", "against"} <= set(value))
        and ("max_difference" not in limits or "unit" in value)
    )


def _has(
    value: Any,
    texts: Sequence[str] = (),
    counts: Sequence[str] = (),
    numbers: Sequence[str] = (),
) -> bool:
    """Whether `value` is an object whose fields, if present, have the right type."""
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(key) or "", str) for key in texts)
        and all(_is_count(value.get(key, 0)) for key in counts)
        and all(_is_number(value.get(key, 0)) for key in numbers)
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**48


def _is_number(value: Any) -> bool:
    """Whether `value` is a number; inf and nan too, since a broken model gives them."""
    return type(value) is float or (type(value) is int and abs(value) < 2**48)


def _translated(stage: dict[str, Any]) -> dict[str, Any]:
    """A stage of an earlier version, which has at most one limit, in today's format."""
    stage = dict(stage)
    for key in ("name", "against"):
        stage[key] = EARLIER_NAMES.get(stage.get(key) or "", stage.get(key) or "")
    limit = stage.pop("limit", None)
    if not stage["against"]:
        kept = ("name", "against", "images", "top1")
        return {key: stage[key] for key in kept if key in stage}
    # The old bound on LiteRT's logits is ignored: its kernels round differently.
    bounded = limit is not None and not stage["name"].startswith("litert")
    return stage | {"limits": {"max_difference": limit} if bounded else {}}


def unproven(record: dict[str, Any]) -> list[str]:
    """What a record lacks of the proof that a published model needs, one line for each stage.

    TFLite Micro and the generated C must have computed the same bytes, and those of the trained
    network's integers, where the run has that network.
    """
    stages = {stage.get("name"): stage for stage in record["stages"]}
    lines = []
    for name in BYTE_STAGES:
        stage = stages.get(name, {})
        against = stage.get("against") or ""
        if not stage.get("images") or (name == BYTE_STAGES[-1] and not against):
            lines.append(f"the stage {name} is missing")
        elif against and stage.get("max_difference") != 0:
            lines.append(f"{name} is not byte-identical to {against}")
    return lines


def missing_stages(record: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """Names of the stages that only the record `before` has."""
    names = {stage.get("name") for stage in record["stages"]}
    return [s["name"] for s in before["stages"] if s.get("name") and s["name"] not in names]


def broken(record: dict[str, Any]) -> list[str]:
    """One line for each limit that is not kept."""
    lines = [line for stage in record["stages"] for line in misses(stage)]
    for operator, entry in record.get("operators", {}).items():
        for figure, what in (("max_lsb", "float arithmetic"), ("max_lsb_exact", "exact integers")):
            if entry.get(figure, 0) > OPERATOR_LSB_MAX:
                lines.append(f"{operator} differs from {what} by {entry[figure]} LSB")
    return lines


def misses(record: dict[str, Any]) -> list[str]:
    """One line for each limit that a stage's record does not keep."""
    lines = []
    for figure, limit in record.get("limits", {}).items():
        value = record[figure]
        least = figure in AT_LEAST
        # nan keeps no limit.
        if (value >= limit) if least else (value <= limit):
            continue
        unit = f" {record['unit']}" if figure == "max_difference" else UNITS.get(figure, "")
        word = "at least" if least else "at most"
        lines.append(
            f"{record['name']} against {record['against']}: {figure} {value:.3g}{unit}, "
            f"allowed is {word} {limit:g}"
        )
    return lines
