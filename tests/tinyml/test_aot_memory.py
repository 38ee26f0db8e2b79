"""The planner stops early only where no plan can be smaller."""

from __future__ import annotations

import random

import pytest

from tinyml.aot import memory
from tinyml.aot.compiler import compile_graph
from tinyml.aot.memory import Buffer, Overlay, Plan, place
from tinyml.aot.steps import AotStep
from tinyml.format.mobilenet_graphs import small
from tinyml.format.tflite import parse


def drawn(seed: int) -> tuple[list[Buffer], list[Overlay]]:
    """Buffers of one or more steps, and outputs that may overlap their inputs."""
    chance = random.Random(seed)
    buffers = []
    for name in range(chance.randint(1, 7)):
        first = chance.randint(0, 2)
        size = chance.choice((1, 48, 640, chance.randint(1, 2000)))
        buffers.append(Buffer(name, size, first, chance.randint(first, 3)))
    pairs = [(a.name, b.name) for a in buffers for b in buffers if a.name < b.name]
    chosen = chance.sample(pairs, min(len(pairs), chance.randint(0, 3)))
    return buffers, [Overlay(a, b, chance.choice((0, 16, 100, 5000))) for a, b in chosen]


@pytest.mark.parametrize("seed", range(40))
def test_no_plan_is_smaller_than_the_least(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    buffers, overlays = drawn(seed)
    leads = {(o.source, o.result): memory.align(max(o.lead, 0)) for o in overlays}
    least, early = memory._least(buffers, leads), place(buffers, overlays)
    assert least <= early.size
    monkeypatch.setattr(memory, "_least", lambda buffers, leads: 0)
    assert place(buffers, overlays) == early, "as when every order is tried"


def test_it_stops_at_the_least(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    one = memory._place_in_order

    def noted(order: object, leads: object) -> Plan:
        tried.append(order)
        return one(order, leads)  # type: ignore[arg-type]

    monkeypatch.setattr(memory, "_place_in_order", noted)
    apart = [Buffer(name, 64, 0, 0) for name in range(7)]
    assert place(apart, []).size == 7 * 64 and len(tried) == 1
    below = [Overlay(0, 1, 16)]  # 48 of 64 bytes are shared
    tried.clear()
    assert place(apart[1::-1], below).size == 80 and len(tried) == 1


@pytest.mark.parametrize("core", ["portable", "dsp"])
def test_the_same_cuts_are_chosen_as_when_every_step_is_placed(
    core: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = parse(small(32))
    quick = compile_graph(graph, "0" * 64, core)
    monkeypatch.setattr(AotStep, "least", 0)
    monkeypatch.setattr(AotStep, "arena", lambda step, _: place(step.buffers, step.overlays).size)
    assert compile_graph(graph, "0" * 64, core) == quick


def test_a_search_that_ended_early_goes_on_for_a_lower_limit() -> None:
    """The first order, by size, is not the best one here."""
    for seed in range(200):
        buffers, overlays = drawn(seed)
        best = place(buffers, overlays).size
        first = memory._place_in_order(
            next(iter(memory._orders(buffers))) if len(buffers) > 5 else buffers,
            memory._leads(overlays),
        ).size
        if best < first:
            break
    step = AotStep(0, 1, streamed=False, overlays=overlays, buffers=buffers)
    assert step.least <= best < first
    assert step.arena(first) == first, "within the limit"
    assert step.arena(first - 1) < first and step.arena(0) == best
    assert step.arena(first) <= first, "what is known is not searched again"
