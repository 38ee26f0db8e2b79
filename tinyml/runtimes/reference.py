"""The reference on this PC, with which a board's answers are compared.

It is TensorFlow Lite Micro's interpreter where its wheel exists (Linux on x86-64), and otherwise
the generated C, compiled here. The record of a comparison names which one was used.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tinyml.format.tflite import parse
from tinyml.runtimes.tflite_micro import Micro, is_installed


class Runner(Protocol):
    def run(self, image: npt.NDArray[np.int8], /) -> npt.NDArray[np.int8]:
        """Logits (classes,) of one image (height, width, channels), both int8."""


def reference_name() -> str:
    """The kind of reference: "tflite-micro" or "generated-c"."""
    return "tflite-micro" if is_installed() else "generated-c"


def open_reference(model: bytes) -> Runner:
    """The reference for `model`. Raises UserError if nothing on this PC can run it."""
    if is_installed():
        return Micro(model)
    from tinyml.runtimes.generated import GeneratedC

    # The library stays loaded, and Windows cannot delete a loaded library.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return GeneratedC(parse(model), hashlib.sha256(model).hexdigest(), Path(folder))
