"""A run's ONNX and ranges → .tflite files and the finished card: `python -m tinyml.convert RUN`.

model.onnx   ─ onnx2tf ─►  model_float32.tflite
ranges.json  ────────────► model_int8.tflite    with QAT's scales and zero points
                           card.json            operators, size, arena, output scale, SHA-256
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from swin2mcu.common.bound import run_bound
from swin2mcu.common.card import Card, load_card, sha256_of, update_card
from swin2mcu.common.cli import Parser, UserError, run_command, write_atomic
from swin2mcu.common.json_file import read_json
from swin2mcu.common.lock import lock_folder
from tinyml.format.facts import count_macs, count_parameters
from tinyml.format.tflite import Graph, parse
from tinyml.runtimes.onnx import onnx_tensors, onnx_weights

# onnx2tf downloads this file for image models, unless it is in the current folder.
SAMPLE_NAME = "calibration_image_sample_data_20x128x128x3_float32.npy"
SCALE_TOLERANCE = 1e-6  # the largest relative difference allowed between the file and ranges.json


def convert(run: Path, say: Any = lambda text: None) -> Card:
    """Make both .tflite files of `run` and complete its card. Raises UserError; see the module."""
    card = load_card(run / "card.json")
    ranges = read_ranges(run / "ranges.json")
    onnx_path = run / "model.onnx"
    weights = onnx_weights(onnx_path)

    from tinyml.convert.quantize_tflite import match_tensors, quantize_file, require_supported
    from tinyml.runtimes.litert import LiteRT
    from tinyml.runtimes.tflite_micro import arena_bytes

    with _step(say, "onnx2tf: model.onnx → model_float32.tflite"):
        float_model = run_onnx2tf(onnx_path)
        graph = parse(float_model)
        require_supported(graph)
        write_atomic(run / "model_float32.tflite", float_model)
    with _step(say, "matching tensors by value"):
        image = probe_image(card.input_shape)
        interpreter = LiteRT(float_model, keep_tensors=True)
        interpreter.run(image)
        values = {o.outputs[0]: interpreter.tensor(o.outputs[0]) for o in graph.operators}
        values |= {index: image[None] for index in graph.inputs}
        named = {n: v for n, v in onnx_tensors(onnx_path, image[None]).items()
                 if n in ranges["activations"]}  # fmt: skip
        names = match_tensors(graph, values, named)
    with _step(say, "writing and checking model_int8.tflite"):
        int8_model = quantize_file(float_model, graph, names, weights, ranges)
        graph = parse(int8_model)
        worst = worst_scale_difference(graph, ranges)
        if worst > SCALE_TOLERANCE:
            raise UserError(f"a scale is {worst:.1e} off QAT's: the int8 file is not written")
        target = run / "model_int8.tflite"
        write_atomic(target, int8_model)
    with _step(say, "measuring TFLite Micro's arena"):
        output = graph.tensors[graph.outputs[0]]
        facts = {
            "input_scale": float(graph.tensors[graph.inputs[0]].scales[0]),
            "input_zero_point": int(graph.tensors[graph.inputs[0]].zero_points[0]),
            "output_scale": float(output.scales[0]),
            "output_zero_point": int(output.zero_points[0]),
            "ops": dict(collections.Counter(o.op for o in graph.operators)),
            "macs": count_macs(graph),
            "parameters": count_parameters(graph),
            "arena_bytes": arena_bytes(target),
        }
        card = update_card(
            run / "card.json", lambda card: _of_model(card, sha256_of(target), facts)
        )
    say(f"{len(names)} activations with QAT's ranges, worst scale {worst:.1e} off QAT's")
    return card


def _of_model(card: Card, sha256: str, facts: dict[str, Any]) -> Card:
    """The card with the facts of the file. Another file's test score and calibration go."""
    if card.sha256 != sha256:
        accuracy = {k: v for k, v in card.accuracy.items() if k != "int8"}
        card = dataclasses.replace(card, accuracy=accuracy, calibration=None)
    return dataclasses.replace(card, **facts, sha256=sha256)


def read_ranges(path: Path) -> dict[str, Any]:
    """The record of a ranges.json. Raises UserError when it is missing or invalid."""
    try:
        record = read_json(path)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: run python -m pytorch_side.qat first") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): run qat again") from error
    if not isinstance(record, dict) or not {"activations", "weights"} <= set(record):
        raise UserError(f"{path} holds no ranges: run qat again")
    return record


def run_onnx2tf(onnx_path: Path) -> bytes:
    """The float .tflite that onnx2tf makes. Its own process and folder keep its output apart."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        np.save(work / SAMPLE_NAME, np.zeros((20, 128, 128, 3), np.float32))
        command = [sys.executable, "-m", "onnx2tf", "-n", "-i", str(onnx_path.resolve())]
        done = run_bound([*command, "-o", "out"], folder=work)
        made = work / "out" / f"{onnx_path.stem}_float32.tflite"
        if done.returncode or not made.is_file():
            lines = (done.stdout + done.stderr).strip().splitlines() or ["no message"]
            raise UserError(f"onnx2tf cannot convert {onnx_path}: {lines[-1]}")
        return made.read_bytes()


def probe_image(shape: tuple[int, int, int]) -> npt.NDArray[np.float32]:
    """An image of blobs of many sizes, so that no two tensors of a network have equal values."""
    height, width, channels = shape
    random = np.random.default_rng(0)
    image = np.zeros(shape)
    for cell in (1, 4, 16):
        rough = random.uniform(-0.4, 0.4, (-(-height // cell), -(-width // cell), channels))
        image += np.kron(rough, np.ones((cell, cell, 1)))[:height, :width]
    return (np.round(image * 128).clip(-128, 127) / 128).astype(np.float32)


def worst_scale_difference(graph: Graph, ranges: dict[str, Any]) -> float:
    """Largest relative difference of an activation's scale; infinite if a zero point differs."""
    worst = 0.0
    for index in (*graph.inputs, *(o.outputs[0] for o in graph.operators)):
        tensor = graph.tensors[index]
        entry = ranges["activations"][tensor.name]
        if int(tensor.zero_points[0]) != entry["zero_point"]:
            return math.inf
        worst = max(worst, abs(float(tensor.scales[0]) / entry["scale"] - 1))
    return worst


@contextlib.contextmanager
def _step(say: Any, text: str) -> Iterator[None]:
    say(text)
    yield


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path, help="folder with model.onnx, ranges.json and card.json")
    parser.add_argument("--json", action="store_true", help="print the card")
    arguments = parser.parse_args(argv)

    def command() -> None:
        if not arguments.run.is_dir():  # its lock would make it
            raise UserError(f"{arguments.run} is no folder: name a training run")
        with lock_folder(arguments.run):
            card = convert(arguments.run, lambda text: print(text, file=sys.stderr, flush=True))
        if arguments.json:
            print(json.dumps(dataclasses.asdict(card)))
            return
        operators = ", ".join(f"{n} {op}" for op, n in card.ops.items())
        print(f"{arguments.run / 'model_int8.tflite'}: {card.macs:,} MACs, {card.parameters:,} "
              f"parameters, {card.arena_bytes or 0:,} bytes of arena; {operators}")  # fmt: skip

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
