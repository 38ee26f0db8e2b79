"""The page's resize against Pillow's: another resize costs a point of accuracy."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swin2mcu.common.pixels import resize

PAGE = Path(__file__).resolve().parents[2] / "host_tools" / "phone" / "page"
SCRIPT = """
import { readFileSync, writeFileSync } from "node:fs";
const [module, source, target, width, height, size] = process.argv.slice(2);
const { resize } = await import(module);
writeFileSync(target, resize(readFileSync(source), +width, +height, +size));
"""


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (192, 192, 96),
        (640, 480, 224),
        (480, 640, 96),
        (101, 67, 96),
        (50, 300, 160),
        (300, 50, 160),
        (1, 1, 32),
    ],
)
def test_same_pixels_as_pillow(tmp_path: Path, width: int, height: int, size: int) -> None:
    node = shutil.which("node")
    assert node, "node is missing: apt install nodejs"
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    opaque = np.full((height, width, 1), 255, np.uint8)
    (tmp_path / "rgba").write_bytes(np.concatenate([pixels, opaque], axis=-1).tobytes())
    (tmp_path / "run.mjs").write_text(SCRIPT)
    shutil.copy(PAGE / "resize.js", tmp_path / "resize.mjs")
    command = [node, "run.mjs", "./resize.mjs", "rgba", "rgb", str(width), str(height), str(size)]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    ours = np.frombuffer((tmp_path / "rgb").read_bytes(), np.uint8).reshape(size, size, 3)
    theirs = resize(Image.fromarray(pixels), size, size)
    difference = np.abs(ours.astype(int) - theirs.astype(int))
    assert difference.max() == 0, "the same arithmetic gives the same bytes"
