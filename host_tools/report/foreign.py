"""What the report accepts of a results.json, which anybody may have written.

Whatever passes here can be shown: no figure is missing that another needs, none is infinite or not
a number. Keys that the report does not show are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from swin2mcu.common.cli import CONTROL, UserError

MOST_TARGETS = 200  # the published models have about 30
MOST_ITEMS = 10_000  # of a list in a target
MOST_TEXT = 10_000
NUMBER_END = 1e15

Check = Callable[[Any], bool]


def is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MOST_TEXT and not CONTROL.search(value)


def is_number(value: Any) -> bool:
    """Neither a bool, which isinstance takes for an int, nor infinite, nor not a number."""
    return type(value) in (int, float) and abs(value) < NUMBER_END


def is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < NUMBER_END


def is_positive(value: Any) -> bool:
    return is_number(value) and value > 0


def is_cost(value: Any) -> bool:
    return is_number(value) and value >= 0


def is_share(value: Any) -> bool:
    return is_number(value) and 0 <= value <= 1


def is_kind(value: Any) -> bool:
    return value in ("board", "pc", "phone", "estimate")


def is_matrix(value: Any) -> bool:
    """Square, of counts."""
    return isinstance(value, list) and all(
        isinstance(row, list) and len(row) == len(value) and all(map(is_count, row))
        for row in value
    )


def or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def many(check: Check) -> Check:
    return lambda value: (
        isinstance(value, list) and len(value) <= MOST_ITEMS and all(map(check, value))
    )


def mapping(check: Check) -> Check:
    return lambda value: (
        isinstance(value, dict)
        and len(value) <= MOST_ITEMS
        and all(map(is_text, value))
        and all(map(check, value.values()))
    )


def record(needed: Mapping[str, Check], known: Mapping[str, Check] | None = None) -> Check:
    """An object with all needed keys, in which each value passes the check of its key."""
    checks = {**needed, **(known or {})}
    return lambda value: (
        isinstance(value, dict)
        and set(needed) <= set(value)
        and all(check(value[key]) for key, check in checks.items() if key in value)
    )


TARGET: dict[str, Check] = {
    **dict.fromkeys(
        ("engine", "precision", "hardware", "command", "date", "note", "session"), or_none(is_text)
    ),
    "kind": is_kind,
    "versions": or_none(mapping(is_text)),
    "threads": or_none(is_count),
    "model": record({}, {"macs": is_positive, "parameters": is_count}),
    "memory": or_none(
        record({}, dict.fromkeys(("arena_bytes", "peak_rss_bytes", "file_bytes"), is_count))
    ),
    "cost": or_none(
        record(
            {"unit": is_text, "p50": is_cost},
            {
                **dict.fromkeys(("p95", "p99", "min", "mean", "cpu_p50"), is_cost),
                "runs": is_count,
                "quantiles": many(is_cost),
            },
        )
    ),
    "accuracy": or_none(
        record(
            {"split": is_text, "images": is_positive, "top1": is_share},
            {
                "confusion": is_matrix,
                "per_class_recall": mapping(is_share),
            },
        )
    ),
    "parity": or_none(
        record(
            {"reference": is_text, "images": is_count},
            {
                **dict.fromkeys(("identical", "same_top1", "max_lsb"), is_count),
                "max_logit": is_number,
            },
        )
    ),
    "profile": or_none(many(record({"step": is_text, "cost": is_cost}, {"operators": is_text}))),
    "energy": record({}, {"text": is_text}),
    "frames": or_none(is_text),
    "photos": or_none(record({"images": is_positive, "top1": is_share, "changed": is_count}, {})),
}


def check_targets(file: Path, targets: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises UserError naming the first figure of the targets in `file` that cannot be shown."""
    if len(targets) > MOST_TARGETS:
        raise UserError(f"{file} has {len(targets):,} targets, at most {MOST_TARGETS:,} are shown")
    for name, target in targets.items():
        if not is_text(name):
            raise UserError(f"{file}: {name[:40]!r} is no name of a target: measure again")
        if "kind" not in target:
            raise UserError(f"{file}: target {name} has no kind: measure again")
        for key, check in TARGET.items():
            if key in target and not check(target[key]):
                raise UserError(
                    f"{file}: {key} of target {name} is not what this version writes: measure again"
                )
