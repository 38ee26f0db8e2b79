"""Looks at a split, each a line of <run>/looks.jsonl.

A test split answers honestly once. Looks at it cannot be forbidden, but they can be counted: every
tool that takes one writes it down here before it shows what it saw.
"""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

from swin2mcu.common.cli import UserError

FILE = "looks.jsonl"
AVERAGED = "8 flips and turns"  # a target: PyTorch's answers, averaged over them
KINDS = {"split": str, "images": int, "top1": float, "weights_sha256": str}


def write_look(
    run: Path,
    *,
    split: str,
    images: int,
    top1: float,
    weights: str,
    weights_sha256: str,
    data: str,
    target: str = "",
) -> int:
    """Write down that `weights` got `top1` of so many images right; returns looks at that split.

    `weights` is the name of the file that was scored, `target` the place where it ran, as in
    results.json; empty where that is PyTorch. Raises UserError when the look cannot be written: an
    unlogged look is not to be shown, the log is what makes the figure honest.
    """
    look = {
        "split": split,
        **({"target": target} if target else {}),
        "images": images,
        "top1": top1,
        "weights": weights,
        "weights_sha256": weights_sha256,
        "data": data,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    try:
        with (run / FILE).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(look) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise UserError(f"cannot write down this look in {run / FILE}: {error.strerror}") from error
    return sum(look["split"] == split for look in read_looks(run))


def read_looks(run: Path) -> list[dict[str, Any]]:
    """All looks, oldest first. Raises UserError for a line that is none."""
    path = run / FILE
    if not path.is_file():
        return []
    looks = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            look = json.loads(line)
            if {name: type(look[name]) for name in KINDS} != KINDS:
                raise ValueError
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"line {number} of {path} is no look: mend it, or remove it") from error
        looks.append(look)
    return looks


def last_look(
    run: Path, split: str, weights_sha256: str, target: str = ""
) -> dict[str, Any] | None:
    """A target's (PyTorch's) last look with these very weights at the most images of a split."""
    found = [
        look
        for look in read_looks(run)
        if (look["split"], look["weights_sha256"]) == (split, weights_sha256)
        and look.get("target", "") == target
    ]
    most = max((look["images"] for look in found), default=0)
    return next((look for look in reversed(found) if look["images"] == most), None)
