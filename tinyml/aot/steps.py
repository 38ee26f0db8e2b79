"""One step of the generated code: the nodes that it runs, row by row, and the memory it needs.

For each output row of its last node, a streamed step computes those rows of the earlier nodes that
are still missing. The tensors between its nodes need a ring of a few rows, not their whole size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from tinyml.aot.ir import WINDOWED, Concat, Node, Operand, Program, window_of
from tinyml.aot.memory import Buffer, Overlay, least_bytes, place
from tinyml.aot.pack import scratch_bytes

SCRATCH = -1  # the name of a step's scratch among its buffers
STREAM_COST = 4  # the loop of a streamed step costs as much as this many kernel calls


@dataclass(frozen=True)
class Event:
    """One kernel call: `node` writes its rows first … end - 1."""

    node: int
    first: int
    end: int


@dataclass(eq=False)
class AotStep:
    """Nodes first … end - 1 of the program."""

    first: int
    end: int
    streamed: bool
    # node → (a, b): after row y of the last node, a * y + b rows of this node are done
    targets: dict[int, tuple[int, int]] = field(default_factory=dict)
    rings: dict[int, int] = field(default_factory=dict)  # place inside the step → rows it has
    overlays: list[Overlay] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    calls: int = 0
    _found: tuple[int, int] | None = None  # the last answer of `arena`, and the limit of its search

    @cached_property
    def least(self) -> int:
        """Bytes that this step alone needs at least."""
        return least_bytes(self.buffers, self.overlays)

    def arena(self, limit: int) -> int:
        """The size of an arena in which this step alone can run.

        It is the smallest that is found, or any of at most `limit` bytes: the search ends there.
        """
        if self._found is not None:
            size, searched = self._found
            if size <= limit or searched <= limit:
                return size
        size = place(self.buffers, self.overlays, limit).size
        self._found = size, limit
        return size


def rows_of(program: Program, node: Node) -> int:
    """The number of rows that a node computes."""
    if node.kind == "sum":
        return node.inputs[0].shape.height
    return program.values[node.output].shape.height


def rows_read(node: Node, operand: Operand, row: int) -> range:
    """The rows of `operand` that are needed for row `row`."""
    height = operand.shape.height
    if (window := window_of(node.work)) is not None:
        top = row * window.stride_height - window.pad_top
        return range(max(top, 0), min(top + window.kernel_height, height))
    if is_whole(node, operand):
        return range(height)
    return range(row, row + 1)


def is_whole(node: Node, operand: Operand) -> bool:
    """Whether the node needs all of `operand` before its first row."""
    if isinstance(node.work, Concat):
        return node.work.axis == "height"
    return node.kind == "mean" or (node.kind == "gate" and operand is node.inputs[1])


class StepBuilder:
    """Makes the possible steps of one program."""

    def __init__(self, program: Program, core: str, fusions: frozenset[str]) -> None:
        self.program = program
        self.core = core
        self.fusions = fusions
        nodes = program.nodes
        self.births = {program.stored(program.input): -1}
        self.deaths = {program.stored(program.input): -1}
        for index, node in enumerate(nodes):
            for value in self._written(node):
                self.births.setdefault(program.stored(value), index)
                self.deaths[program.stored(value)] = index
            for operand in node.inputs:
                self.deaths[program.stored(operand.value)] = index
        self.deaths[program.stored(program.output)] = len(nodes)

    def whole(self, index: int) -> AotStep:
        """One node over all its rows."""
        node = self.program.nodes[index]
        rows = rows_of(self.program, node)
        step = AotStep(index, index + 1, streamed=False)
        if node.kind in WINDOWED:
            events = [Event(index, row, row + 1) for row in range(rows)]
        else:
            events = [Event(index, 0, rows)]
        step.calls = len(events)
        self._finish(step, events)
        return step

    def streamed(self, first: int, end: int) -> AotStep | None:
        """Nodes first … end - 1, row by row; None if they cannot run in this way."""
        nodes = self.program.nodes
        inside = {nodes[i].output: i for i in range(first, end)}
        sums = {nodes[i].sums for i in range(first, end)}
        step = AotStep(first, end, streamed=True)
        step.targets[end - 1] = (1, 1)
        if rows_of(self.program, nodes[end - 1]) < 2:
            return None
        for index in range(end - 1, first - 1, -1):
            node = nodes[index]
            if index not in step.targets or is_whole(node, node.inputs[0]):
                return None  # no node of the step reads it, or one needs the whole tensor
            if node.kind == "sum" and index != end - 1:
                return None
            a, b = step.targets[index]
            for operand in node.inputs:
                reshaped = operand.shape != self.program.values[operand.value].shape
                if operand.value in sums:
                    return None
                # Rows of different shapes do not correspond; a kernel with a window knows both.
                if reshaped and (end - first > 1 or node.kind not in WINDOWED):
                    return None
                maker = inside.get(operand.value)
                if maker is None:
                    continue
                if is_whole(node, operand):
                    return None
                need = (a, b)
                if (w := window_of(node.work)) is not None:
                    need = (
                        a * w.stride_height,
                        (b - 1) * w.stride_height + w.kernel_height - w.pad_top,
                    )
                old = step.targets.get(maker, need)
                step.targets[maker] = (max(old[0], need[0]), max(old[1], need[1]))
        events = self._events(step)
        if not self._complete(step, events) or not self._consistent(events):
            return None
        step.calls = len(events) + STREAM_COST
        self._finish(step, events)
        return step

    def _events(self, step: AotStep) -> list[Event]:
        made = dict.fromkeys(step.targets, 0)
        events = []
        nodes = self.program.nodes
        for y in range(rows_of(self.program, nodes[step.end - 1])):
            for index in range(step.first, step.end):
                a, b = step.targets[index]
                target = min(a * y + b, rows_of(self.program, nodes[index]))
                events += [Event(index, row, row + 1) for row in range(made[index], target)]
                made[index] = max(made[index], target)
        return events

    def _complete(self, step: AotStep, events: list[Event]) -> bool:
        """Whether every row that later steps read is computed."""
        made = {e.node: e.end for e in events}
        return all(
            made.get(i, 0) == rows_of(self.program, self.program.nodes[i])
            for i in range(step.first, step.end)
            if any(
                self.deaths[self.program.stored(v)] >= step.end
                for v in self._written(self.program.nodes[i])
            )
        )

    def _consistent(self, events: list[Event]) -> bool:
        """Whether every row is read before a node that shares its place overwrites it."""
        holds: dict[tuple[int, int], int] = {}
        made: set[tuple[int, int]] = set()
        inside = {self.program.nodes[e.node].output for e in events}
        for event in events:
            node = self.program.nodes[event.node]
            for operand in node.inputs:
                for row in rows_read(node, operand, event.first):
                    value, at = operand.value, self.program.stored(operand.value)
                    if value in inside and (value, row) not in made:
                        return False
                    if holds.get((at, row), value) != value:
                        return False
            if node.kind != "sum":
                holds[self.program.stored(node.output), event.first] = node.output
                made.add((node.output, event.first))
        return True

    def _finish(self, step: AotStep, events: list[Event]) -> None:
        """Compute rings, overlays and the buffers that are alive."""
        program = self.program
        touched = self._touched(step, events)
        alive = [
            p
            for p, birth in self.births.items()
            if birth < step.end and self.deaths[p] >= step.first
        ]
        for at in alive:
            size = program.values[at].size
            inner = self.births[at] >= step.first and self.deaths[at] < step.end
            if inner and step.streamed and program.values[at].item_bytes == 1:
                step.rings[at] = _ring_rows([rows for place_, rows, _ in touched if place_ == at])
                size = step.rings[at] * program.values[at].row_bytes
            step.buffers.append(Buffer(at, size, step.first, step.end - 1))
        scratch = max(
            scratch_bytes(program, program.nodes[i], self.core) for i in range(step.first, step.end)
        )
        if scratch:
            step.buffers.append(Buffer(SCRATCH, scratch, step.first, step.end - 1))
        if "overlay" in self.fusions:
            self._overlay(step, events, touched, alive)

    def _touched(self, step: AotStep, events: list[Event]) -> list[tuple[int, range, int]]:
        """(place, rows, event) in order of time; sums and whole operands as all their rows."""
        program = self.program
        touched = []
        for time, event in enumerate(events):
            node = program.nodes[event.node]
            for operand in node.inputs:
                if operand.shape.row_bytes == program.values[operand.value].shape.row_bytes:
                    first = rows_read(node, operand, event.first)
                    last = rows_read(node, operand, event.end - 1)
                    rows = range(first.start, last.stop)
                else:
                    rows = range(program.values[operand.value].shape.height)
                touched.append((program.stored(operand.value), rows, time))
            if node.kind != "sum":
                rows = range(event.first, event.end)
                touched.append((program.stored(node.output), rows, time))
        return touched

    def _overlay(
        self,
        step: AotStep,
        events: list[Event],
        touched: list[tuple[int, range, int]],
        alive: list[int],
    ) -> None:
        program = self.program
        dying = [p for p in alive if self.births[p] < step.first and self.deaths[p] < step.end]
        born = [
            p
            for p in alive
            if self.births[p] >= step.first
            and self.deaths[p] >= step.end
            and program.values[p].item_bytes == 1
        ]
        for source in dying:
            # For each event: the position in source from which bytes are still needed.
            needed = [program.values[source].size] * (len(events) + 1)
            row_bytes = program.values[source].row_bytes
            for at, rows, time in touched:
                if at == source and len(rows):
                    needed[time] = min(needed[time], rows.start * row_bytes)
            for time in range(len(events) - 1, -1, -1):
                needed[time] = min(needed[time], needed[time + 1])
            for result in born:
                step_bytes = program.values[result].row_bytes
                lead = max(
                    rows.stop * step_bytes - needed[time]
                    for at, rows, time in touched
                    if at == result
                )
                step.overlays.append(Overlay(source, result, lead))

    def _written(self, node: Node) -> list[int]:
        return [node.output] if node.sums is None else [node.output, node.sums]


def _ring_rows(touches: list[range]) -> int:
    """The largest distance between the newest row touched so far and the oldest still needed."""
    spans = [r for r in touches if len(r)]
    oldest = [0] * len(spans)
    low = 1 << 30
    for i in range(len(spans) - 1, -1, -1):
        low = min(low, spans[i].start)
        oldest[i] = low
    rows, newest = 1, 0
    for i, span in enumerate(spans):
        newest = max(newest, span.stop)
        rows = max(rows, newest - oldest[i])
    return rows
