"""The runtimes for a model's files, behind one pair of functions: prepare the input, run it.

Runtimes are imported when a backend is loaded, never before: a fresh process that loads one of
them shows that runtime's memory and no other's.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from host_tools.inputs import Model
from host_tools.pc.backend import Backend
from host_tools.pc.runner import Pixels, Runner
from swin2mcu.common.cli import UserError
from swin2mcu.common.input_contract import OUR_CONTRACT, InputContract
from swin2mcu.common.pixels import to_float

DEQUANTIZED = "the int8 model's weights as floats: the float model itself is not in the folder"


def tflite_backends(model: Model, work: Path, threads: int) -> list[Backend]:
    """All backends this folder has the files for. `work` keeps what is generated on the way."""
    suffix = "" if threads == 1 else f"-{threads}t"
    found = [
        Backend(
            f"pc-litert-int8{suffix}",
            "LiteRT (XNNPACK)",
            "int8",
            model.size,
            threads,
            ("ai-edge-litert",),
            lambda count: load_litert(model.int8, count, model.contract),
            model.int8,
        ),
        _float_litert(model, work, threads, suffix),
    ]
    if (onnx := model.folder / "model.onnx").is_file():
        found.append(
            Backend(
                f"pc-onnxruntime-float32{suffix}",
                "ONNX Runtime",
                "float32",
                model.size,
                threads,
                ("onnxruntime",),
                lambda count: load_onnxruntime(onnx, count),
                onnx,
            )
        )
    if threads == 1:  # neither knows threads: a microcontroller has one core
        from tinyml.runtimes.generated import compiled_by

        found.append(
            Backend(
                "pc-tflm-int8",
                "TFLite Micro",
                "int8",
                model.size,
                1,
                ("tflite-micro",),
                lambda count: load_tflite_micro(model.int8, model.contract),
                model.int8,
                "reference kernels, made to be read and ported, not to be fast on a PC",
            )
        )
        found.append(
            Backend(
                "pc-aot-int8",
                f"generated C, {compiled_by()}",
                "int8",
                model.size,
                1,
                (),
                lambda count: load_generated_c(model),
                model.int8,
                weighed=False,
            )
        )
    return found


def _float_litert(model: Model, work: Path, threads: int, suffix: str) -> Backend:
    path, note = _float_file(model, work)
    return Backend(
        f"pc-litert-float32{suffix}",
        "LiteRT (XNNPACK)",
        "float32",
        model.size,
        threads,
        ("ai-edge-litert",),
        # Made here, so that a model which has no float variant loses this backend alone.
        lambda count: load_litert(float_model(model, work)[0], count, model.contract),
        path,
        note,
    )


def _float_file(model: Model, work: Path) -> tuple[Path, str]:
    """Where the float .tflite lies or will lie, and a note."""
    path = model.folder / "model_float32.tflite"
    if path.is_file():
        return path, ""
    return work / f"{model.sha256[:16]}-float32.tflite", DEQUANTIZED


def float_model(model: Model, work: Path) -> tuple[Path, str]:
    """The float .tflite and a note: the run's own, else the int8 model's weights as floats.

    Raises UserError for a model that has no such variant.
    """
    path, note = _float_file(model, work)
    if not path.is_file():
        from swin2mcu.common.cli import write_atomic
        from tinyml.format.variants import dequantized

        try:
            write_atomic(path, dequantized(model.int8.read_bytes()))
        except UserError as error:
            raise UserError(f"{model.int8} has no float variant: {error}") from error
    return path, note


def load_litert(path: Path, threads: int, contract: InputContract = OUR_CONTRACT) -> Runner:
    """LiteRT with its default kernels (XNNPACK)."""
    from tinyml.runtimes.litert import open_interpreter

    try:
        interpreter = open_interpreter(path, threads)
    except (ValueError, RuntimeError) as error:
        raise UserError(f"LiteRT cannot load {path}: {error}") from error
    return litert_runner(interpreter, contract)


def litert_runner(interpreter: Any, contract: InputContract) -> Runner:
    """An open interpreter of LiteRT; the model's ends may be int8, uint8 or float32."""
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def prepare(pixels: Pixels) -> npt.NDArray[Any]:
        if taken["dtype"] == np.float32:
            return contract.real(pixels)[None]
        stored = contract.stored(pixels)[None]
        return stored if taken["dtype"] == np.int8 else stored.view(np.uint8) ^ np.uint8(0x80)

    def run(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        interpreter.set_tensor(taken["index"], values)
        interpreter.invoke()
        logits: npt.NDArray[Any] = interpreter.get_tensor(given["index"]).ravel()
        return (logits ^ np.uint8(0x80)).view(np.int8) if logits.dtype == np.uint8 else logits

    return Runner(prepare, run)


def load_tflite_micro(path: Path, contract: InputContract) -> Runner:
    from tinyml.runtimes.tflite_micro import Micro

    return Runner(contract.stored, Micro(path.read_bytes()).run)


def load_generated_c(model: Model) -> Runner:
    from tinyml.format.tflite import read
    from tinyml.runtimes.generated import GeneratedC

    # A folder of its own: another run on this model would write over what is compiled here. The
    # library stays loaded, and Windows cannot delete a loaded library.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        generated = GeneratedC(read(model.int8), model.sha256, Path(folder))
    return Runner(model.contract.stored, generated.run)


def load_onnxruntime(path: Path, threads: int) -> Runner:
    from tinyml.runtimes.onnx import fast_session

    session = fast_session(path, threads)
    name = session.get_inputs()[0].name
    channels_first = session.get_inputs()[0].shape[1] == 3

    def prepare(pixels: Pixels) -> npt.NDArray[np.float32]:
        values = to_float(pixels)[None]
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2)) if channels_first else values

    return Runner(prepare, lambda values: np.asarray(session.run(None, {name: values})[0][0]))
