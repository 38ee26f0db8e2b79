"""Paths of the project, of its published models, and of the images that a command uses."""

from __future__ import annotations

import os
from pathlib import Path

from swin2mcu.common.cli import UserError

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"
FIRMWARE = ROOT / "firmware"
ZOO = ROOT / "tinyml" / "zoo"  # of published models
TEACHERS = ROOT / "pytorch_side" / "zoo"  # of published teachers
PAPER = ROOT / "swin2mcu" / "common" / "paper.json"  # the only figures not measured here


def is_published(path: Path) -> bool:
    """Whether a file or folder belongs to a published model."""
    # Path.resolve() raises for a link to itself.
    real = Path(os.path.realpath(path))
    return real.is_relative_to(ZOO.resolve()) or real.is_relative_to(TEACHERS.resolve())


def refuse_published(path: Path) -> None:
    """Raises UserError for a file of a published model: only publishing writes there."""
    if is_published(path):
        raise UserError(
            f"{path} belongs to a published model: only `python host_tools/publish.py RUN NAME` "
            "writes there"
        )


def data_folder(given: Path | None) -> Path:
    """The data set's folder: --data, else the environment's SWIN2MCU_DATA, else a UserError."""
    text = str(given) if given else os.environ.get("SWIN2MCU_DATA", "")
    if not text:
        raise UserError("no images named: name their folder, or set SWIN2MCU_DATA")
    return Path(text)
