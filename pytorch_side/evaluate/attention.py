"""Teacher's and student's attention drawn over the same leaves, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw

from pytorch_side.config import read_saved_config
from pytorch_side.data.loader import to_images
from pytorch_side.distillation.attention import energy_map, teacher_maps
from pytorch_side.evaluate.score import (
    Network,
    folder_of_run,
    load_network,
    load_teacher_network,
)
from pytorch_side.nets.models import stage_width, student_features
from swin2mcu.common.cli import UserError, status
from swin2mcu.common.dataset import ImageFolder
from swin2mcu.common.pixels import drawable, load_pixels

TILE = 160  # side of each picture in pixels
TITLE = 22
# Dark violet, red, orange, pale yellow: brightness rises with attention, so a gray print works too.
HEAT = np.array(
    [[20, 8, 60], [120, 28, 109], [214, 69, 70], [251, 155, 41], [252, 250, 180]], dtype=np.float64
)


def overlay(photo: npt.NDArray[np.uint8], attention: npt.NDArray[np.float32]) -> Image.Image:
    """A (h, w, 3) photo at TILE pixels under a heat map of (rows, columns), scaled to its range."""
    low, high = float(attention.min()), float(attention.max())
    level = (attention - low) / (high - low) if high > low else np.zeros_like(attention)
    fine = Image.fromarray(level.astype(np.float32)).resize((TILE, TILE), Image.Resampling.BICUBIC)
    place = np.clip(np.asarray(fine), 0.0, 1.0) * (len(HEAT) - 1)
    color = np.stack([np.interp(place, range(len(HEAT)), HEAT[:, c]) for c in range(3)], axis=-1)
    base = Image.fromarray(photo).resize((TILE, TILE), Image.Resampling.BILINEAR).convert("L")
    gray = np.asarray(base, dtype=np.float64)[..., None]
    return Image.fromarray((0.45 * gray + 0.55 * color).astype(np.uint8))


@dataclass(frozen=True)
class Leaf:
    label: str
    pixels: tuple[npt.NDArray[np.uint8], ...]  # (size, size, 3), for each network's size


def choose(folder: ImageFolder, split: str, count: int, sizes: Sequence[int]) -> list[Leaf]:
    """`count` photos of a split, taken from all classes in turn; unreadable ones are left out.

    Raises UserError when none can be read.
    """
    positions = folder.indices(split)
    by_class = [positions[folder.labels[positions] == c] for c in range(len(folder.classes))]
    rounds = max(len(found) for found in by_class)
    leaves: list[Leaf] = []
    for i in (found[k] for k in range(rounds) for found in by_class if k < len(found)):
        if len(leaves) == count:
            break
        path, label = folder.root / folder.files[i], folder.classes[folder.labels[i]]
        try:
            pixels = tuple(load_pixels(path, size, size, folder.crop) for size in sizes)
        except UserError as error:
            status.print(f"left out: {error}")
        else:
            leaves.append(Leaf(label, pixels))
    if not leaves:
        raise UserError(f"{folder.root}: no {split} photo can be read")
    return leaves


def attention_picture(run: Path, data: Path, split: str = "val", count: int = 10) -> Image.Image:
    """One row per leaf: the photo, then both networks' maps for each compared pair of stages.

    Each network gets the leaf at its own input size. The student's map is the energy of its own
    features. With alignment, training compared the energy of their projection, which is not saved.
    Raises UserError when the student had no teacher, and for a stage that does not exist.
    """
    config = read_saved_config(run / "config.json")
    folder = folder_of_run(run, data)
    student = load_network(run, folder.classes)
    teacher = load_teacher_network(run, folder.classes)
    if student.weights.name != "student.safetensors":
        raise UserError(f"{run} is a teacher's run: name the run of a student")
    pairs = config.distillation.attention_pairs
    for own_stage, _ in pairs:
        stage_width(student.model, own_stage)  # raises
    leaves = choose(folder, split, count, (student.size, teacher.size))
    pixels = [np.stack(of_one) for of_one in zip(*(leaf.pixels for leaf in leaves), strict=True)]
    kind = config.distillation.attention_map
    theirs = _teacher_maps(teacher, pixels[1], [t for _, t in pairs], kind)
    own = _student_maps(student, pixels[0], [s for s, _ in pairs])
    titles = ["photo"]
    aligned = config.distillation.alignment
    own_title = "student {}, before alignment" if aligned else "student, stage {}"
    for s, t in pairs:
        titles += [f"teacher, stage {t}", own_title.format(s)]
    sheet = Image.new("RGB", (len(titles) * TILE, TITLE + len(leaves) * TILE), "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((column * TILE + 6, 5), title, fill="black")
    for row, photo in enumerate(pixels[1]):
        tiles = [Image.fromarray(photo).resize((TILE, TILE), Image.Resampling.BILINEAR)]
        for s, t in pairs:
            tiles += [overlay(photo, theirs[t][row]), overlay(photo, own[s][row])]
        for column, tile in enumerate(tiles):
            sheet.paste(tile, (column * TILE, TITLE + row * TILE))
        name = drawable(leaves[row].label.replace("_", " "))
        draw.text((6, TITLE + (row + 1) * TILE - 16), name, fill="white", stroke_width=2,
                  stroke_fill="black")  # fmt: skip
    return sheet


def _teacher_maps(
    teacher: Network, pixels: npt.NDArray[np.uint8], stages: list[int], kind: str
) -> dict[int, npt.NDArray[np.float32]]:
    with torch.no_grad():
        images = teacher.prepare(to_images(pixels))
        _, maps = teacher_maps(teacher.model, images, sorted(set(stages)), kind)
    return {stage: found.float().numpy() for stage, found in maps.items()}


def _student_maps(
    student: Network, pixels: npt.NDArray[np.uint8], stages: list[int]
) -> dict[int, npt.NDArray[np.float32]]:
    with torch.no_grad():
        _, features = student_features(student.model, to_images(pixels), tuple(stages))
    return {stage: energy_map(found).numpy() for stage, found in features.items()}
