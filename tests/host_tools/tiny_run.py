"""A run's folder and an image folder, both tiny and random: what host tools need to be tried."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from swin2mcu.common.card import Card, save_card

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tinyml"))
from tinyml.format.mobilenet_graphs import small

SIZE = 32
CLASSES = tuple(f"kind_{i}" for i in range(10))


def make_run(folder: Path, name: str = "tiny") -> Path:
    """An int8 MobileNetV3 with random weights and its card."""
    folder.mkdir(parents=True, exist_ok=True)
    model = small(SIZE)
    (folder / "model_int8.tflite").write_bytes(model)
    card = Card(
        name,
        "tf_mobilenetv3_small_100",
        CLASSES,
        (SIZE, SIZE, 3),
        macs=1_500_000,
        parameters=1_500_000,
        sha256=hashlib.sha256(model).hexdigest(),
    )
    save_card(card, folder / "card.json")
    return folder


def make_images(
    folder: Path, per_class: int = 4, classes: tuple[str, ...] = CLASSES, seed: int = 0
) -> Path:
    """Noise in class folders; every second image is of the test split."""
    noise = np.random.default_rng(seed)
    lines = ["file,class,source,split"]
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            pixels = noise.integers(0, 256, (40, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
            lines.append(f"{name}/{number}.png,{name},,{'test' if number % 2 else 'train'}")
    (folder / "split.csv").write_text("\n".join(lines) + "\n")
    return folder
