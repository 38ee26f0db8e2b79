"""Every way to run one model on this PC."""

from __future__ import annotations

from pathlib import Path

from host_tools.inputs import Model
from host_tools.pc.backend import Backend
from host_tools.pc.tflite_backends import tflite_backends
from host_tools.pc.torch_backends import torch_backends


def all_backends(model: Model, work: Path, threads: int) -> list[Backend]:
    """PyTorch's and those of the files made from it; `work` keeps a float file made of int8."""
    return [
        *torch_backends(model, len(model.card.classes), threads),
        *tflite_backends(model, work, threads),
    ]
