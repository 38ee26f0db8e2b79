"""Cached teacher outputs on disk.

<folder>/teacher_cache.json  what they were made for: images, augmentations, teacher
<folder>/seeds.npy           (images, augmentations) uint64
<folder>/logits.npy          (images, augmentations, classes) float16
<folder>/maps-<stage>.npy    (images, augmentations, h, w) uint8, the largest value of a map is 255
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from swin2mcu.common.cli import UserError, atomic_path, write_atomic
from swin2mcu.common.json_file import parse_json
from swin2mcu.common.lock import lock_folder

ABOUT = "teacher_cache.json"
KINDS: dict[str, type | tuple[type, ...]] = {  # what each cache says in it
    "teacher": (str, list),
    "split": str,
    "classes": list,
    "views": dict,
    "map": dict,
    "channels": dict,
    "done": int,
}


@dataclass(frozen=True)
class TeacherCache:
    """Finished teacher outputs, memory-mapped."""

    row: dict[str, int]  # file → first index of the arrays
    seeds: npt.NDArray[np.uint64]
    logits: npt.NDArray[np.float16]
    maps: dict[int, npt.NDArray[np.uint8]]
    channels: dict[int, int]  # of each stage of the teacher
    about: dict[str, Any]
    folder: Path


def open_teacher_cache(folder: Path, expected: dict[str, Any]) -> TeacherCache:
    """Open a finished cache after checking what it was made for, and that its files agree.

    Raises UserError when it is missing, unfinished or damaged, or differs from `expected`.
    """
    about = read_about(folder)
    if not about:
        raise UserError(
            f"{folder} holds no cached teacher outputs: make them with "
            "python -m pytorch_side.distillation.teacher_cache"
        )
    check_same(folder, about, expected)
    path = folder / "files.json"
    files = _read_json(path)
    if not isinstance(files, list) or split_digest(files) != about["split"]:
        raise _damaged(path, "it does not list the images that it was made for")
    if about["done"] < len(files):
        raise UserError(
            f"{folder} is unfinished ({about['done']} of {len(files)} images): "
            "run python -m pytorch_side.distillation.teacher_cache again to finish it"
        )
    arrays = open_arrays(folder, about, len(files), "r")
    return TeacherCache(
        row={file: i for i, file in enumerate(files)},
        seeds=arrays["seeds"],
        logits=arrays["logits"],
        maps={int(stage): arrays[f"maps-{stage}"] for stage in about["channels"]},
        channels={int(stage): count for stage, count in about["channels"].items()},
        about=about,
        folder=folder,
    )


def open_arrays(
    folder: Path, about: dict[str, Any], images: int, mode: Literal["r", "r+"]
) -> dict[str, npt.NDArray[Any]]:
    """The mapped arrays of a folder, by name. Raises UserError unless they match `about`."""
    if set(about["channels"]) != {str(stage) for stage in about["map"]["stages"]}:
        raise _damaged(about_path(folder), "it lacks the number of channels of a stage")
    shape = (images, about["views"]["count"])
    wanted: dict[str, tuple[type, tuple[int, ...]]] = {
        "seeds": (np.uint64, shape),
        "logits": (np.float16, (*shape, len(about["classes"]))),
        **{f"maps-{stage}": (np.uint8, shape) for stage in about["channels"]},
    }
    arrays = {}
    for name, (kind, start) in wanted.items():
        path = folder / f"{name}.npy"
        try:
            array = np.load(path, mmap_mode="r")  # "r+" would lengthen a truncated file
        except (OSError, ValueError, EOFError) as error:
            raise _damaged(path, str(error)) from error
        sizes = len(start) + (2 if name.startswith("maps") else 0)
        if array.dtype != kind or array.ndim != sizes or array.shape[: len(start)] != start:
            raise _damaged(path, f"it holds {array.dtype}{list(array.shape)}")
        arrays[name] = array if mode == "r" else np.load(path, mmap_mode=mode)
    return arrays


def write_teacher_cache(
    folder: Path, about: dict[str, Any], arrays: dict[str, npt.NDArray[Any]], files: list[str]
) -> None:
    """Write a finished cache. Raises UserError where `folder` holds one, or is being written."""
    with lock_folder(folder):
        if about_path(folder).is_file():
            raise UserError(f"{folder} holds a cache already: name another folder, or remove it")
        for name, array in arrays.items():
            with atomic_path(folder / f"{name}.npy") as temporary:
                np.save(temporary, array)
        write_atomic(folder / "files.json", json.dumps(files))
        about = {**about, "split": split_digest(files), "done": len(files)}
        # This file is written last: a folder without it is not a cache.
        write_atomic(folder / ABOUT, json.dumps(about, indent=2) + "\n")


def read_about(folder: Path) -> dict[str, Any]:
    """teacher_cache.json, or {} where there is none. Raises UserError when it is damaged."""
    path = about_path(folder)
    if not path.is_file():
        return {}
    about = _read_json(path)
    if not (
        isinstance(about, dict)
        and all(isinstance(about.get(key), kind) for key, kind in KINDS.items())
        and about["done"] >= 0
        and isinstance(about["views"].get("count"), int)
        and isinstance(about["map"].get("stages"), list)
        and all(stage.isdigit() and isinstance(n, int) for stage, n in about["channels"].items())
    ):
        raise _damaged(path, "it does not say what is stored")
    return about


def about_path(folder: Path) -> Path:
    """The file that says what a cache was made for; older versions called it knowledge.json."""
    older = folder / "knowledge.json"
    return older if older.is_file() and not (folder / ABOUT).is_file() else folder / ABOUT


def identity_files(cache: TeacherCache) -> tuple[str, str]:
    """The files in which a cache differs from one that was made anew by another teacher."""
    return str(about_path(cache.folder)), str(cache.folder / "logits.npy")


def split_digest(files: list[str]) -> str:
    """A digest of a split's images, in their order."""
    return hashlib.sha256("\n".join(map(str, files)).encode(errors="surrogateescape")).hexdigest()


def _read_json(path: Path) -> Any:
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is damaged ({reason}): remove {path.parent} to make it again")


WORDS = {"views": "augmentations", "teacher views": "flips of the teacher"}  # for a file's keys


def check_alike(first: TeacherCache, other: TeacherCache, keys: Sequence[str]) -> None:
    """Raise UserError naming the first of `keys` in which two caches differ."""
    for key in keys:
        ours, theirs = (cache.about.get(key, "") for cache in (first, other))
        # Older caches say nothing of their photos' bytes.
        if ours != theirs and not (key == "photos" and "" in (ours, theirs)):
            raise UserError(
                f"{other.folder} was made with other {WORDS.get(key, key)} than {first.folder}: "
                "make both with the same photos, split and config"
            )


def check_same(folder: Path, about: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raise UserError naming the first thing in which a cache differs from what is expected."""
    # Defaults for fields that older caches lack.
    views = {"mix": 0.0, **about.get("views", {})}
    unsaid = {
        key: expected[key] for key in ("teacher input", "pixels", "photos") if key in expected
    }
    about = {"teacher views": 1, **unsaid, **about, "views": views}
    for key, value in expected.items():
        if about.get(key) != value:
            raise UserError(
                f"{folder} was made with other {WORDS.get(key, key)} ({str(about.get(key))[:60]}, "
                f"not {str(value)[:60]}): name another folder, or remove this one"
            )
