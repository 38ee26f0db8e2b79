"""What training costs, as Markdown, from the files that `python -m pytorch_side.speed` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swin2mcu.common.cli import UserError
from swin2mcu.common.json_file import read_json
from swin2mcu.research.text import line, table, threads


def cache_cost_lines(folder: Path) -> list[str]:
    """The cost of an epoch with cached teacher outputs, as text; [] without a measurement.

    Raises UserError for a file that is not a measurement.
    """
    return [
        f"An epoch of {f['config']} on cached teacher outputs costs {_cache_cost(f):.2f} of one "
        f"without a teacher, in processor time ({_where(f)})."
        for f in _measured(folder)
        if _cache_cost(f)
    ]


def speed_section(folder: Path) -> list[str]:
    """A line for each timed network; [] without a measurement.

    Raises UserError for a file that is not a measurement.
    """
    timed = [f for f in _measured(folder) if "ways" in f]
    if not timed:
        return []
    return [
        "# Speed of a training step",
        "",
        "Speed of a training step relative to float32 with channels first; the variants took "
        "turns. Hours in the other tables cannot be compared: the machines did other work too.",
        *table(
            "config | network | pixels | batch | channels last | bfloat16 | both | on",
            [_line(f) for f in sorted(timed, key=lambda f: (f["network"], f["size"]))],
        ),
    ]


def _measured(folder: Path) -> list[dict[str, Any]]:
    return [_read(path) for path in sorted(folder.glob("*.json"))]


def _line(found: dict[str, Any]) -> str:
    speed = {(w["channels_last"], w["bf16"]): w["images_per_s"] for w in found["ways"]}
    gains = [
        speed[way] / speed[False, False] for way in ((True, False), (False, True), (True,) * 2)
    ]
    cells = [found["config"], found["network"], found["size"], found["batch"]]
    return line(*cells, *(f"{gain:.2f}" for gain in gains), _where(found))


def _cache_cost(found: dict[str, Any]) -> float:
    """The measured cost, or 0.0 in a file about steps. Its old name is "knowledge_cost"."""
    return float(found.get("teacher_cache_cost", found.get("knowledge_cost", 0.0)))


def _where(found: dict[str, Any]) -> str:
    return f"{found['hardware']}, {threads(found['threads'])}"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
        known = {"config", "network", "size", "batch", "hardware", "threads"} <= found.keys()
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    if not known:
        raise UserError(f"{path} is not a measurement of python -m pytorch_side.speed")
    return dict(found)
