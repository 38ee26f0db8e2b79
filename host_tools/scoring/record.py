"""A board's entry in results.json, made from the journal of its images."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import pstdev
from typing import Any

from host_tools.boards.build import FLASHED
from host_tools.boards.table import load_boards
from host_tools.inputs import Model
from host_tools.link.pool import Pool
from host_tools.link.protocol import Info, StepCost
from host_tools.results import summarize_accuracy, summarize_cost
from host_tools.scoring.images import argmax
from swin2mcu.common.json_file import read_json
from tinyml.runtimes.reference import reference_name


def make_record(
    entries: Sequence[dict[str, Any]],  # of the images that could be read
    model: Model,
    info: Info,
    profile: Sequence[StepCost],
    accuracy: dict[str, Any],  # which images these are
    command: str,
) -> dict[str, Any]:
    labels = [entry["label"] for entry in entries]
    predictions = [argmax(entry["logits"]) for entry in entries]
    worst = [
        max(abs(a - b) for a, b in zip(e["logits"], e["reference"], strict=True)) for e in entries
    ]
    costs = [cost for entry in entries for cost in entry["costs"]]
    board = load_boards().get(info.board)
    flashed = flashed_facts(info, model)
    return {
        "kind": "board",
        "engine": info.engine,
        "precision": "int8",
        "hardware": board.hardware if board else info.board,
        "versions": flashed.get("versions", {}),
        "threads": None,
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "accuracy": {**accuracy, **summarize_accuracy(labels, predictions, model.card.classes)},
        "cost": {
            **summarize_cost(costs, info.unit),
            "jitter": round(pstdev(costs), 1),
            "repeat": len(entries[0]["costs"]),
        },
        "memory": {
            "arena_bytes": info.arena_bytes,
            "stack_bytes": info.stack_bytes,
            "file_bytes": model.int8.stat().st_size,
            **flashed.get("memory", {}),
        },
        "parity": {
            "reference": reference_name(model.int8.read_bytes()),
            "images": len(entries),
            "identical": sum(w == 0 for w in worst),
            "max_lsb": max(worst),
        },
        "profile": [
            {"step": step.step, "operators": step.operators, "cost": step.cost} for step in profile
        ],
    }


def make_frames(entries: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """What frames of a camera were sent, and what the same photos score without a camera."""
    photos = [argmax(entry["photo"]) for entry in entries]
    answers = [argmax(entry["logits"]) for entry in entries]
    right = sum(e["label"] == photo for e, photo in zip(entries, photos, strict=True))
    changed = sum(a != b for a, b in zip(answers, photos, strict=True))
    return {
        "frames": name,
        "photos": {"images": len(entries), "top1": right / len(entries), "changed": changed},
    }


def make_link(
    entries: Sequence[dict[str, Any]],
    boards: Pool,
    moved: dict[str, float],
    image_bytes: int,
    scored: int,
    seconds: float,
) -> dict[str, Any]:
    """Statistics of the line. Times are of one image over one line, jitter is their deviation.

    `scored` images took `seconds` with all boards together, and what `moved` says. A resumed
    journal holds more images; the bytes of an earlier run of the command are not counted. If that
    run scored all of them, the shares and speeds of this one are None.
    """
    transfers = [1000 * entry["transfer_s"] for entry in entries]
    times = summarize_cost(transfers, "ms")
    sent = moved["bytes_sent"]
    link = {
        **moved,
        "framing": round(1 - moved["payload_bytes"] / sent, 5) if scored and sent else None,
        "transfer_ms": {
            **{key: round(times[key], 1) for key in ("p50", "p95", "p99")},
            "jitter": round(pstdev(transfers), 1),
        },
        "bytes_per_s": round(1000 * image_bytes * len(entries) / sum(transfers)),
        "boards": boards.count,
        "images_per_s": round(scored / seconds, 3) if scored else None,
        "seconds": round(seconds, 1),
    }
    injected = boards.injected()
    return {**link, "injected": dict(sorted(injected.items()))} if injected else link


def flashed_facts(info: Info, model: Model) -> dict[str, Any]:
    """What flash.py noted when it put this model on this board, if it did."""
    path = FLASHED / f"{info.board}.json"
    try:
        facts = read_json(path)
    except (OSError, ValueError):
        return {}
    if (
        not isinstance(facts, dict)
        or facts.get("model_sha256") != model.sha256
        or facts.get("engine") != info.engine
    ):
        return {}
    memory = {k: facts[k] for k in ("flash_bytes", "ram_bytes", "weights_bytes") if k in facts}
    return {
        "memory": memory,
        "places": facts.get("memory"),  # which choice of memory it was built for
        "versions": facts.get("versions", {}),
        "firmware": facts.get("firmware_sha256", ""),
    }
