"""parity.json: reading it, also as earlier versions wrote it, and what in it does not hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from swin2mcu.common.cli import UserError

OPERATOR_LSB_MAX = 1
AT_LEAST = ("decided_agreement",)  # limits from below; all others are from above
UNITS = {"relative_max": " of the logits' scale", "relative_rms": " of the logits' scale"}
EARLIER_NAMES = {"quantised-weights": "quantized-weights", "fake-quantised": "fake-quantized"}


def read_parity(path: Path) -> dict[str, Any]:
    """The record of a parity.json in today's words. Raises UserError when it is none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"cannot read {path}: {error}; run python -m tinyml.parity again"
        ) from error
    if not isinstance(record, dict):
        raise UserError(f"{path} holds no record: run python -m tinyml.parity again")
    if "rungs" in record:
        record["stages"] = [_translated(stage) for stage in record.pop("rungs")]
    if not isinstance(record.get("stages"), list):
        raise UserError(f"{path} holds no stages: run python -m tinyml.parity again")
    return record


def _translated(stage: dict[str, Any]) -> dict[str, Any]:
    """A stage as earlier versions wrote it: one limit, or none, and the first against itself."""
    stage = dict(stage)
    for key in ("name", "against"):
        stage[key] = EARLIER_NAMES.get(stage.get(key, ""), stage.get(key, ""))
    limit = stage.pop("limit", None)
    if not stage["against"]:
        kept = ("name", "against", "images", "top1")
        return {key: stage[key] for key in kept if key in stage}
    # The bound on LiteRT's logits was no check: its kernels round in another way.
    bounded = limit is not None and not stage["name"].startswith("litert")
    return stage | {"limits": {"max_difference": limit} if bounded else {}}


def broken(record: dict[str, Any]) -> list[str]:
    """What does not hold, one line each."""
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
        # A figure that is not a number keeps no limit.
        if (value >= limit) if least else (value <= limit):
            continue
        unit = f" {record['unit']}" if figure == "max_difference" else UNITS.get(figure, "")
        word = "at least" if least else "at most"
        lines.append(
            f"{record['name']} against {record['against']}: {figure} {value:.3g}{unit}, "
            f"allowed is {word} {limit:g}"
        )
    return lines
