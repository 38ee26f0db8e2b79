"""The teacher's answers on disk, and the rounding they go through.

<folder>/knowledge.json      what they are answers to: images, views, teacher
<folder>/seeds.npy           (images, views) uint64
<folder>/logits.npy          (images, views, classes) float16
<folder>/maps-<stage>.npy    (images, views, h, w) uint8, the largest value of a map being 255
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tinyml.cli import UserError


@dataclass(frozen=True)
class Knowledge:
    """Finished knowledge, memory-mapped."""

    row: dict[str, int]  # file → first index of the arrays
    seeds: npt.NDArray[np.uint64]
    logits: npt.NDArray[np.float16]
    maps: dict[int, npt.NDArray[np.uint8]]
    channels: dict[int, int]  # of each stage of the teacher
    about: dict[str, Any]


def quantise_logits(logits: Tensor) -> npt.NDArray[np.float16]:
    """(batch, classes) → float16: 3 decimal digits, far finer than any teacher is right."""
    return logits.float().clamp(-65504, 65504).cpu().numpy().astype(np.float16)


def quantise_maps(maps: Tensor, grid_max: int) -> npt.NDArray[np.uint8]:
    """(batch, h, w) ≥ 0 → uint8 on a grid no finer than `grid_max`, each map's maximum at 255."""
    grid = (min(grid_max, maps.shape[1]), min(grid_max, maps.shape[2]))
    small = functional.adaptive_avg_pool2d(maps.float()[:, None], grid)[:, 0]
    top = small.flatten(1).amax(dim=1).clamp_min(1e-12)
    return (small / top[:, None, None] * 255).round().to(torch.uint8).cpu().numpy()


def open_knowledge(folder: Path, expected: dict[str, Any]) -> Knowledge:
    """Open finished knowledge after checking what it was made for.

    Raises UserError when it is missing, unfinished, or differs from `expected` in any entry.
    """
    path = folder / "knowledge.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        files = json.loads((folder / "files.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder} holds no knowledge ({error}): make it with python -m pytorch_side.knowledge"
        ) from error
    check_same(folder, about, expected)
    if about["done"] < len(files):
        raise UserError(
            f"{folder} is unfinished ({about['done']} of {len(files)} images): "
            "run python -m pytorch_side.knowledge again, it goes on where it stopped"
        )
    return Knowledge(
        row={file: i for i, file in enumerate(files)},
        seeds=np.load(folder / "seeds.npy", mmap_mode="r"),
        logits=np.load(folder / "logits.npy", mmap_mode="r"),
        maps={int(s): np.load(folder / f"maps-{s}.npy", mmap_mode="r") for s in about["channels"]},
        channels={int(stage): count for stage, count in about["channels"].items()},
        about=about,
    )


def check_same(folder: Path, about: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raise UserError naming the first thing that the knowledge was made for and we are not."""
    # What older knowledge does not say of itself, it was made without.
    views = {"mix": 0.0, **about.get("views", {})}
    about = {"teacher views": 1, **about, "views": views}
    for key, value in expected.items():
        if about.get(key) != value:
            raise UserError(
                f"{folder} was made for another {key} ({str(about.get(key))[:60]}, "
                f"not {str(value)[:60]}): make new knowledge in another folder"
            )
