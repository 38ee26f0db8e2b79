"""Weights on disk: .safetensors files whose metadata names their network, size and classes."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pytorch_side.config.records import Pixels
from swin2mcu.common.card import are_class_names, sha256_of
from swin2mcu.common.cli import UserError, atomic_path
from swin2mcu.common.json_file import parse_json

NUMBERS = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32)
STUDENT = {"student", "size", "classes"}  # metadata of every student
PART_MAX = 8_000_000  # bytes of tensors in a published file, which is at most 8 MiB
PARTS = "parts"  # metadata of a network's first file: the SHA-256 of its other files, in order
CLASSIFIERS = ("classifier.", "head.fc.")  # the layers whose shape depends on the classes


def load_weights(model: nn.Module, path: Path, classes: Sequence[str] = ()) -> dict[str, str]:
    """Fill `model` from a .safetensors file and return the file's metadata.

    If the file's classifier is missing or made for other classes, the model keeps its own random
    one. With the names of the model's `classes` it takes the rows of those that the file has too.
    Raises UserError, which names them, for other weights that do not fit.
    """
    weights, metadata = read_weights(path)
    own = model.state_dict()
    if classes and set(metadata) >= STUDENT:
        weights |= _rows_by_name(weights, own, student_of(metadata, path)[2], classes)
    for name in [n for n in weights if n.startswith(CLASSIFIERS)]:
        if name in own and weights[name].shape != own[name].shape:
            del weights[name]
    unknown = [name for name in weights if name not in own]
    missing = [n for n in own if n not in weights and not n.startswith(CLASSIFIERS)]
    fitting = [n for n in weights if n in own]
    shapes = [n for n in fitting if weights[n].shape != own[n].shape]
    kinds = [n for n in fitting if weights[n].is_floating_point() != own[n].is_floating_point()]
    for wrong, text in (
        (unknown, "holds weights that the network does not have"),
        (missing, "lacks weights of the network"),
        (shapes, "holds weights of another shape"),
        (kinds, "holds integers instead of floats, or floats instead of integers"),
    ):
        if wrong:
            raise UserError(
                f"{path} {text}: {', '.join(wrong[:3])}{' …' if len(wrong) > 3 else ''}; "
                "name the file that belongs to this network and input size"
            )
    model.load_state_dict(
        {name: value.to(own[name].dtype) for name, value in weights.items()}, strict=False
    )
    return metadata


def _rows_by_name(
    weights: dict[str, Tensor], own: dict[str, Tensor], known: Sequence[str], classes: Sequence[str]
) -> dict[str, Tensor]:
    """The model's classifier with the rows of `weights` for classes of the same name."""
    matched = {}
    for name in [n for n in weights if n.startswith(CLASSIFIERS) and n in own]:
        rows, (old, new) = own[name].clone(), (weights[name], own[name])
        if (len(old), len(new)) != (len(known), len(classes)) or old.shape[1:] != new.shape[1:]:
            return {}  # not what its metadata says: checked as any other weights
        for row, one in enumerate(classes):
            if one in known:
                rows[row] = old[known.index(one)]
        matched[name] = rows
    return matched


def has_classifier(weights: dict[str, Tensor], classes: int) -> bool:
    """Whether a file's tensors hold a classifier of so many classes.

    Without one, load_weights leaves the network's random classifier, which is right only where a
    training starts.
    """
    found = [weights[n] for n in weights if n.startswith(CLASSIFIERS) and n.endswith(".bias")]
    return any(bias.shape == (classes,) for bias in found)


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors and the metadata of a .safetensors file, and of the files that continue it.

    Raises UserError for other files, and where a file that continues it is missing or another one.
    """
    weights, metadata = _read(path)
    for number, digest in enumerate(_digests(metadata.pop(PARTS, "[]"), path), start=2):
        part = part_path(path, number)
        weights |= _read(part)[0]
        if sha256_of(part) != digest:
            raise UserError(f"{part} does not belong to {path}: get both again")
    return weights, metadata


def _digests(text: str, path: Path) -> list[str]:
    try:
        return msgspec.convert(parse_json(text), list[str])
    except ValueError as error:
        raise UserError(f"{path} does not name its other files: {error}") from error


def part_path(path: Path, number: int) -> Path:
    """The file of a network's `number`-th part: net.safetensors, net.part2.safetensors, …"""
    return path if number == 1 else path.with_name(f"{path.stem}.part{number}{path.suffix}")


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if path.exists() and not path.is_file():  # opening a pipe would wait forever
        raise UserError(f"cannot read weights {path}: it is not a plain file")
    try:
        with safe_open(path, "pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata: dict[str, str] = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read weights {path}: {error}") from error
    for name, value in weights.items():
        if value.dtype not in NUMBERS:
            raise UserError(f"{path}: {name!r} is of {value.dtype}, which no network here has")
        # A network with one such weight gives the same output for every image, without any error.
        if value.is_floating_point() and not value.isfinite().all():
            raise UserError(f"{path}: {name!r} holds numbers that are not finite: train it again")
    return weights, metadata


def save_weights(model: nn.Module, path: Path, metadata: dict[str, Any]) -> None:
    """Write a .safetensors file in one step; metadata values are stored as JSON unless text.

    Equal weights and metadata give equal bytes, so that a file's hash can be reproduced.
    """
    tensors = {name: value.contiguous().clone() for name, value in model.state_dict().items()}
    _write(tensors, path, metadata)


def copy_in_half(source: Path, path: Path, part_max: int = PART_MAX) -> None:
    """Copy a .safetensors file, its floats in half precision (float16), half as large.

    A network of more than `part_max` bytes goes into several files, which read_weights joins.
    Raises UserError for a number beyond its range, and for files that are no weights.
    """
    tensors, metadata = read_weights(source)
    for name, value in tensors.items():
        if value.is_floating_point():
            tensors[name] = value.half()
            if not tensors[name].isfinite().all():
                raise UserError(f"{source}: {name!r} holds numbers too large for half precision")
    first, *others = _parts(tensors, part_max)
    for number, part in enumerate(others, start=2):
        _write(part, part_path(path, number), {})
    files = [part_path(path, number) for number in range(2, len(others) + 2)]
    _write(first, path, metadata | ({PARTS: [sha256_of(file) for file in files]} if files else {}))


def _parts(tensors: dict[str, Tensor], part_max: int) -> list[dict[str, Tensor]]:
    """`tensors` in groups of at most `part_max` bytes; a larger tensor is a group by itself."""
    parts: list[dict[str, Tensor]] = [{}]
    used = 0
    for name, value in tensors.items():
        if parts[-1] and used + value.nbytes > part_max:
            parts.append({})
            used = 0
        parts[-1][name] = value
        used += value.nbytes
    return parts


def _write(tensors: dict[str, Tensor], path: Path, metadata: dict[str, Any]) -> None:
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
    with library_path(path) as temporary:
        temporary.write_bytes(_canonical(save(tensors, texts)))


def _canonical(file: bytes) -> bytes:
    """A .safetensors file with the keys of its header sorted: the library's order is random."""
    size = int.from_bytes(file[:8], "little")
    header = json.dumps(json.loads(file[8 : 8 + size]), sort_keys=True, separators=(",", ":"))
    text = header.encode()
    text += b" " * (-len(text) % 8)  # the format aligns the tensors that follow
    return len(text).to_bytes(8, "little") + text + file[8 + size :]


@contextlib.contextmanager
def library_path(path: Path) -> Iterator[Path]:
    """atomic_path for libraries that raise their own errors for a full disk, not OSError."""
    try:
        with atomic_path(path) as temporary:
            yield temporary
    except (RuntimeError, SafetensorError) as error:
        free = shutil.disk_usage(path.parent).free >> 20
        raise UserError(f"cannot write {path} ({error}); {free} MB are free there") from error


def student_of(metadata: dict[str, str], path: Path) -> tuple[str, int, tuple[str, ...]]:
    """timm's name, input size and classes from a file's metadata. Raises UserError."""
    if missing := sorted(STUDENT - set(metadata)):
        raise UserError(
            f"{path} is not a student of this project: its metadata lacks {', '.join(missing)}"
        )
    try:
        size = msgspec.convert(int(metadata["size"]), Pixels)
        classes = parse_json(metadata["classes"])
    except ValueError as error:
        raise UserError(f"{path} has a size or classes that cannot be read: {error}") from error
    if not are_class_names(classes):
        raise UserError(f"{path} has classes that are not a list of at least two different names")
    return metadata["student"], size, tuple(classes)
