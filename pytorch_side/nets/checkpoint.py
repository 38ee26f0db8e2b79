"""checkpoint.pt: everything that training needs to resume after it was killed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from pytorch_side.config import Config, differing, saved_config, to_dict
from pytorch_side.nets.weights import library_path
from swin2mcu.common.cli import UserError

ADAMW = {"lr", "betas", "eps", "weight_decay"}  # keys that each parameter group must have


class Digests(Protocol):
    """Training batches, which know digests of their photos."""

    @property
    def train_data_digest(self) -> str: ...

    @property
    def photos_digest(self) -> str: ...


def write_checkpoint(
    path: Path,
    config: Config,
    batches: Digests,
    parts: dict[str, Any],
    rows: list[dict[str, Any]],
    started_from: Sequence[str],
) -> None:
    """Write `parts` (model, averaged model, optimizer) and the log's rows in one step.

    `started_from`: SHA-256 of each file that the training began with: first of weights, then of
    cached teacher outputs and of the teacher.
    """
    state = {
        "config": to_dict(config),
        "train_data_digest": batches.train_data_digest,
        "photos_digest": batches.photos_digest,
        "started_from": list(started_from),
        "rows": rows,
        "random": torch.get_rng_state(),  # of dropout; augmentations and order come from seeds
        **{name: part.state_dict() for name, part in parts.items()},
    }
    with library_path(path) as temporary:
        torch.save(state, temporary)


def read_checkpoint(
    path: Path,
    config: Config,
    batches: Digests,
    parts: dict[str, Any],
    started_from: Sequence[str],
) -> list[dict[str, Any]]:
    """Fill `parts` from a checkpoint and return the rows of its log.

    Raises UserError when it is damaged, or belongs to another config, network or photos, or began
    with other files than `started_from`. Checkpoints of older versions hold no digest of the
    photos' bytes, of these weights or of teacher outputs; there only the names are compared.
    """
    state = _load(path, ("config", "rows", "random", *parts))
    names = differing(config, saved_config(state["config"], str(path)))
    what = [f"another config ({', '.join(names)} differ)"] if names else []
    # Older checkpoints have another name for it, or lack it.
    digest = state.get("train_data_digest", state.get("learnt_from", batches.train_data_digest))
    if digest != batches.train_data_digest:
        what.append("other images")
    elif state.get("photos_digest", batches.photos_digest) != batches.photos_digest:
        what.append("other photos with the same names")
    if not _began_with(state, started_from):
        what.append("a file of initial weights or teacher outputs that has changed since")
    if what:
        raise UserError(
            f"{path} belongs to {' and '.join(what)}: "
            f"use another folder, or remove {path.parent} to start again"
        )
    try:
        for name, part in parts.items():
            part.load_state_dict({_new_name(key): value for key, value in state[name].items()})
        torch.set_rng_state(state["random"])
        rows = [{_new_name(key): value for key, value in row.items()} for row in state["rows"]]
    except Exception as error:  # for example a teacher's checkpoint for a student
        raise UserError(
            f"{path} belongs to another network: "
            f"use another folder, or remove {path.parent} to start again"
        ) from error
    if damage := _damage(parts, rows):
        raise UserError(f"{path} is damaged ({damage}): remove it to start again")
    return rows


def began_with(path: Path, started_from: Sequence[str]) -> bool:
    """Whether a checkpoint began with these files, by their SHA-256; True if it does not say.

    Raises UserError if it cannot be read.
    """
    return _began_with(_load(path, ()), started_from)


def _began_with(state: dict[str, Any], started_from: Sequence[str]) -> bool:
    known = state.get("started_from", [])
    # Older versions did not list the teacher outputs, which come last.
    return isinstance(known, list) and known == [*started_from][: len(known)]


def _damage(parts: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """What is wrong with the loaded parts, or "". Finds what torch does not check on loading."""
    if any(row.keys() != rows[0].keys() or "epoch" not in row for row in rows):
        return "its log has rows of different columns"
    for name in ("model", "averaged"):
        if not all(value.isfinite().all() for value in parts[name].state_dict().values()):
            return "it holds weights that are not finite"
    groups = parts["optimizer"].param_groups
    states = parts["optimizer"].state
    known = [(w, states[w]) for group in groups for w in group["params"] if states[w]]
    if not all(group.keys() >= ADAMW for group in groups) or (rows and not known):
        return "it lacks a part of the optimizer"
    for weight, state in known:
        shapes = {name: getattr(value, "shape", None) for name, value in state.items()}
        if shapes != {"step": (), "exp_avg": weight.shape, "exp_avg_sq": weight.shape}:
            return "its optimizer belongs to other weights"
    return ""


def _new_name(key: str) -> str:
    """Older versions called a hint a guide, and its regressors followers."""
    if key == "guide":
        return "hint"
    return key.replace("followers.", "regressors.", 1) if key.startswith("followers.") else key


def _load(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about files that it did not write
            state = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        if isinstance(error, OSError) and error.filename:  # for example missing rights
            raise
        # PyTorch's own message advises to load such a file in an unsafe way.
        unsafe = "weights_only" in str(error)
        reason = (
            "it holds more than numbers" if unsafe else "it is not a whole file of this project"
        )
        raise UserError(f"{path} cannot be read ({reason}): remove it to start again") from error
    missing = [name for name in names if not isinstance(state, dict) or name not in state]
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}: remove it to start again")
    return dict(state)
