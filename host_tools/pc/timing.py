"""Fair timing of several backends in one process: they alternate, so noise hits all alike."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil

from host_tools.results import summarize_cost

MIN_RUNS = 50
# A backend that takes a microsecond gets more runs than one that takes a second: this much time
# of each round, at most MAX_RUNS_PER_ROUND runs, and never fewer than asked for.
ROUND_BUDGET_US = 20_000.0
MAX_RUNS_PER_ROUND = 100
QUANTILES = 21  # 0 %, 5 %, … 100 %: enough to draw the distribution, small enough for a JSON file


@dataclass
class Samples:
    """Single runs of one backend, in microseconds: by the wall clock, and of this process's CPU.

    On a busy machine a run of a second has to wait for a core; most short runs do not. So there
    only ratios of CPU time are fair.
    """

    wall_us: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)


@contextlib.contextmanager
def pinned_to_one_core() -> Iterator[int | None]:
    """Keep this process on the idlest core it may use; yields its number, None if it can't.

    Threads started inside inherit the pin, so only one-thread backends belong in the block.
    """
    process = psutil.Process()
    if not hasattr(process, "cpu_affinity"):  # macOS
        yield None
        return
    allowed = process.cpu_affinity()
    load = psutil.cpu_percent(interval=0.3, percpu=True)
    core = min(allowed, key=lambda number: load[number] if number < len(load) else 0.0)
    process.cpu_affinity([core])
    try:
        yield core
    finally:
        process.cpu_affinity(allowed)


def alternate(
    backends: Mapping[str, Callable[[], object]],
    runs: int = MIN_RUNS,
    rounds: int = 10,
    on_round: Callable[[str], None] = lambda name: None,
) -> dict[str, Samples]:
    """Time every backend at least `runs` times.

    One round runs each backend once untimed (the one before it has filled the caches) and then
    several times timed. `on_round` is called with the name of the backend that has just had its
    turn.
    """
    samples = {name: Samples() for name in backends}
    per_round = -(-runs // rounds)
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, run in backends.items():
                warm_us, _ = _time_us(run)
                affordable = min(MAX_RUNS_PER_ROUND, int(ROUND_BUDGET_US / max(warm_us, 0.1)))
                for _ in range(max(per_round, affordable)):
                    wall_us, cpu_us = _time_us(run)
                    samples[name].wall_us.append(wall_us)
                    samples[name].cpu_us.append(cpu_us)
                on_round(name)
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    return samples


def _time_us(run: Callable[[], object]) -> tuple[float, float]:
    cpu = time.process_time_ns()
    start = time.perf_counter_ns()
    run()
    wall_ns = time.perf_counter_ns() - start
    return wall_ns / 1000.0, (time.process_time_ns() - cpu) / 1000.0


def cost_in_us(samples_us: list[float]) -> dict[str, Any]:
    """Single-run times → the `cost` entry of results.json, with quantiles to draw it."""
    quantiles = np.percentile(np.asarray(samples_us), np.linspace(0, 100, QUANTILES))
    return {
        **summarize_cost([round(sample, 3) for sample in samples_us], "us"),
        "quantiles": [round(float(quantile), 3) for quantile in quantiles],
    }
