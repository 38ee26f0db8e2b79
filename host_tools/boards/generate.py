"""Write the sources that an engine needs of a model, where the firmware's build reads them."""

from __future__ import annotations

from pathlib import Path

from host_tools.boards.needs import Need, activation_bytes, check_fit, need_of
from host_tools.boards.table import Board
from host_tools.inputs import Model
from swin2mcu.common.cli import write_atomic
from tinyml import emit_c
from tinyml.aot.compiler import compile_graph
from tinyml.format.tflite import read

# The arena is measured with reference kernels; optimized ones (ESP-NN) ask for scratch beyond it.
TFLM_SCRATCH_BYTES = 64 << 10
INTERPRETER_FLASH_BYTES = 56 << 10  # its code, with the kernels of the zoo's operators


def generate(model: Model, board: Board, engine: str, folder: Path, memory: str = "") -> Path:
    """Write the model for one engine and core below `folder`; returns where.

    Raises UserError, before anything is written, where the model does not fit the board.
    """
    if engine == "tflm":
        files, need = _interpreted(model)
        out = folder / f"{model.sha256[:12]}-tflm"
    else:
        files, need = _compiled(model, board.core)
        out = folder / f"{model.sha256[:12]}-{board.core}"
    check_fit(model, need, board, memory)
    for name, text in files.items():
        write_atomic(out / name, text)
    write_atomic(out / "arena_bytes", f"{need.arena_bytes}\n")  # for flash.py
    return out


def _compiled(model: Model, core: str) -> tuple[dict[str, str], Need]:
    graph = read(model.int8)
    compiled = compile_graph(graph, model.sha256, core, model.card.classes)
    source = compiled.source
    files = {"model_data.h": source.model_data_h, "model.c": source.model_c}
    return files, need_of(graph, compiled)


def _interpreted(model: Model) -> tuple[dict[str, str], Need]:
    """The .tflite itself lies in flash; the interpreter's structures lie in the arena."""
    arena = emit_c.known_arena(model.int8, model.card) + TFLM_SCRATCH_BYTES
    files = emit_c.emit(model.int8, model.card.classes, arena)
    size, code = model.int8.stat().st_size, INTERPRETER_FLASH_BYTES
    return files, Need(arena, size, code, activation_bytes(read(model.int8)))
