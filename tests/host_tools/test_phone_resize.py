"""The page's resize against Pillow's: another resize costs a point of accuracy."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

from swin2mcu.common.pixels import center_box, resize

PAGE = Path(__file__).resolve().parents[2] / "host_tools" / "phone" / "page"
SCRIPT = """
import { readFileSync, writeFileSync } from "node:fs";
import { resize } from "./resize.mjs";
const all = readFileSync("rgba");
let at = 0;
const results = JSON.parse(readFileSync("cases.json")).map(([width, height, size]) => {
  const rgba = all.subarray(at, (at += width * height * 4));
  return resize(rgba, width, height, size);
});
writeFileSync("rgb", Buffer.concat(results));
"""
CHOSEN = [
    (192, 192, 96),
    (640, 480, 224),
    (480, 640, 96),
    (240, 320, 224),  # down first, though both directions shrink
    (200, 300, 160),
    (50, 300, 160),  # down first, and across grows
    (300, 50, 160),
    (96, 96, 96),
    (1, 1, 32),
]
RANDOM_CASES = 300


def resize_on_the_page(images: list[np.ndarray], sizes: list[int], folder: Path) -> list[bytes]:
    """What resize.js makes of RGB images (height, width, 3), each resized to a square."""
    node = shutil.which("node")
    assert node, "node is missing: apt install nodejs"
    opaque = [np.pad(i, ((0, 0), (0, 0), (0, 1)), constant_values=255) for i in images]
    cases = [(i.shape[1], i.shape[0], size) for i, size in zip(images, sizes, strict=True)]
    (folder / "rgba").write_bytes(b"".join(image.tobytes() for image in opaque))
    (folder / "cases.json").write_text(json.dumps(cases))
    (folder / "run.mjs").write_text(SCRIPT)
    shutil.copy(PAGE / "resize.js", folder / "resize.mjs")
    subprocess.run([node, "run.mjs"], cwd=folder, check=True, timeout=120)
    made = (folder / "rgb").read_bytes()
    ends = np.cumsum([3 * size**2 for size in sizes])
    assert len(made) == ends[-1]
    return [made[end - 3 * size**2 : end] for end, size in zip(ends, sizes, strict=True)]


def test_the_page_crops_as_pixels_do(tmp_path: Path) -> None:
    sizes = [(640, 480), (480, 641), (33, 33), (1, 7), (70, 40)]
    (tmp_path / "run.mjs").write_text(
        'import { cropBox } from "./resize.mjs";\n'
        f"const of = (crop) => {json.dumps(sizes)}.map(([w, h]) => cropBox(w, h, crop));\n"
        'console.log(JSON.stringify([of("center"), of("")]));\n'
    )
    shutil.copy(PAGE / "resize.js", tmp_path / "resize.mjs")
    made = subprocess.run(["node", "run.mjs"], cwd=tmp_path, check=True, capture_output=True)
    center, whole = json.loads(made.stdout)
    for (width, height), box, all_of_it in zip(sizes, center, whole, strict=True):
        left, top, right, bottom = center_box(width, height, 96, 96)
        assert box == {"left": left, "top": top, "columns": right - left, "rows": bottom - top}
        assert all_of_it == {"left": 0, "top": 0, "columns": width, "rows": height}


def test_same_pixels_as_pillow(tmp_path: Path) -> None:
    random = np.random.default_rng(17)
    drawn = random.integers([1, 1, 16], [400, 400, 257], (RANDOM_CASES, 3)).tolist()
    cases = [*CHOSEN, *drawn]
    images = [random.integers(0, 256, (h, w, 3), dtype=np.uint8) for w, h, _ in cases]
    sizes = [size for _, _, size in cases]
    made = resize_on_the_page(images, sizes, tmp_path)
    wrong = [
        case
        for case, image, ours in zip(cases, images, made, strict=True)
        if ours != resize(Image.fromarray(image), case[2], case[2]).tobytes()
    ]
    assert not wrong, f"{len(wrong)} of {len(cases)} differ, such as {wrong[:5]}"
