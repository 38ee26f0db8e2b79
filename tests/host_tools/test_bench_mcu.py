"""Counting on emulated cores: what grew is refused, and a broken kernel is not counted."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host_tools import bench_mcu
from host_tools.mcu import count_model
from host_tools.mcu.bare_metal import CORES, FIRMWARE, build, get_core, run, section_bytes
from host_tools.mcu.committed import load_counts
from host_tools.mcu.count_model import Count, CountedModel, CountedStep, baseline_for, made_up_image
from host_tools.mcu.docs import rewrite
from host_tools.mcu.fusions import CORES as CORES_LEFT_OUT
from host_tools.mcu.fusions import WITHOUT, fusions_table
from host_tools.mcu.tables import load_goals

COUNT = Count(
    model="small-96",
    weights="trained",
    core="m7",
    engine="aot",
    compiler="gcc 12.2.1",
    instructions=20_000_000,
    modeled_cycles=19_000_000,
    macs=11_057_600,
    ram_bytes=32_000,
    arena_bytes=31_500,
    stack_bytes=500,
    flash_bytes=1_600_000,
    weights_bytes=1_500_000,
    table_bytes=60_000,
    code_bytes=40_000,
    per_operator=(),
)


def count_of(entry: dict[str, Any]) -> Count:
    """The Count from which as_dict made `entry`."""
    steps = tuple(CountedStep(**step) for step in entry["per_operator"])
    return Count(**{**entry, "per_operator": steps})


def test_growth_beyond_two_percent_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    committed = [COUNT.as_dict()]
    assert bench_mcu.check([COUNT], committed) == 0
    assert bench_mcu.check([replace(COUNT, instructions=20_400_000)], committed) == 0
    assert bench_mcu.check([replace(COUNT, instructions=20_400_001)], committed) == 1
    assert bench_mcu.check([replace(COUNT, modeled_cycles=19_400_000)], committed) == 1
    assert bench_mcu.check([replace(COUNT, ram_bytes=40_000)], committed) == 1
    assert bench_mcu.check([replace(COUNT, flash_bytes=1_700_000)], committed) == 1
    assert bench_mcu.check([replace(COUNT, instructions=10_000_000)], committed) == 0
    assert "GREW" in capsys.readouterr().err


def test_another_compiler_is_reported_but_not_judged(capsys: pytest.CaptureFixture[str]) -> None:
    grown = replace(COUNT, compiler="gcc 14.2.0", instructions=30_000_000)
    assert bench_mcu.check([grown], [COUNT.as_dict()]) == 0
    assert "gcc 14.2.0" in capsys.readouterr().err


def test_random_weights_are_not_judged_by_trained_ones(capsys: pytest.CaptureFixture[str]) -> None:
    grown = replace(COUNT, weights="random", instructions=30_000_000)
    assert bench_mcu.check([grown], [COUNT.as_dict()]) == 0
    assert "random" in capsys.readouterr().err


def test_the_baseline_is_found_by_core_and_macs() -> None:
    baseline = json.loads(bench_mcu.BASELINE.read_text())
    found = baseline_for(COUNT, baseline)
    assert found is not None and found["instructions"] == 69_900_000
    assert baseline_for(replace(COUNT, macs=20_000_000), baseline) is None


def test_committed_counts_name_what_they_count() -> None:
    counts = load_counts(bench_mcu.COUNTS)
    assert counts, "run `make bench-mcu` and commit what it writes"
    for entry in counts:
        assert entry["instructions"] == sum(s["instructions"] for s in entry["per_operator"])
        assert entry["modeled_cycles"] == sum(s["modeled_cycles"] for s in entry["per_operator"])
        assert entry["macs"] == sum(s["macs"] for s in entry["per_operator"])
        assert entry["ram_bytes"] == entry["arena_bytes"] + entry["stack_bytes"]


def test_committed_counts_keep_what_is_required() -> None:
    entries = load_counts(bench_mcu.COUNTS)
    counts = {(entry["model"], entry["core"]): count_of(entry) for entry in entries}
    for goal in load_goals(bench_mcu.GOALS):
        value = getattr(counts[goal.model, goal.core], goal.field)
        assert value <= goal.required, goal


def test_the_documents_tables_are_the_counts() -> None:
    counts = [count_of(entry) for entry in load_counts(bench_mcu.COUNTS)]
    baseline = json.loads(bench_mcu.BASELINE.read_text())
    text = bench_mcu.DOCS.read_text()
    assert rewrite(text, counts, load_goals(bench_mcu.GOALS), baseline) == text


def test_the_fusions_table_is_of_the_kernels_that_are_counted() -> None:
    """Its first row leaves nothing out, so it is the committed count."""
    counts = {
        (entry["model"], entry["core"]): count_of(entry) for entry in load_counts(bench_mcu.COUNTS)
    }
    nothing_left_out = [counts["small-96", core] for core in CORES_LEFT_OUT]
    row = fusions_table(nothing_left_out * len(WITHOUT))[2]
    assert row.startswith("| none |") and row in bench_mcu.DOCS.read_text()


def test_an_unknown_model_is_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "host_tools/bench_mcu.py", "no-such-model"],
        cwd=FIRMWARE.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert (
        done.stderr.strip()
        == "error: no-such-model is no .tflite, run, zoo entry or network like small-96"
    )


NO_FIRMWARE = """
import sys
from pathlib import Path
from swin2mcu.common import cli, paths
paths.FIRMWARE = Path(sys.argv[1])
from host_tools.bench_mcu import main
from host_tools.mcu.bare_metal import get_core
try:
    main(["--help"])
except SystemExit as helped:
    assert helped.code == 0
sys.exit(cli.run_command(lambda: print(get_core("m7"))))
"""


def test_only_a_core_that_is_used_needs_the_table_of_boards(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_FIRMWARE, str(tmp_path)],
        cwd=FIRMWARE.parent,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("usage: ")
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {tmp_path / 'platformio.ini'} is missing: run this from a complete checkout\n"
    )


def test_made_up_image_is_the_counting_program_s() -> None:
    image = made_up_image((2, 100, 3)).ravel()
    assert image[:3].tolist() == [0, 37, 74]
    assert image[260] == np.int64(260 * 37 + 11).astype(np.uint8).view(np.int8)


@pytest.mark.parametrize("core", CORES)
def test_instructions_are_counted_to_the_grain_of_the_timer(core: str, tmp_path: Path) -> None:
    """A loop of two instructions a round, 100,000 rounds."""
    source = tmp_path / "loop.c"
    source.write_text(
        """
#include "counter.h"
int main(void) {
  start_count();
  unsigned rounds = 100000;
  __asm__ volatile("1: subs %0, %0, #1\\n bne 1b" : "+r"(rounds) : : "cc");
  print_line("%lu", (unsigned long)end_count());
  return 0;
}
"""
    )
    program = tmp_path / "loop.elf"
    build(get_core(core), program, [], [source])
    status, text = run(get_core(core), program)
    assert status == 0
    assert abs(int(text) - 200_000) <= 80
    assert section_bytes(program)[".text"] > 0


def test_wrong_logits_are_not_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The counting program's logits are compared with the interpreter's: here they cannot agree."""
    models = sorted((FIRMWARE.parent / "tinyml" / "zoo").glob("*/model_int8.tflite"))
    assert models, "the zoo is empty"

    class Wrong(count_model.Micro):
        def run(self, image: np.ndarray) -> np.ndarray:
            return super().run(image) ^ 1

    monkeypatch.setattr(count_model, "Micro", Wrong)
    with pytest.raises(count_model.UserError, match="TFLite Micro"):
        count_model.count_model(CountedModel("model", models[0]), "m7")
