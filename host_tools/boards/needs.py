"""What a model needs of a board's memories, what the board has, and what would fit instead."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from host_tools.boards.table import Board
from host_tools.inputs import Model, load_model
from host_tools.link.protocol import MAX_CLASSES
from swin2mcu.common.cli import UserError
from swin2mcu.common.paths import ZOO
from tinyml.aot.compiler import Compiled, compile_graph
from tinyml.format.tflite import Graph, read

# Code of the firmware, and its stack and line buffers: upper bounds, which tests compare with what
# the linker says of a real build.
FIRMWARE_FLASH_BYTES = 72 << 10
FIRMWARE_RAM_BYTES = 44 << 10
MLPERF_RAM_BYTES = 224 * 224 * 3  # that session keeps an image of up to this size beside the arena


@dataclass(frozen=True)
class Need:
    """What one model needs of a board, in bytes."""

    arena_bytes: int  # exact: the compiler plans it
    weights_bytes: int  # weights and biases, as they are packed
    constant_bytes: int = 0  # tables, per-channel factors, names of classes: always in flash
    activation_bytes: int = 0  # read and written by its operators in one inference
    macs: int = 0  # multiply-accumulates of one inference

    @property
    def ram_bytes(self) -> int:
        return self.arena_bytes + FIRMWARE_RAM_BYTES


@dataclass(frozen=True)
class Fit:
    """One model on one board in one choice of memory: what each memory must hold, and has."""

    board: str
    memory: str
    weights_in: str
    arena_in: str
    flash_need: int
    flash_have: int
    ram_need: int
    ram_have: int
    weights_need: int  # in a memory apart from flash; 0 where weights lie in flash
    weights_have: int
    psram_need: int
    psram_have: int
    # Bytes of one inference by memory: each weight once, and each activation once for every
    # operator that reads or writes it. A cache that is too small fetches some of them again.
    fetch_bytes: dict[str, int] = field(default_factory=dict)

    @property
    def shortages(self) -> list[str]:
        """One phrase for each memory that is too small."""
        memories = (
            ("flash", self.flash_need, self.flash_have),
            ("RAM", self.ram_need, self.ram_have),
            ("memory for weights", self.weights_need, self.weights_have),
            ("PSRAM", self.psram_need, self.psram_have),
        )
        return [
            f"{name} {need / 1024:,.0f} KiB needed, {have / 1024:,.0f} KiB there"
            for name, need, have in memories
            if need > have
        ]


def need_of(graph: Graph, compiled: Compiled) -> Need:
    """What a compiled graph needs: weights as its core's kernels read them."""
    return Need(
        compiled.arena_bytes,
        compiled.weights_bytes,
        compiled.constant_bytes,
        activation_bytes(graph),
        compiled.macs,
    )


def activation_bytes(graph: Graph) -> int:
    """Bytes of activations that the operators read and write; each operator's tensors count
    once."""
    total = 0
    for operator in graph.operators:
        for index in (*operator.inputs, *operator.outputs):
            if index >= 0 and graph.tensors[index].data is None:
                total += prod(graph.tensors[index].shape)
    return total


def fit(need: Need, board: Board, memory: str = "") -> Fit:
    places = board.memory(memory)
    apart = places.weights == "apart"
    arena_in_ram = places.arena == "ram"
    in_psram = need.weights_bytes if places.weights == "psram" else 0
    in_psram += 0 if arena_in_ram else need.arena_bytes
    fetch = {places.weights: need.weights_bytes}
    fetch[places.arena] = fetch.get(places.arena, 0) + need.activation_bytes
    return Fit(
        board=board.name,
        memory=places.name,
        weights_in=places.weights,
        arena_in=places.arena,
        flash_need=FIRMWARE_FLASH_BYTES
        + need.constant_bytes
        + (0 if apart else need.weights_bytes),
        flash_have=board.flash_bytes,
        ram_need=need.ram_bytes
        + (MLPERF_RAM_BYTES if board.session == "mlperf" else 0)
        - (0 if arena_in_ram else need.arena_bytes),
        ram_have=board.ram_bytes,
        weights_need=need.weights_bytes if apart else 0,
        weights_have=board.weights_bytes,
        psram_need=in_psram,
        psram_have=board.psram_bytes,
        fetch_bytes=fetch,
    )


def check_fit(model: Model, need: Need, board: Board, memory: str = "") -> None:
    """Raises UserError naming what is short, and the memory choice or the zoo model that fits.

    Also where an answer of the board has no room for the logits of all classes.
    """
    if board.session != "mlperf" and len(model.card.classes) > MAX_CLASSES:
        raise UserError(
            f"{model.card.name} has {len(model.card.classes):,} classes, and an answer of "
            f"{board.name} has room for {MAX_CLASSES:,}"
        )
    said = fit(need, board, memory)
    if not said.shortages:
        return
    others = [m.name for m in board.memories if not fit(need, board, m.name).shortages]
    remedy = f"it fits with --memory {others[0]}" if others else ""
    where = f" ({said.memory})" if len(board.memories) > 1 else ""
    raise UserError(
        f"{model.card.name} does not fit {board.name}{where}: {'; '.join(said.shortages)}; "
        f"{remedy or _largest_that_fits(board, model.sha256, memory)}"
    )


def _largest_that_fits(board: Board, but: str, memory: str) -> str:
    fitting = []
    for path in sorted(ZOO.glob("*/model_int8.tflite")):
        model = load_model(str(path.parent))
        if model.sha256 != but and not fit(measure(model, board.core), board, memory).shortages:
            fitting.append((model.card.macs or 0, model.card.name))
    return f"{max(fitting)[1]} of the zoo fits" if fitting else "no model of the zoo fits it"


def measure(model: Model, core: str) -> Need:
    """Compile the model for `core`, which takes seconds."""
    graph = read(model.int8)
    return need_of(graph, compile_graph(graph, model.sha256, core, model.card.classes))
