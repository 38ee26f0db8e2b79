"""A checkpoint.pt that anybody may have written resumes a training or is one line."""

from __future__ import annotations

import copy
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_train import CONFIG, FakeBatches, run_fit

from pytorch_side.config import with_values
from swin2mcu.common.cli import run_command

SHORT = with_values(CONFIG, {"optimizer.epochs": 1})
PARTS = ("config", "rows", "random", "model", "averaged", "optimizer")
EMPTY: tuple[Any, ...] = ([], {})
WRONG = ("missing", None, 5, "x", *EMPTY, torch.zeros(3), [1], [{}])
# Without rows a run is before its first epoch.
CASES = [(p, v) for p in PARTS for v in WRONG if not (p == "rows" and any(v is e for e in EMPTY))]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("finished")
    run_fit(run, SHORT, FakeBatches())
    return run


def resume(run: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of the run's checkpoint; it stays as it is."""
    before = (run / "checkpoint.pt").read_bytes()

    def command() -> None:
        run_fit(run, SHORT, FakeBatches())

    assert run_command(command) == 2
    assert (run / "checkpoint.pt").read_bytes() == before
    said = capsys.readouterr().err
    assert said.startswith(f"error: {run / 'checkpoint.pt'}") and said.count("\n") == 1
    assert "weights_only" not in said and "torch.load" not in said
    return said


@pytest.mark.parametrize(("part", "value"), CASES)
def test_a_part_that_is_missing_or_another_thing(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], part: str, value: Any
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    state = torch.load(finished / "checkpoint.pt", weights_only=True)
    del state[part]
    torch.save(
        state if value == "missing" else {**state, part: value}, tmp_path / "run/checkpoint.pt"
    )
    resume(tmp_path / "run", capsys)


def _moment(state: dict[str, Any], name: str, value: Any) -> None:
    state["optimizer"]["state"][0][name] = value


def _weight(state: dict[str, Any], part: str, value: float) -> None:
    state[part]["0.weight"][0, 0, 0, 0] = value


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s["model"].popitem(),
        lambda s: s["optimizer"]["state"].clear(),
        lambda s: s["optimizer"]["state"][0].pop("exp_avg"),
        lambda s: s["optimizer"]["param_groups"].pop(),
        lambda s: s["optimizer"]["param_groups"][0].pop("betas"),
        lambda s: _moment(s, "exp_avg_sq", torch.zeros(7, 7)),
        lambda s: _moment(s, "step", torch.zeros(7, 7)),
        lambda s: _weight(s, "model", float("nan")),
        lambda s: _weight(s, "averaged", float("inf")),
        lambda s: s["rows"].append({"epoch": 2}),
        lambda s: s["rows"].append([]),
    ],
)
def test_a_part_of_a_part(
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[dict[str, Any]], object],
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    state = copy.deepcopy(torch.load(finished / "checkpoint.pt", weights_only=True))
    spoil(state)
    torch.save(state, tmp_path / "run/checkpoint.pt")
    resume(tmp_path / "run", capsys)


class Program:
    """Unpickled it would run."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return print, ("this ran",)


@pytest.mark.parametrize("kind", ["a pickle", "a torch file", "cut", "empty", "no zip"])
def test_a_file_that_is_none(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    path = tmp_path / "run/checkpoint.pt"
    if kind == "a torch file":
        torch.save({"config": Program()}, path)
    else:
        whole = path.read_bytes()
        path.write_bytes(
            {
                "a pickle": pickle.dumps(Program()),
                "cut": whole[: len(whole) // 2],
                "empty": b"",
                "no zip": b"PK\x03\x04" + bytes(100),
            }[kind]
        )
    said = resume(tmp_path / "run", capsys)
    assert "cannot be read (it " in said and "this ran" not in said
