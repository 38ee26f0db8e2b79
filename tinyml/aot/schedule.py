"""Cut the network into steps, such that the arena is smallest, and among such cuts the number of
kernel calls."""

from __future__ import annotations

from tinyml.aot.ir import Program
from tinyml.aot.memory import Buffer, Plan, place
from tinyml.aot.steps import SCRATCH, AotStep, StepBuilder

LONGEST_STEP = 10  # nodes


def schedule(program: Program, core: str, fusions: frozenset[str]) -> list[AotStep]:
    """The best cuts: least memory first, then fewest calls."""
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
        least[end] = min(max(least[s.first], s.plan.size) for s in options[end])
    # end → the kernel calls of the cheapest steps up to there, and these steps
    cheapest: dict[int, tuple[int, list[AotStep]]] = {0: (0, [])}
    for end in range(1, count + 1):
        fitting = [s for s in options[end] if s.plan.size <= least[count] and s.first in cheapest]
        if fitting:
            best = min(fitting, key=lambda s: cheapest[s.first][0] + s.calls)
            calls, steps = cheapest[best.first]
            cheapest[end] = (calls + best.calls, [*steps, best])
    return cheapest[count][1]


def _candidates(builder: StepBuilder, first: int, end: int) -> list[AotStep]:
    """The ways to run nodes first … end - 1 as one step."""
    steps = [builder.whole(first)] if end - first == 1 else []
    if "stream" in builder.fusions or ("overlay" in builder.fusions and end - first == 1):
        streamed = builder.streamed(first, end)
        if streamed is not None:
            steps.append(streamed)
    return steps


def arena_plan(program: Program, steps: list[AotStep]) -> tuple[Plan, int]:
    """Offsets of every place (step i's scratch is named -1 - i), and a lower bound of the size."""
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
    bound = max(step.plan.size for step in steps)
    return place(buffers, overlays, bound), bound
