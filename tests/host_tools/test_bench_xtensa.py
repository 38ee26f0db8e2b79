"""Counts of the portable kernels on the emulated Xtensa board."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tiny_run import make_run

from host_tools import bench_mcu
from host_tools.bench_mcu import DOCS
from host_tools.mcu import count_model, xtensa
from host_tools.mcu.committed import load_counts
from host_tools.mcu.count_model import CountedModel
from host_tools.mcu.xtensa import XtensaCount, count_on_xtensa, grown, load_xtensa, xtensa_table
from swin2mcu.common.cli import UserError
from swin2mcu.common.documents import replace_part

COUNT = XtensaCount("small-96", "qemu-xtensa", "portable", 1_000_000, 500_000, 30_000, 400, {})


def test_growth_beyond_two_percent_is_named() -> None:
    committed = [asdict(COUNT)]
    assert grown([COUNT, replace(COUNT, instructions=1_020_000)], committed) == []
    (line,) = grown([replace(COUNT, instructions=1_020_025)], committed)
    assert line == "small-96 on qemu-xtensa: instructions 1,000,000 -> 1,020,025 GREW"
    assert grown([replace(COUNT, model="new")], committed) == []


def test_the_documents_table_is_that_of_the_committed_counts() -> None:
    counts = [XtensaCount(**entry) for entry in load_xtensa()]
    published = load_counts(bench_mcu.COUNTS)
    small = {entry["model"] for entry in published if entry["macs"] <= xtensa.MAX_MACS}
    assert {count.model for count in counts} == small and "tiny-96" in small
    text = DOCS.read_text()
    assert replace_part(text, "xtensa", xtensa_table(counts)) == text


def test_a_missing_file_of_counts_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="write it with `make bench-mcu`"):
        load_xtensa(tmp_path / "none.json")


def test_a_model_is_counted_step_by_step_and_only_with_the_right_logits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "tiny")
    model = CountedModel("tiny", run / "model_int8.tflite")
    count = count_on_xtensa(model)
    assert count is not None
    # Scalar code: more than a handful of instructions for each multiply-accumulate.
    assert 5 < count.instructions / count.macs < 40
    assert sum(count.per_step.values()) == pytest.approx(count.instructions, rel=0.05)

    class OffByOne(count_model.Micro):
        def run(self, image: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
            return super().run(image) ^ 1

    monkeypatch.setattr(count_model, "Micro", OffByOne)
    with pytest.raises(UserError, match="tiny on qemu-xtensa answers"):
        count_on_xtensa(model)
    monkeypatch.setattr(xtensa, "MAX_MACS", count.macs - 1)
    assert count_on_xtensa(model) is None
