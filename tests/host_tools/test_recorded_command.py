"""The command in results.json repeats its measurement when it is typed again."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tiny_run import make_run

from host_tools import bench_pc, bench_phone, serial_eval
from host_tools.inputs import load_model
from host_tools.phone import adb
from host_tools.scoring.frames import parse_frames

TOOLS = (
    (serial_eval, "_evaluate", "--board host"),
    (
        serial_eval,
        "_evaluate",
        "--board host --limit 7 --repeat 3 --warm-up 0 --inject-faults 1e-5:3 --inject-resets 2 "
        "--frames rgb565be:48x32",
    ),
    (bench_pc, "_bench", ""),
    (
        bench_pc,
        "_bench",
        "--limit 7 --runs 9 --threads 1 2 --only 'a b' tflm --score-seconds 2.5",
    ),
    (bench_phone, "_bench", "--chromium"),
    (bench_phone, "_bench", "--images 9 --runs 8 --https"),
)


def command_of(tool: ModuleType, arguments: argparse.Namespace) -> str:
    model = load_model(arguments.model)
    if tool is bench_pc:
        return bench_pc._command_line(model, arguments)
    if tool is bench_phone:
        return bench_phone.command_line(model, arguments)
    kind = parse_frames(arguments.frames) if arguments.frames else None
    info: Any = SimpleNamespace(board="host")
    return serial_eval.command_line(model, info, arguments, kind)


@pytest.mark.parametrize(("tool", "name", "options"), TOOLS)
def test_a_recorded_command_repeats_its_measurement(
    tool: ModuleType,
    name: str,
    options: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(Path("runs/my leaves"))
    seen: list[argparse.Namespace] = []
    monkeypatch.setattr(tool, name, seen.append)
    assert tool.main(["runs/my leaves", *shlex.split(options)]) == 0
    program, script, *words = shlex.split(command_of(tool, seen[0]))
    assert (program, script) == ("python", f"host_tools/{Path(str(tool.__file__)).name}")
    assert tool.main(words) == 0
    assert seen[0] == seen[1]


def test_over_adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(Path("runs/my leaves"))
    (tmp_path / "benchmark_model").touch()
    found: list[str] = []
    monkeypatch.setattr(adb, "_find_adb", lambda: "adb")
    monkeypatch.setattr(adb.Adb, "run", lambda *_: "", raising=False)
    for method, value in (("choose_device", "x"), ("property", "x"), ("shell", ""), ("push", None)):
        monkeypatch.setattr(adb.Adb, method, lambda *_, value=value: value)
    sample = {"p50": 1.0, "p95": 1.0, "min": 1.0, "mean": 1.0, "runs": 50.0}
    monkeypatch.setattr(adb, "inference_us", lambda _: sample)
    monkeypatch.setattr(adb, "float_model", lambda model, work: (model.int8, ""))
    monkeypatch.setattr(adb, "merge_target", lambda *given: found.append(given[-1]["command"]))
    adb.bench_over_adb(load_model("runs/my leaves"), Path("benchmark_model"), None, print)
    line = "python host_tools/bench_phone.py 'runs/my leaves' --adb benchmark_model"
    assert found == [line, line]
