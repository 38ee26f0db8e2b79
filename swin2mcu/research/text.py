"""Cells and lines of Markdown tables, and JSON files that may be missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swin2mcu.common import json_file
from swin2mcu.common.accuracy import show_accuracy
from swin2mcu.common.cli import UserError

NONE = "–"  # noqa: RUF001


def line(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(head: str, lines: list[str]) -> list[str]:
    """A table with the head "a | b | c"; [] without lines."""
    return ["", f"| {head} |", "|---" * (head.count(" | ") + 1) + "|", *lines] if lines else []


def percent(share: float | None) -> str:
    return NONE if share is None else f"{share:.2%}"


def threads(count: int) -> str:
    return f"{count} thread{'s' * (count > 1)}"


def with_error(measured: dict[str, Any] | None) -> str:
    """Top-1 with one standard error, or a dash."""
    return show_accuracy(measured["top1"], measured["images"]) if measured else NONE


def read_json(path: Path) -> Any:
    """A JSON file's values; {} for a missing file. Raises UserError for a damaged one."""
    if not path.is_file():
        return {}
    try:
        return json_file.read_json(path)
    except ValueError as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> UserError:
    why = f"it lacks {error}" if isinstance(error, KeyError) else error
    return UserError(f"{path} is damaged ({why}): repair or remove it")
