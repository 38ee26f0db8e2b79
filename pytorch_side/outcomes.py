"""What became of runs beyond training, as Markdown: teachers' scores, and students in int8."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_side.looks import last_look
from tinyml.card import sha256_of

NONE = "–"  # noqa: RUF001
INT8_RUNG = "tflite-micro"  # parity.json's rung whose logits are the board's


def teacher_section(teachers: Sequence[tuple[str, Path]]) -> list[str]:
    """Each teacher's last logged look at val and at test (looks.jsonl of its run)."""
    if not teachers:
        return []
    lines = ["", "| teacher | run | val top-1 | test top-1 |", "|---|---|---|---|"]
    for name, folder in teachers:
        weights = folder / "teacher.safetensors"
        sha256 = sha256_of(weights) if weights.is_file() else ""
        looks = [last_look(folder, split, sha256) for split in ("val", "test")]
        shown = [_percent(look["top1"] if look else None) for look in looks]
        lines.append(f"| {name} | {folder.name} | {' | '.join(shown)} |")
    return lines


def int8_section(folders: Sequence[Path]) -> list[str]:
    """Accuracy on the way into int8, of the runs that were quantised (card.json, parity.json)."""
    rows = []
    for folder in folders:
        card, parity = _read(folder / "card.json"), _read(folder / "parity.json")
        if not card.get("sha256"):
            continue
        val = {s: a["top1"] for s, a in card["accuracy"].items() if a["split"] == "val"}
        test: dict[str, float] = {}
        if parity.get("split") == "test" and parity.get("model_sha256") == card["sha256"]:
            test = {rung["name"]: rung["top1"] for rung in parity["rungs"]}
        final, first = test.get(INT8_RUNG), test.get("torch-float")
        gap = f"{100 * (final - first):+.2f}" if final is not None and first is not None else NONE
        cells = [
            folder.name,
            *(_percent(val.get(stage)) for stage in ("float", "ptq", "qat")),
            _percent(first),
            _percent(final),
            gap,
        ]
        rows.append("| " + " | ".join(cells) + " |")
    if not rows:
        return []
    return [
        "",
        "In int8: `ptq` has ranges alone, `qat` is fine-tuned after that; both are scored in the "
        "board's own integers.",
        "",
        "| run | float val | ptq val | qat val | float test | int8 test | int8 - float, points |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{share:.2%}"
