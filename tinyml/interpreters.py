"""The foreign interpreters the ladder's rungs run on, each behind one small function or class.

Images are (height, width, 3), or (N, height, width, 3) where many; int8 models take and give int8.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyml.cli import UserError
from tinyml.pixels import to_float

Floats = npt.NDArray[np.float32]
Int8s = npt.NDArray[np.int8]


def onnx_tensors(path: Path, images: Floats) -> dict[str, npt.NDArray[Any]]:
    """Every tensor that one (1, height, width, 3) image makes in a model.onnx, channels last."""
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


def onnx_options() -> Any:
    """One thread, and no fusion that would hide a tensor or change its rounding."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return options


class LiteRT:
    """A .tflite in LiteRT: its plain reference kernels, or (`reference=False`) its fast ones.

    The reference kernels of the int8 operators are the ones TFLite Micro has.
    """

    def __init__(self, model: bytes, reference: bool = True, keep_tensors: bool = False) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        kind = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
        self._interpreter = Interpreter(
            model_content=model,
            num_threads=1,
            experimental_op_resolver_type=kind,
            experimental_preserve_all_tensors=keep_tensors,
        )
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def run(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Logits (classes,) of one image (height, width, 3)."""
        self._interpreter.set_tensor(self._input, image[None])
        self._interpreter.invoke()
        logits: npt.NDArray[Any] = self._interpreter.get_tensor(self._output)[0]
        return logits

    def tensor(self, index: int) -> npt.NDArray[Any]:
        """What tensor `index` held in the last run; needs `keep_tensors`."""
        value: npt.NDArray[Any] = self._interpreter.get_tensor(index)
        return value


class Micro:
    """An int8 .tflite in TFLite Micro's interpreter: what boards are measured against."""

    def __init__(self, model: bytes) -> None:
        from tflite_micro.python.tflite_micro import runtime

        self._interpreter = runtime.Interpreter.from_bytes(model)

    def run(self, image: Int8s) -> Int8s:
        """Logits (classes,) of one image (height, width, 3)."""
        self._interpreter.set_input(image[None], 0)
        self._interpreter.invoke()
        logits: Int8s = self._interpreter.get_output(0)[0]
        return logits


ARENA_SCRIPT = """
import sys
from tflite_micro.python.tflite_micro import runtime
interpreter = runtime.Interpreter.from_file(sys.argv[1])
interpreter.print_allocations()
"""


def arena_bytes(model: Path) -> int:
    """The arena that TFLite Micro's interpreter uses for a model, as it counts itself.

    It tells by writing to stderr from C++, hence the process of its own.
    """
    done = subprocess.run(
        [sys.executable, "-c", ARENA_SCRIPT, str(model)], capture_output=True, text=True
    )
    found = re.search(r"Arena allocation total (\d+) bytes", done.stdout + done.stderr)
    if done.returncode or not found:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"TFLite Micro does not run {model}: {last}")
    return int(found[1])
