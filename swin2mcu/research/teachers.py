"""Teachers as Markdown: their scores, and how much information their outputs add to labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pytorch_side.config import read_saved_config
from pytorch_side.distillation.teacher_store import about_path
from pytorch_side.nets.describe import cache_name, describe_teacher
from swin2mcu.common.card import sha256_of
from swin2mcu.common.dataset.layouts import printable
from swin2mcu.common.test_access import AVERAGED, last_access, read_accesses
from swin2mcu.research.text import line, percent, read_json, table, with_error

CACHED = "cached_outputs.json"  # in docs/data: the figures of caches, by folder
Figures = dict[str, Any]


def teacher_section(teachers: Sequence[tuple[str, Path]]) -> list[str]:
    """Each teacher's last logged scores on val and on test (test_access.jsonl of its run)."""
    lines = []
    for name, folder in teachers:
        weights = folder / "teacher.safetensors"
        lines.append(_scores(name, folder, sha256_of(weights) if weights.is_file() else ""))
    return _table(lines)


def published_teachers(zoo: Path) -> list[str]:
    """The published teachers' scores, which they had before their weights were halved."""
    lines = []
    for path in sorted(zoo.glob("*/config.json")):
        made = describe_teacher(read_saved_config(path), None)
        accesses = read_accesses(path.parent)
        lines += [_scores(made, path.parent, accesses[-1]["weights_sha256"])] if accesses else []
    return _table(lines)


def _scores(name: str, folder: Path, sha256: str) -> str:
    seen = [(split, target) for split in ("val", "test") for target in ("", AVERAGED)]
    scores = [last_access(folder, split, sha256, target) for split, target in seen]
    return line(name, folder.name, *(with_error(score) for score in scores))


def _table(lines: list[str]) -> list[str]:
    return [
        *table("teacher | run | val top-1 | val, averaged | test top-1 | test, averaged", lines),
        *(["", f"± is one standard error; averaged are answers over {AVERAGED}."] if lines else []),
    ]


def teacher_cache_section(
    folders: Sequence[Path], recorded: Mapping[str, Figures] | None = None
) -> list[str]:
    """How much information cached outputs add to labels: a line for each folder.

    An output that is right and very confident only repeats its label. `recorded` (by folder) has
    the figures of caches that are not here.
    """
    lines = []
    for folder in dict.fromkeys(folders):
        found = cache_figures(folder) or (recorded or {}).get(str(folder))
        if found:
            confident = (f"{found[key]:.2f}" for key in ("low", "median"))
            cells = found["augmentations"], percent(found["right"]), *confident
            lines.append(line(cache_name(folder), *cells))
    return table(
        "cached outputs | augmentations | right | top-1 confidence, 5th percentile | median", lines
    )


def cache_figures(folder: Path) -> Figures | None:
    """Of a cache: the share of outputs that are right, and percentiles of their confidence.

    A photo counts as right or wrong if it is in the folder of one class; None without such photos.
    """
    if not about_path(folder).is_file():
        return None
    about, files = read_json(about_path(folder)), read_json(folder / "files.json")
    number = {name: i for i, name in enumerate(about["classes"])}
    labels = np.array([_label_of(file, number) for file in files[: about["done"]]])
    logits = np.load(folder / "logits.npy")[: about["done"]].astype(np.float64)
    shares = np.exp(logits - logits.max(axis=2, keepdims=True))
    surest = (shares.max(axis=2) / shares.sum(axis=2)).ravel()
    known = labels >= 0
    right = logits.argmax(axis=2)[known] == labels[known, None]
    low, median = np.percentile(surest, [5, 50])
    return {
        "augmentations": logits.shape[1],
        "right": round(float(right.mean()), 6) if right.size else None,
        "low": round(float(low), 6),
        "median": round(float(median), 6),
    }


def _label_of(file: str, number: dict[str, int]) -> int:
    """The class whose folder a file is in, at any depth; -1 where none or several are.

    The cache lists files, not labels, and another data set's photos without a label are there too.
    """
    found = {number[name] for name in map(printable, file.split("/")[:-1]) if name in number}
    return found.pop() if len(found) == 1 else -1
