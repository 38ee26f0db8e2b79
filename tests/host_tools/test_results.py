"""results.json: targets merge, another model's file is left alone, the numbers are right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from host_tools.results import (
    load_results,
    log_target_access,
    merge_target,
    summarize_accuracy,
    summarize_cost,
)
from swin2mcu.common.cli import UserError
from swin2mcu.common.test_access import read_accesses


def test_targets_merge_and_the_last_word_of_a_target_counts(tmp_path: Path) -> None:
    merge_target(tmp_path, "ab", "leaf", "pc-a", {"kind": "pc", "x": 1})
    merge_target(tmp_path, "ab", "leaf", "board-b", {"kind": "board"})
    path = merge_target(tmp_path, "ab", "leaf", "pc-a", {"kind": "pc", "x": 2})
    found = load_results(path)
    assert found.targets == {"pc-a": {"kind": "pc", "x": 2}, "board-b": {"kind": "board"}}
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".lock"] == ["results.json"]


def test_two_commands_that_merge_at_once_lose_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from host_tools.results import merge_target\n"
        "run, name = Path(sys.argv[1]), sys.argv[2]\n"
        "for n in range(100): merge_target(run, 'ab', 'leaf', f'{name}{n}', {})"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, tmp_path, name]) for name in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len(load_results(tmp_path / "results.json").targets) == 200


def test_another_models_results_are_refused_and_kept(tmp_path: Path) -> None:
    path = merge_target(tmp_path, "ab", "leaf", "pc-a", {"kind": "pc"})
    before = path.read_bytes()
    with pytest.raises(UserError, match="another model"):
        merge_target(tmp_path, "cd", "leaf", "pc-a", {"kind": "pc"})
    assert path.read_bytes() == before


def test_a_look_is_of_the_weights_that_were_scored(tmp_path: Path) -> None:
    accuracy = {"split": "test", "images": 9, "top1": 0.5, "data": "leaves", "confusion": []}
    log_target_access(tmp_path, ("teacher.safetensors", "ab"), "pc-torch-teacher", accuracy)
    (look,) = read_accesses(tmp_path)
    assert (look["weights"], look["weights_sha256"]) == ("teacher.safetensors", "ab")
    assert (look["target"], look["images"], look["top1"]) == ("pc-torch-teacher", 9, 0.5)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema": 2}', json.dumps({"schema": 1, "name": "a", "targets": {}})],
)
def test_a_foreign_file_is_one_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(UserError, match="results"):
        load_results(path)


def test_percentiles_are_values_that_were_seen() -> None:
    cost = summarize_cost([float(v) for v in range(100, 0, -1)], "us")
    assert (cost["p50"], cost["p95"], cost["p99"], cost["min"]) == (50, 95, 99, 1)
    assert summarize_cost([7], "us")["p99"] == 7


def test_accuracy_of_a_known_confusion() -> None:
    accuracy = summarize_accuracy([0, 0, 0, 1], [0, 0, 1, 1], ["a", "b", "unseen"])
    assert accuracy["top1"] == 0.75
    assert accuracy["confusion"] == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert accuracy["per_class_recall"] == {"a": 2 / 3, "b": 1.0}
