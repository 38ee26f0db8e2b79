"""The stop-watch: order, counts, pinning and the summary."""

from __future__ import annotations

import time

import psutil

from host_tools.pc.timing import QUANTILES, alternate, cost_in_us, pinned_to_one_core


def test_backends_take_turns_and_all_get_their_runs() -> None:
    calls: list[str] = []

    def slow() -> None:
        calls.append("slow")
        time.sleep(0.002)

    turns: list[str] = []
    samples = alternate({"slow": slow, "quick": lambda: calls.append("quick")}, 20, 5, turns.append)
    assert turns == ["slow", "quick"] * 5
    assert len(samples["slow"].wall_us) >= 20 and len(samples["quick"].wall_us) >= 20
    assert len(samples["quick"].wall_us) == 5 * 100, (
        "a quick backend gets more runs in the same time"
    )
    assert calls.count("slow") == len(samples["slow"].wall_us) + 5, (
        "the first run of a turn is not timed"
    )
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
