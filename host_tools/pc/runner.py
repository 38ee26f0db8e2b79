"""The interface through which every runtime is measured: prepare an input, run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Runner:
    """A loaded model. `prepare` is not timed; `run` goes from that input to logits in memory."""

    prepare: Callable[[Pixels], Any]  # (size, size, 3) pixels → what `run` takes
    run: Callable[[Any], npt.NDArray[Any]]  # → (classes,) logits, int8 or float32
    facts: Callable[[], dict[str, int]] | None = (
        None  # "macs", "parameters" where it can count them
    )
