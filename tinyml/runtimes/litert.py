"""LiteRT, TensorFlow Lite's interpreter for PCs and phones."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt


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
