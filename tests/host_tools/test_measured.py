"""What others measured is what they published, each with its primary source."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_bench_mcu import COUNT

from host_tools.mcu.measured import MACS, load_measured, measured_table
from tinyml.format.facts import count_macs
from tinyml.format.mlperf_graphs import PUBLISHED, by_name
from tinyml.format.tflite import parse


def test_published_milliseconds_become_cycles() -> None:
    found = {(m.model, m.core, m.engine, m.board): m.cycles for m in load_measured()}
    assert found["mlperf-vww", "m7", "Plumerai", "NUCLEO-H7A3ZI-Q"] == pytest.approx(7_509_600)
    assert found["mlperf-vww", "m7", "X-CUBE-AI 9.0", "NUCLEO-H7A3ZI-Q"] == pytest.approx(
        280e6 / 42.009
    )


def test_each_has_its_source_and_the_networks_size() -> None:
    assert MACS.keys() == set(PUBLISHED)
    for name, macs in MACS.items():
        model = by_name(name)
        assert model is not None and count_macs(parse(model)) == macs
    for one in load_measured():
        assert one.model in MACS and one.source.startswith("mlcommons/tiny_results_v1.")


def test_ours_is_called_modeled_and_theirs_measured() -> None:
    ours = replace(COUNT, model="mlperf-vww", core="m7", macs=1000, modeled_cycles=900)
    lines = measured_table([ours, COUNT])
    assert "| mlperf-vww | M7 | this project | 0.90 | modeled | `make bench-mcu` |" in lines
    assert sum("this project" in line for line in lines) == 1
    assert all(("measured" in line) != ("this project" in line) for line in lines[2:])
    assert len(lines) == 2 + 1 + len(load_measured())
