"""A model.onnx: its weights, and its logits or every tensor by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from swin2mcu.common.cli import UserError
from swin2mcu.common.pixels import to_float

Floats = npt.NDArray[np.float32]


def onnx_weights(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The constants of a model.onnx by name. Raises UserError when it cannot be read."""
    if not path.is_file():
        raise UserError(f"{path} is missing: run python -m pytorch_side.export first")
    import onnx

    try:
        graph = onnx.load(path).graph
    except Exception as error:
        raise UserError(f"{path} is not an ONNX file: run export again") from error
    return {constant.name: onnx.numpy_helper.to_array(constant) for constant in graph.initializer}


def onnx_tensors(path: Path, images: Floats) -> dict[str, npt.NDArray[Any]]:
    """Every tensor of a model.onnx for one image (1, height, width, 3), channels last."""
    import onnx
    import onnxruntime

    model = onnx.load(path)
    outputs = {value.name for value in model.graph.output}
    made = [name for node in model.graph.node for name in node.output]
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in made if n not in outputs)
    session = onnxruntime.InferenceSession(model.SerializeToString(), onnx_options())
    fed = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    source = session.get_inputs()[0].name
    values = dict(zip(made, session.run(made, {source: fed}), strict=True)) | {source: fed}
    return {n: v.transpose(0, 2, 3, 1) if v.ndim == 4 else v for n, v in values.items()}


def onnx_session(path: Path) -> Callable[[npt.NDArray[np.uint8]], Floats]:
    """A function from pixels (N, height, width, 3) to the logits of a model.onnx."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), onnx_options())
    source = session.get_inputs()[0].name

    def logits(pixels: npt.NDArray[np.uint8]) -> Floats:
        fed = np.ascontiguousarray(to_float(pixels).transpose(0, 3, 1, 2))
        return np.concatenate([session.run(None, {source: image[None]})[0] for image in fed])

    return logits


def fast_session(path: Path, threads: int) -> Any:
    """A session with all optimizations. Raises UserError for a file that is refused."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin while they wait would take the cores from the backend that runs next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no other common base class
        raise UserError(f"ONNX Runtime cannot load {path}: {error}") from error


def onnx_options() -> Any:
    """Options: one thread, and no fusion that would hide a tensor or change its rounding."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return options
