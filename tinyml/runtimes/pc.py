"""An int8 model on this PC, by the engine that is done first. Both engines give the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from swin2mcu.common.cli import UserError
from tinyml.format.facts import count_macs
from tinyml.format.tflite import read
from tinyml.runtimes.generated import GeneratedC, c_compiler
from tinyml.runtimes.tflite_micro import Micro, is_installed

Int8s = npt.NDArray[np.int8]

# Compiling takes some seconds, in which TensorFlow Lite Micro does about so many
# multiply-accumulates: 100 images of a small student.
COMPILING_PAYS = 1_500_000_000


def load_pc(
    model: Path, sha256: str, work: Path, images: int
) -> tuple[str, Callable[[Int8s], Int8s]]:
    """(engine, logits of an image (height, width, 3)), for about so many `images`.

    `work` is a folder for compiled files. Raises UserError if neither engine is available.
    """
    graph = read(model)
    few = images * count_macs(graph) < COMPILING_PAYS
    if is_installed() and (few or not c_compiler()):
        try:
            return "TensorFlow Lite Micro", Micro(model.read_bytes()).run
        except UserError:  # it refuses the model
            if not c_compiler():
                raise
    if c_compiler():
        return "generated C", GeneratedC(graph, sha256, work).run
    raise UserError(
        "there is neither a C compiler nor TensorFlow Lite Micro: install gcc or tflite-micro"
    )
