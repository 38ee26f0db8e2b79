"""LiteRT, TensorFlow Lite's interpreter for PCs and phones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt

Kernels = Literal["fast", "plain", "reference"]


def open_interpreter(
    model: bytes | Path, threads: int = 1, kernels: Kernels = "fast", keep_tensors: bool = False
) -> Any:
    """An interpreter with its tensors allocated.

    "fast" kernels are XNNPACK's, "plain" are LiteRT's own, "reference" are TensorFlow Lite's
    reference kernels; MUL and FULLY_CONNECTED round otherwise than TFLite Micro's. Raises
    ValueError or RuntimeError for a file that LiteRT refuses.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = {
        "fast": OpResolverType.AUTO,
        "plain": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        "reference": OpResolverType.BUILTIN_REF,
    }
    interpreter = Interpreter(
        **{"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)},
        num_threads=threads,
        experimental_op_resolver_type=resolver[kernels],
        experimental_preserve_all_tensors=keep_tensors,
    )
    interpreter.allocate_tensors()
    return interpreter


class LiteRT:
    """A .tflite in LiteRT with its reference kernels, or its fast ones if `reference` is False.

    The reference kernels of int8 MUL and FULLY_CONNECTED round otherwise than TFLite Micro's.
    """

    def __init__(self, model: bytes, reference: bool = True, keep_tensors: bool = False) -> None:
        kernels: Kernels = "reference" if reference else "fast"
        self._interpreter = open_interpreter(model, 1, kernels, keep_tensors)
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def run(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Logits (classes,) of one image (height, width, 3)."""
        self._interpreter.set_tensor(self._input, image[None])
        self._interpreter.invoke()
        logits: npt.NDArray[Any] = self._interpreter.get_tensor(self._output)[0]
        return logits

    def tensor(self, index: int) -> npt.NDArray[Any]:
        """The values of tensor `index` in the last run; needs `keep_tensors`."""
        value: npt.NDArray[Any] = self._interpreter.get_tensor(index)
        return value
