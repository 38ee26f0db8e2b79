"""The reference on this PC, with which a board's answers are compared.

It is TensorFlow Lite Micro's interpreter where its wheel exists (Linux on x86-64) and no image can
make it abort, otherwise the generated C, compiled here. A comparison's record names which one.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tinyml.format.tflite import parse
from tinyml.runtimes.tflite_micro import Micro, is_installed, may_abort


class Runner(Protocol):
    def run(self, image: npt.NDArray[np.int8], /) -> npt.NDArray[np.int8]:
        """Logits (classes,) of one image (height, width, channels), both int8."""


def reference_name(model: bytes) -> str:
    """The kind of reference: "tflite-micro" or "generated-c"."""
    return "tflite-micro" if is_installed() and not may_abort(parse(model)) else "generated-c"


def open_reference(model: bytes) -> Runner:
    """The reference for `model`. Raises UserError if nothing on this PC can run it."""
    if reference_name(model) == "tflite-micro":
        return Micro(model)
    from tinyml.runtimes.generated import GeneratedC

    # The library stays loaded, and Windows cannot delete a loaded library.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return GeneratedC(parse(model), hashlib.sha256(model).hexdigest(), Path(folder))
