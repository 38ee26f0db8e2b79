"""From the bytes of a .tflite file to C source, with the memory and the steps that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swin2mcu.common.cli import UserError
from tinyml.aot.emit import Emitter, Source
from tinyml.aot.fuse import FUSIONS, fuse
from tinyml.aot.lower import lower
from tinyml.aot.pad_channels import pad_channels
from tinyml.aot.schedule import arena_plan, schedule
from tinyml.aot.sort_channels import sort_channels
from tinyml.format.tflite import Graph

POINTER = 12  # bytes of a pointer to a name, and of the name's end and alignment


@dataclass(frozen=True)
class Compiled:
    """The generated files and the figures of the plan."""

    source: Source
    arena_bytes: int
    bound_bytes: int  # lower bound: no placement of these steps needs less
    steps: int
    macs: int
    step_macs: tuple[int, ...]
    weights_bytes: int  # packed weights and biases, an upper bound
    constant_bytes: int  # of all other constants, names too: an upper bound


def compile_graph(
    graph: Graph,
    sha256: str,
    core: str,
    labels: Sequence[str] | None = None,
    fusions: frozenset[str] = frozenset(FUSIONS),
) -> Compiled:
    """Raises UserError naming the operator and tensor that are not supported."""
    program = lower(graph)
    classes = program.output_shape.size
    if classes > 65535:
        raise UserError(f"the model has {classes} outputs; at most 65535 are supported")
    if labels is not None and len(labels) != classes:
        raise UserError(
            f"the card names {len(labels)} classes, but the model has {classes} outputs: "
            "they belong to different models"
        )
    fuse(program, fusions)
    if core == "pie":
        sort_channels(program)
        pad_channels(program)
    steps, bound = schedule(program, core, fusions)
    plan = arena_plan(program, steps, bound)
    names = [str(i) for i in range(classes)] if labels is None else labels
    emitter = Emitter(program, steps, plan, core)
    source = emitter.source(sha256, names)
    texts = sum(len(name.encode(errors="backslashreplace")) + POINTER for name in names)
    macs = [node.macs for node in program.nodes]
    step_macs = tuple(sum(macs[step.first : step.end]) for step in steps)
    return Compiled(
        source,
        plan.size,
        bound,
        len(steps),
        sum(macs),
        step_macs,
        emitter.constants.weights_bytes,
        emitter.constants.other_bytes + texts,
    )
