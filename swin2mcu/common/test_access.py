"""The test access log: every score of a split, one JSON line each in RUN/test_access.jsonl.

A test split gives an unbiased score only once, because later choices depend on it. Further scores
cannot be forbidden, but they can be counted: every tool that scores a split logs it here before it
shows the score.
"""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

from swin2mcu.common.cli import UserError
from swin2mcu.common.lock import locked

FILE = "test_access.jsonl"
OLD_FILE = "looks.jsonl"  # its name in older runs; still read, never written
AVERAGED = "8 flips and turns"  # a target: PyTorch's logits, averaged over them
# The digest is empty for entries of old logs, which do not name the scored file.
KINDS = {"split": str, "images": int, "top1": float, "weights_sha256": str}


def log_access(
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
    """Log a score: `weights` has accuracy `top1`. Returns how often this split was scored.

    `weights` is the name of the file that was scored. `target` is where it ran, as in results.json,
    or "" for PyTorch. Raises UserError when the log cannot be written: a score that is not logged
    must not be shown.
    """
    access = {
        "split": split,
        **({"target": target} if target else {}),
        "images": images,
        "top1": top1,
        "weights": weights,
        "weights_sha256": weights_sha256,
        "data": data,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    path = run / FILE
    with locked(path):
        try:
            _append(path, json.dumps(access))
        except OSError as error:
            raise UserError(f"cannot log this score in {path}: {error.strerror}") from error
        return sum(one["split"] == split for one in read_accesses(run))


def _append(path: Path, line: str) -> None:
    """Add a line. A killed command may have left a part of a line; its score was never shown."""
    with path.open("a+b") as stream:
        stream.seek(0)
        whole = stream.read().rpartition(b"\n")
        stream.truncate(len(whole[0]) + len(whole[1]))
        stream.write(line.encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def read_accesses(run: Path) -> list[dict[str, Any]]:
    """All logged scores, oldest first. Raises UserError for a line that is not a logged score."""
    found = []
    for path in (run / OLD_FILE, run / FILE):
        if not path.is_file():
            continue
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            try:
                access = json.loads(line)
                if {name: type(access[name]) for name in KINDS} != KINDS:
                    raise ValueError
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise UserError(
                    f"line {number} of {path} is not a logged score: correct it, or remove it"
                ) from error
            found.append(access)
    return found


def last_access(
    run: Path, split: str, weights_sha256: str, target: str = ""
) -> dict[str, Any] | None:
    """A target's last score with exactly these weights, on the most images of a split."""
    found = [
        access
        for access in read_accesses(run)
        if (access["split"], access["weights_sha256"]) == (split, weights_sha256)
        and access.get("target", "") == target
    ]
    most = max((access["images"] for access in found), default=0)
    return next((access for access in reversed(found) if access["images"] == most), None)
