"""A small model that libraries are exported from, and photos under any names."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "host_tools"))
from exported import output_of
from tiny_run import make_run

from swin2mcu.common.card import Calibration, load_card, save_card


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("library") / "tiny")
    card = load_card(folder / "card.json")
    calibration = Calibration(temperature=1.5, threshold=3.0, coverage=0.9, images=100)
    scaled = replace(card, calibration=calibration, **output_of(folder))
    save_card(scaled, folder / "card.json")
    return folder


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """A function that makes photos, no two alike, under the names it is given."""
    draw = np.random.default_rng(0)

    def write(*files: str, root: Path = tmp_path / "data") -> Path:
        for file in files:
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = draw.integers(0, 256, (6, 5, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(path, "PNG")
        return root

    return write
