"""What bench_mcu.py says of the ESP32-S3: counts that grew, and an estimate called one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from host_tools import bench_mcu
from host_tools.mcu.committed import load_counts
from host_tools.mcu.esp32s3 import (
    COUNTS,
    Esp32s3Count,
    esp32s3_table,
    estimate_c,
    grown_on_esp32s3,
    save_esp32s3,
)
from host_tools.mcu.xtensa import load_xtensa
from swin2mcu.common.documents import replace_part

COUNT = Esp32s3Count("it", "esp32s3", 1_000_000, 50_000, 2_000_000, 30_000, {"a": 1, "b": 0})


def test_only_steps_without_assembly_are_estimated() -> None:
    sister = [{"model": "it", "per_step": {"a": 700, "b": 90}}]
    assert estimate_c("it", COUNT.per_step, sister) == 90
    assert estimate_c("it", {"a": 1, "c": 0}, sister) is None
    assert estimate_c("other", COUNT.per_step, sister) is None


def test_a_count_that_grew_is_named(tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    save_esp32s3([COUNT], path)
    assert grown_on_esp32s3([replace(COUNT, instructions=1_019_000)], path) == []
    (line,) = grown_on_esp32s3([replace(COUNT, instructions=1_021_000)], path)
    assert "1,000,000 -> 1,021,000" in line


def test_the_documents_table_is_that_of_the_committed_counts() -> None:
    counts = [Esp32s3Count(**entry) for entry in json.loads(COUNTS.read_text())]
    published = {entry["model"] for entry in load_counts(bench_mcu.COUNTS)}
    assert {count.model for count in counts} == published
    for count in counts:  # the estimate of what the interpreter cannot count
        assert count.estimated_c_instructions == estimate_c(
            count.model, count.per_step, load_xtensa()
        )
    text = bench_mcu.DOCS.read_text()
    assert replace_part(text, "esp32s3", esp32s3_table(counts)) == text


def test_the_table_keeps_counts_and_estimates_apart() -> None:
    assert esp32s3_table([COUNT])[2] == "| it | 1,000,000 | 0.50 | 0.05 M | 1.05 M | 30,000 |"
    unknown = replace(COUNT, estimated_c_instructions=None)
    assert esp32s3_table([unknown])[2] == "| it | 1,000,000 | 0.50 | - | - | 30,000 |"
