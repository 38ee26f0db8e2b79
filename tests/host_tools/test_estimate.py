"""An estimate of an inference's time: its parts, its word, and where its instructions come from."""

import json
from pathlib import Path

import pytest
from tiny_run import make_run

from host_tools import fit as fit_tool
from host_tools.boards.estimate import COUNTS, SPEED, Work, basis_of, estimate, known_work
from host_tools.boards.table import get_board, load_boards


def fixed(_: str) -> Work:
    return Work(48_000_000, "counted, it")


def test_instructions_cycles_clock_and_fetch_make_the_time() -> None:
    board = get_board("esp32s3")
    assert (board.processor, board.clock_mhz) == ("xtensa-lx7", 240)
    entry = json.loads(SPEED.read_text())["cycles_per_instruction"]["xtensa-lx7"]
    slow, fast = board.read_mb_s["flash"]
    said = estimate(board, {"flash": 2_000_000, "ram": 9_000_000}, fixed)
    assert said is not None
    # 48 million instructions at 240 MHz are 200 ms for each cycle that one takes.
    assert said.low_ms == pytest.approx(200 * entry["from"] + 2000 / fast)
    assert said.high_ms == pytest.approx(200 * entry["to"] + 2000 / slow)
    from_psram = estimate(board, {"psram": 2_000_000}, fixed)
    assert from_psram is not None
    assert from_psram.high_ms < said.high_ms


def test_it_is_always_called_an_estimate() -> None:
    for board in load_boards().values():
        said = estimate(board, {"flash": 1_500_000}, fixed)
        if said is None:
            assert board.emulated  # no clock ran there, and none is made up
        else:
            assert not board.emulated
            assert str(said).startswith("about ") and "ms, an estimate" in str(said)
            assert "flash" in board.read_mb_s and said.fetch_ms[0] > 0


def test_each_core_names_who_measured_it() -> None:
    for processor, entry in json.loads(SPEED.read_text())["cycles_per_instruction"].items():
        assert 0 < entry["from"] < entry["to"]
        assert entry["source"].startswith("https://") and entry["source"] in basis_of(
            processor, Work(1, "counted")
        )
        assert processor in COUNTS


def counts(folder: Path, *rows: tuple[str, int, int]) -> Path:
    entries = [
        {"model": model, "core": "m7", "macs": macs, "instructions": instructions}
        for model, macs, instructions in rows
    ]
    (folder / "counts.json").write_text(json.dumps(entries))
    return folder


def test_a_counted_network_is_taken_as_it_is_and_another_scaled(tmp_path: Path) -> None:
    rows = (("small", 1_000_000, 2_000_000), ("large", 9_000_000, 9_000_000))
    folder = counts(tmp_path, *rows, ("mlperf-vww", 3_000_000, 30_000_000))
    same = known_work("cortex-m7", 1_001_000, True, folder)
    assert same == Work(2_000_000, "counted, small")
    between = known_work("cortex-m7", 2_000_000, True, folder)
    assert between == Work(4_000_000, "scaled by MACs from small")
    plain = known_work("cortex-m7", 6_000_000, False, folder)
    assert plain == Work(60_000_000, "scaled by MACs from mlperf-vww")


def test_steps_without_a_count_are_said(tmp_path: Path) -> None:
    """The ESP32-S3's assembly is counted; what runs in C may take many times as long."""
    entry = {"core": "esp32s3", "model": "small", "macs": 1000, "instructions": 2000}
    path = tmp_path / COUNTS["xtensa-lx7"][0]
    path.write_text(json.dumps([{**entry, "estimated_c_instructions": 10}]))
    assert known_work("xtensa-lx7", 1000, True, tmp_path) == Work(2010, "counted, small")
    path.write_text(json.dumps([{**entry, "estimated_c_instructions": None}]))
    said = known_work("xtensa-lx7", 1000, True, tmp_path)
    assert said.origin.startswith("counted, small, without the steps that run in C")


def test_another_kind_of_network_is_said(tmp_path: Path) -> None:
    folder = counts(tmp_path, ("small", 1_000_000, 2_000_000))
    said = known_work("cortex-m7", 1_000_000, False, folder)
    assert said.origin == "scaled by MACs from small, another kind of network"


def test_fit_says_it_for_the_boards_that_have_a_clock(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(make_run(tmp_path / "tiny"))
    assert fit_tool.main([run, "--board", "nucleo-h743zi2"]) == 0
    said = capsys.readouterr().out
    assert "One inference, not measured:\n  nucleo-h743zi2 flash: about " in said
    assert " ms, an estimate" in said
    assert "scaled by MACs from" in said
    assert fit_tool.main([run, "--board", "qemu-m7"]) == 0
    assert " ms" not in capsys.readouterr().out


def test_the_json_keeps_instructions_and_milliseconds_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(make_run(tmp_path / "tiny"))
    assert fit_tool.main([run, "--board", "teensy41", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    said = entry["estimate"]
    assert said["low_ms"] < said["high_ms"]
    assert isinstance(said["work"]["instructions"], int)
    assert "an estimate" in said["text"]
    assert fit_tool.main([run, "--board", "qemu-m4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["estimate"] is None
