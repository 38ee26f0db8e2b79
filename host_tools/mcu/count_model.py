"""One model's generated C on one emulated core: what every step costs, RAM, flash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from host_tools.mcu.bare_metal import (
    COUNTER,
    Core,
    build,
    compiler_version,
    get_core,
    kernel_sources,
    section_bytes,
)
from host_tools.mcu.blocks import disassemble, edges_of
from host_tools.mcu.cycles import modeled_cycles
from host_tools.mcu.profile import Interval, profile
from swin2mcu.common.card import sha256_of
from swin2mcu.common.cli import UserError
from tinyml.aot.compiler import compile_graph
from tinyml.aot.fuse import FUSIONS
from tinyml.format.tflite import read
from tinyml.runtimes.tflite_micro import Micro

# Of the widest multiply-accumulate: SMLAD takes two a cycle, VMLADAVA sixteen in two.
MACS_PER_CYCLE = {"m4": 2, "m7": 2, "m55": 8}
WEIGHTS = '-DMODEL_WEIGHTS_SECTION=__attribute__((section(".weights")))'


@dataclass(frozen=True)
class CountedStep:
    step: str
    operators: str
    instructions: int
    modeled_cycles: int
    macs: int


@dataclass(frozen=True)
class Count:
    """What one inference costs on one core; all sizes in bytes."""

    model: str
    weights: str  # trained, or random: of a network that nobody has trained yet
    core: str
    engine: str
    compiler: str
    instructions: int
    modeled_cycles: int  # see cycles.py
    macs: int
    ram_bytes: int  # arena, with input and output in it, and stack
    arena_bytes: int
    stack_bytes: int
    flash_bytes: int  # of the engine: weights, tables and code
    weights_bytes: int
    table_bytes: int
    code_bytes: int
    per_operator: tuple[CountedStep, ...]

    @property
    def beyond_weights_bytes(self) -> int:
        """Flash that the engine takes for a network besides its weights."""
        return self.flash_bytes - self.weights_bytes

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def made_up_image(shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """The image that firmware/counter/count_model.c makes for itself."""
    i = np.arange(int(np.prod(shape)), dtype=np.int64)
    return (i * 37 + i // 251 * 11).astype(np.uint8).view(np.int8).reshape(shape)


@dataclass(frozen=True)
class CountedModel:
    """An int8 .tflite to count."""

    name: str
    path: Path
    weights: str = "trained"


def check_logits(
    model: CountedModel, where: str, logits: Sequence[int], image: npt.NDArray[np.int8]
) -> None:
    """Raises UserError if these are not TFLite Micro's: a wrong kernel's count means nothing."""
    expected = Micro(model.path.read_bytes()).run(image).ravel().tolist()
    if logits != expected:
        raise UserError(f"{model.name} on {where} answers {logits}, TFLite Micro {expected}")


def count_model(
    model: CountedModel, core_name: str, fusions: frozenset[str] = frozenset(FUSIONS)
) -> Count:
    """Count one inference. Raises UserError if the logits are not those of TFLite Micro."""
    core, name = get_core(core_name), model.name
    graph = read(model.path)
    compiled = compile_graph(graph, sha256_of(model.path), core.contract, fusions=fusions)
    with TemporaryDirectory() as folder:
        source = Path(folder) / "model.c"
        source.write_text(compiled.source.model_c)
        (Path(folder) / "model_data.h").write_text(compiled.source.model_data_h)
        program = Path(folder) / "count.elf"
        engine = [source, *kernel_sources(core.kernels)]
        build(core, program, engine, [COUNTER / "count_model.c"], [WEIGHTS])
        status, text, intervals = profile(core, program)
        sizes = section_bytes(program)
        cycles = _modeled_cycles(core, program, intervals)
    if status:
        raise UserError(f"{name} on {core_name}: the program ended with {status}: {text.strip()}")
    lines = [line.split("\t") for line in text.splitlines()]
    rows = [line[1:] for line in lines if line[0] == "step"]
    steps = tuple(
        CountedStep(row[0], row[1], int(row[2]), taken, macs)
        for row, taken, macs in zip(rows, cycles, compiled.step_macs, strict=True)
    )
    figures = {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[0] != "logit"}
    logits = [int(line[1]) for line in lines if line[0] == "logit"]
    shape = tuple(int(n) for n in graph.tensors[graph.inputs[0]].shape[1:])
    check_logits(model, core_name, logits, made_up_image(shape))
    weights, tables, code = (sizes[s] for s in (".weights", ".engine_tables", ".engine_code"))
    return Count(
        model=name,
        weights=model.weights,
        core=core_name,
        engine="aot",
        compiler=f"gcc {compiler_version()}",
        instructions=figures["total"],
        modeled_cycles=sum(cycles),
        macs=compiled.macs,
        ram_bytes=figures["arena_bytes"] + figures["stack_bytes"],
        arena_bytes=figures["arena_bytes"],
        stack_bytes=figures["stack_bytes"],
        flash_bytes=weights + tables + code,
        weights_bytes=weights,
        table_bytes=tables,
        code_bytes=code,
        per_operator=steps,
    )


def _modeled_cycles(core: Core, program: Path, intervals: Sequence[Interval]) -> list[int]:
    mcpu = next(f.removeprefix("-mcpu=") for f in core.flags if f.startswith("-mcpu="))
    instructions = disassemble(program, mcpu)
    edges = [edges_of(instructions, interval) for interval in intervals]
    return [round(cycles) for cycles in modeled_cycles(mcpu, edges)]


def baseline_for(count: Count, baseline: dict[str, Any]) -> dict[str, Any] | None:
    """TFLite Micro with CMSIS-NN on the same core for a network of as many MACs."""
    for figure in baseline["figures"]:
        same = figure["core"] == count.core and figure["kernels"] == "CMSIS-NN"
        if same and abs(figure["macs"] / count.macs - 1) < 0.02:
            found: dict[str, Any] = figure
            return found
    return None
