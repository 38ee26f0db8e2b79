"""The spread of several demos, from the files of `make demo`; an unfinished one is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pytorch_side.config import Config, to_dict, with_values
from pytorch_side.log import record_machine
from swin2mcu.common.card import Card, save_card
from swin2mcu.research import demo_spread


def demo(folder: Path, seed: int, threads: int, top1: float) -> Path:
    """The files of a finished demo that the command reads."""
    folder.mkdir()
    config = to_dict(with_values(Config(), {"seed": seed}))
    (folder / "config.json").write_text(json.dumps(config))
    machine = {"threads": threads, "hardware": "a PC", "torch": "2"}
    (folder / "machine.json").write_text(json.dumps(machine))
    board = {"accuracy": {"images": 200, "top1": top1}, "parity": {"identical": 200}}
    results = {"targets": {demo_spread.BOARD: board}}
    (folder / "results.json").write_text(json.dumps(results))
    accuracy = {
        stage: {"split": "val", "images": 450, "top1": top1 - 0.01} for stage in ("float", "qat")
    }
    save_card(Card("demo", "net", ("a", "b"), (8, 8, 3), accuracy=accuracy), folder / "card.json")
    return folder


@pytest.fixture
def demos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.chdir(tmp_path)
    Path("docs/data").mkdir(parents=True)
    Path("README.md").write_text("before\n<!-- demo-spread -->\nold\n<!-- end -->\nafter\n")
    return [
        demo(tmp_path / name, seed, threads, top1)
        for name, seed, threads, top1 in (("x", 1, 2, 0.95), ("y", 0, 1, 0.97), ("z", 1, 1, 0.96))
    ]


def test_the_range_and_the_spread_are_written(demos: list[Path]) -> None:
    assert demo_spread.main([str(path) for path in demos]) == 0
    assert Path("README.md").read_text() == (
        "before\n<!-- demo-spread -->\n3 demos (2 seeds, 1 and 2 threads) ended between 95.0% and "
        "97.0% on the board. On 450 val photos the student had 95.0% ± 1.0% (standard deviation "
        "of the demos). 600 of 600 answers of the board were the PC's, byte for byte.\n"
        "<!-- end -->\nafter\n"
    )
    written = json.loads(Path("docs/data/demo.json").read_text())
    assert [(d["seed"], d["threads"]) for d in written] == [(0, 1), (1, 1), (1, 2)]


def test_machines_that_resumed_a_demo_are_kept(demos: list[Path]) -> None:
    first = {"threads": 2, "hardware": "a PC", "torch": "2"}
    (demos[0] / "machine.json").unlink()
    record_machine(demos[0], first)
    record_machine(demos[0], {**first, "hardware": "another PC"})
    assert demo_spread.main([str(path) for path in demos]) == 0
    written = json.loads(Path("docs/data/demo.json").read_text())
    later = [demo.get("later") for demo in written]
    assert later == [None, None, [{**first, "hardware": "another PC"}]]


@pytest.mark.parametrize("part", ["config.json", "machine.json", "results.json", "card.json", ""])
def test_an_unfinished_demo_is_named(
    part: str, demos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(demos[0]) if not part else (demos[0] / part).unlink()
    assert demo_spread.main([str(path) for path in demos]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(demos[0]) in line
    assert "old" in Path("README.md").read_text()


def test_one_demo_has_no_spread(demos: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert demo_spread.main([str(demos[0])]) == 2
    assert "at least two" in capsys.readouterr().err
