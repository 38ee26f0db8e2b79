"""results.json: what was measured of one model, by target. Each tool merges its own targets.

{"schema": 1, "model_sha256": hex, "name": str, "targets": {target name: {
   "kind": "board" | "pc" | "phone" | "estimate", "engine", "precision", "hardware", "versions",
   "threads", "command", "date", "accuracy": {...} | null, "cost": {"unit", "p50", ...},
   "memory": {...}, "parity": {...} | null, "link": {...}, "profile": [...]}}}
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from swin2mcu.common.accuracy import confusion_of, recalls
from swin2mcu.common.cli import UserError, write_atomic
from swin2mcu.common.json_file import read_json
from swin2mcu.common.lock import locked
from swin2mcu.common.test_access import log_access

SCHEMA = 1
RESULTS_NAME = "results.json"
# A teacher's note begins like this; a description of the teacher follows. A convolutional stem is
# pretrained, and a score that does not say so is misread.
LEARNED_FROM = "the teacher this student learned from"

Weights = tuple[str, str]  # a file's name and sha256, as test_access.jsonl has them


@dataclass(frozen=True)
class Results:
    """One model's results; `targets` maps a target's name to its measurements."""

    model_sha256: str  # hex, of model_int8.tflite
    name: str  # the run's or the zoo entry's name
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    schema: int = SCHEMA


def described_teacher(target: Mapping[str, Any]) -> str:
    """The teacher that a target's note describes, "" where the student did not learn from it.

    Older results have no description.
    """
    learned, _, what = str(target.get("note") or "").partition(": ")
    return what if learned == LEARNED_FROM else ""


def load_results(path: Path) -> Results:
    """Read a results.json. Raises UserError for a missing, malformed or foreign file."""
    try:
        values = read_json(path)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: run bench_pc.py or serial_eval.py first") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a results file: {error}") from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        found = values.get("schema") if isinstance(values, dict) else None
        raise UserError(
            f"{path} has schema {found}, this version reads {SCHEMA}: move it away, measure again"
        )
    sha256, name, targets = (values.get(key) for key in ("model_sha256", "name", "targets"))
    if not (
        isinstance(sha256, str)
        and isinstance(name, str)
        and isinstance(targets, dict)
        and all(isinstance(target, dict) for target in targets.values())
    ):
        raise UserError(f"{path} lacks model_sha256, name or targets: move it away, measure again")
    return Results(sha256, name, targets)


def check_results(run_dir: Path, model_sha256: str) -> Results | None:
    """The results that `run_dir` holds, or None.

    Raises UserError where they are of another model or schema.
    """
    path = run_dir / RESULTS_NAME
    if not path.exists():
        return None
    results = load_results(path)
    if results.model_sha256 != model_sha256:
        raise UserError(
            f"{path} holds results of another model (sha256 {results.model_sha256[:12]}…, "
            f"this one is {model_sha256[:12]}…): move it away and measure again"
        )
    return results


def merge_target(
    run_dir: Path, model_sha256: str, name: str, target_name: str, target: dict[str, Any]
) -> Path:
    """Put one target's measurements into `run_dir`/results.json, in one step; return its path.

    Raises UserError, and overwrites nothing, when the file there belongs to another model or schema
    or to a published model.
    """
    path = run_dir / RESULTS_NAME
    with locked(path):
        results = check_results(run_dir, model_sha256) or Results(model_sha256, name)
        merged = Results(model_sha256, name, {**results.targets, target_name: target})
        write_atomic(path, json.dumps(asdict(merged), indent=2) + "\n")
    return path


def log_target_access(
    run_dir: Path, weights: Weights, target_name: str, accuracy: dict[str, Any]
) -> None:
    """Log a target's score on test in `run_dir`/test_access.jsonl, before it is shown.

    `weights` are those that were scored; for a teacher or a float form they are not the int8
    file's.
    """
    name, sha256 = weights
    log_access(
        run_dir,
        **{key: accuracy[key] for key in ("split", "images", "top1", "data")},
        weights=name,
        weights_sha256=sha256,
        target=target_name,
    )


def summarize_cost(values: Sequence[float], unit: str) -> dict[str, Any]:
    """The `cost` record of a target. Percentiles are nearest-rank, so each is a measured value."""
    ordered = sorted(values)

    def rank(percent: float) -> float:
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]

    return {
        "unit": unit,
        "p50": rank(50),
        "p95": rank(95),
        "p99": rank(99),
        "min": ordered[0],
        "mean": sum(ordered) / len(ordered),
        "runs": len(ordered),
    }


def summarize_accuracy(
    labels: Sequence[int], predictions: Sequence[int], classes: Sequence[str]
) -> dict[str, Any]:
    """Top-1, per-class recall and confusion (row: true class, column: predicted class)."""
    confusion = confusion_of(labels, predictions, len(classes))
    correct = sum(confusion[i][i] for i in range(len(classes)))
    return {
        "images": len(labels),
        "top1": correct / len(labels),
        "confusion": confusion,
        "per_class_recall": recalls(confusion, classes),
    }
