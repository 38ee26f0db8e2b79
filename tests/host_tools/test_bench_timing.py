"""The stop-watch: order, counts, pinning and the summary."""

from __future__ import annotations

import functools
import time

import psutil
import pytest

from host_tools.pc import timing
from host_tools.pc.timing import (
    MAX_RUNS_PER_ROUND,
    QUANTILES,
    alternate,
    cost_in_us,
    pinned_to_one_core,
)


def test_backends_take_turns_and_all_get_their_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    # Not by a clock: one late run on a busy machine changes how many are affordable.
    took_us = {"slow": 2000.0, "quick": 1.0}
    monkeypatch.setattr(timing, "_time_us", lambda run: (took_us[run()], 0.0))
    backends = {name: functools.partial(_called, calls, name) for name in took_us}
    turns: list[str] = []
    samples = alternate(backends, 20, 5, turns.append)
    assert turns == ["slow", "quick"] * 5
    assert samples["slow"].wall_us == [2000.0] * 5 * 10, "20 ms of a round are ten runs of 2 ms"
    assert samples["quick"].wall_us == [1.0] * 5 * MAX_RUNS_PER_ROUND, (
        "a quick backend gets more runs in the same time"
    )
    assert calls == (["slow"] * 11 + ["quick"] * (MAX_RUNS_PER_ROUND + 1)) * 5, (
        "the first run of a turn is not timed"
    )


def _called(calls: list[str], name: str) -> str:
    calls.append(name)
    return name


def test_all_get_the_runs_asked_for_however_slow_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_time_us", lambda run: (run(), 0.0))
    samples = alternate({"second": lambda: 1e6}, 21, 5)
    assert len(samples["second"].wall_us) == 25, "five rounds of five: at least 21"


def test_the_clock_counts_microseconds() -> None:
    samples = alternate({"slow": lambda: time.sleep(0.002), "quick": lambda: None}, 5, 1)
    assert min(samples["slow"].wall_us) >= 2000 > min(samples["quick"].wall_us)


def test_waiting_is_no_cpu_time() -> None:
    samples = alternate({"waiting": lambda: time.sleep(0.005)}, 5, 1)["waiting"]
    assert min(samples.wall_us) >= 5000 > 4 * sorted(samples.cpu_us)[2]


def test_cost_is_in_microseconds_and_ordered() -> None:
    cost = cost_in_us([float(value) for value in range(1, 101)])
    assert (cost["unit"], cost["min"], cost["runs"], cost["p50"]) == ("us", 1.0, 100, 50.0)
    assert cost["min"] <= cost["p50"] <= cost["p95"] <= cost["p99"]
    assert len(cost["quantiles"]) == QUANTILES and cost["quantiles"] == sorted(cost["quantiles"])


def test_pinning_is_undone() -> None:
    process = psutil.Process()
    before = process.cpu_affinity()
    with pinned_to_one_core() as core:
        assert process.cpu_affinity() == [core]
    assert process.cpu_affinity() == before
