"""An int8 model on this PC: its generated C if there is a compiler, else TensorFlow Lite Micro."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from swin2mcu.common.cli import UserError
from tinyml.format.tflite import read
from tinyml.runtimes.generated import GeneratedC, c_compiler
from tinyml.runtimes.tflite_micro import Micro

Int8s = npt.NDArray[np.int8]


def load_pc(model: Path, sha256: str, work: Path) -> tuple[str, Callable[[Int8s], Int8s]]:
    """(engine, logits of an image (height, width, 3)); both engines give the same bytes.

    `work` is a folder for compiled files. Raises UserError if neither engine is available.
    """
    if c_compiler():
        return "generated C", GeneratedC(read(model), sha256, work).run
    try:
        return "TensorFlow Lite Micro", Micro(model.read_bytes()).run
    except ImportError as error:
        raise UserError(
            "there is neither a C compiler nor TensorFlow Lite Micro: install gcc or tflite-micro"
        ) from error
