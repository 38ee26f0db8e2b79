"""Tiny data sets and configs: seconds of training, no weights, no network."""

from __future__ import annotations

import csv
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

LEAVES = ("healthy", "late_blight")
# A shell's background jobs ignore Ctrl-C, and so would every command that a test starts and stops.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Of the terminal that the tests run in: rich obeys them.
TERMINAL = ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TERM", "TTY_COMPATIBLE")


@pytest.fixture(autouse=True)
def private_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoded images go to the test's own folder, and no command takes the user's photos or colors.

    Tests of the real photos read $SWIN2MCU_DATA when they are imported.
    """
    monkeypatch.setenv("SWIN2MCU_CACHE", str(tmp_path / "cache"))
    for name in ("SWIN2MCU_DATA", *TERMINAL):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a data set of colored noise: each class has its own hue."""

    def make(classes: int = 3, images: int = 12, size: int = 40, name: str = "images") -> Path:
        draw = np.random.default_rng(7)
        root = tmp_path / name
        for label in range(classes):
            folder = root / f"class_{label}"
            folder.mkdir(parents=True)
            for number in range(images):
                pixels = draw.integers(0, 90, (size, size, 3))
                pixels[..., label % 3] += 120
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:02}.png")
        return root

    return make


@pytest.fixture
def tiny_config() -> Callable[..., Any]:
    """A function of {"section.field": value} that makes a Config which trains in seconds."""
    import torch

    from pytorch_side.config import Config, with_values

    torch.set_num_threads(1)

    def make(changes: dict[str, object] | None = None) -> Config:
        values: dict[str, object] = {
            "student.name": "tf_mobilenetv3_small_minimal_100",
            "student.size": 32,
            "teacher.name": "swin",
            "teacher.size": 32,
            "teacher.arguments": {
                "patch_size": 4,
                "window_size": 4,
                "embed_dim": 8,
                "depths": [1, 2],
                "num_heads": [1, 2],
            },
            "distillation.attention_pairs": [[1, 0], [2, 1]],
            "optimizer.epochs": 2,
            "optimizer.batch": 6,
            "augment.cached": 2,
        }
        return with_values(Config(), values | (changes or {}))

    return make


@pytest.fixture
def leaves(tmp_path: Path) -> Path:
    """Two classes, LEAVES, of ten leaves each: 6 train, 2 val, 2 test."""
    from pytorch_side.data.synthetic.__main__ import leaf_photo

    root = tmp_path / "leaves"
    splits = ("train",) * 6 + ("val",) * 2 + ("test",) * 2
    rows = []
    for name in LEAVES:
        (root / name).mkdir(parents=True)
        for number, split in enumerate(splits):
            file = f"{name}/{number}.png"
            leaf_photo(name, number, size=96).save(root / file)
            rows.append((file, name, "generated", split))
    with (root / "split.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("file", "class", "source", "split"), *rows])
    return root
