"""Cut the network into steps, such that the arena is smallest, and among such cuts the number of
kernel calls."""

from __future__ import annotations

from tinyml.aot.ir import Program
from tinyml.aot.memory import Buffer, Plan, place
from tinyml.aot.steps import SCRATCH, AotStep, StepBuilder

LONGEST_STEP = 10  # nodes


def schedule(program: Program, core: str, fusions: frozenset[str]) -> tuple[list[AotStep], int]:
    """The best cuts, least memory first, then fewest calls; and the bytes they need at least."""
    builder = StepBuilder(program, core, fusions)
    count = len(program.nodes)
    options = {
        end: [
            step
            for first in range(max(0, end - LONGEST_STEP), end)
            for step in _candidates(builder, first, end)
        ]
        for end in range(1, count + 1)
    }
    least = [0] * (count + 1)
    for end in range(1, count + 1):
        least[end] = _least_memory(options[end], least)
    # end → the kernel calls of the cheapest steps up to there, and these steps
    cheapest: dict[int, tuple[int, list[AotStep]]] = {0: (0, [])}
    for end in range(1, count + 1):
        fitting = [s for s in options[end] if s.first in cheapest and _fits(s, least[count])]
        if fitting:
            best = min(fitting, key=lambda s: cheapest[s.first][0] + s.calls)
            calls, steps = cheapest[best.first]
            cheapest[end] = (calls + best.calls, [*steps, best])
    return cheapest[count][1], least[count]


def _least_memory(options: list[AotStep], least: list[int]) -> int:
    """The least memory with one of these last steps, given that of the steps before each.

    A step is not placed where its lower bound shows that it is not the best: placing takes most of
    the time.
    """
    bounds = {step: max(least[step.first], step.least) for step in options}
    best: int | None = None
    for step in sorted(options, key=bounds.__getitem__):
        if best is not None and bounds[step] >= best:
            break
        size = max(least[step.first], step.arena(least[step.first]))
        best = size if best is None else min(best, size)
    assert best is not None  # each node can be a step of its own
    return best


def _fits(step: AotStep, limit: int) -> bool:
    return step.least <= limit and step.arena(limit) <= limit


def _candidates(builder: StepBuilder, first: int, end: int) -> list[AotStep]:
    """The ways to run nodes first … end - 1 as one step."""
    steps = [builder.whole(first)] if end - first == 1 else []
    if "stream" in builder.fusions or ("overlay" in builder.fusions and end - first == 1):
        streamed = builder.streamed(first, end)
        if streamed is not None:
            steps.append(streamed)
    return steps


def arena_plan(program: Program, steps: list[AotStep], least: int) -> Plan:
    """Offsets of every place (step i's scratch is named -1 - i); no smaller than `least` bytes."""
    spans: dict[int, list[int]] = {}
    sizes: dict[int, int] = {}
    overlays = []
    for position, step in enumerate(steps):
        for buffer in step.buffers:
            name = SCRATCH - position if buffer.name == SCRATCH else buffer.name
            spans.setdefault(name, []).append(position)
            sizes[name] = max(sizes.get(name, 0), buffer.size)
        overlays += step.overlays
    buffers = [Buffer(n, sizes[n], min(at), max(at)) for n, at in spans.items()]
    return place(buffers, overlays, least)
