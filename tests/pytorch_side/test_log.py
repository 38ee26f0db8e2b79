"""A log is read back as it was written; another file is named, not believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytorch_side.log import read_log, record_machine, write_log
from swin2mcu.common.cli import UserError
from swin2mcu.research.table import read_run, where

ROW = {"epoch": "1", "loss": "0.5", "val_top1": "0.9", "seconds": "3.0", "waiting_share": "0.0"}


def test_a_log_reads_back_the_same(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"epoch": "2"}]
    write_log(tmp_path / "log.csv", rows)
    assert read_log(tmp_path) == rows


@pytest.mark.parametrize("content", [None, "", "epoch,val_top1,seconds,waiting_share\n", "x\n"])
def test_a_run_without_an_epoch_has_no_rows(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "log.csv").write_text(content)
    assert read_log(tmp_path) == []
    assert read_run(tmp_path, "student") is None


@pytest.mark.parametrize(
    "content",
    [
        b"x\n1\n",
        b"epoch,val_top1,seconds,waiting_share\n1,0.9,3\n",
        b"epoch,val_top1,seconds,waiting_share\n1,good,3,0\n",
        b"epoch,val_top1,seconds,waiting_share\n1,0.9,3,\xff\n",
    ],
)
def test_another_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "log.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"log\.csv is not the log of a training run"):
        read_log(tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 100_000, '{"later": [1]}', '{"later": 1}'])
def test_a_damaged_note_on_the_machine_is_named(tmp_path: Path, text: str) -> None:
    write_log(tmp_path / "log.csv", [ROW])
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "machine.json").write_text(text)
    with pytest.raises(UserError, match=r"machine\.json is damaged"):
        read_run(tmp_path, "student")


def test_machines_that_resume_a_run_are_noted_once(tmp_path: Path) -> None:
    write_log(tmp_path / "log.csv", [ROW])
    (tmp_path / "config.json").write_text("{}")
    slow, fast = ({"hardware": "A", "threads": n, "torch": "2"} for n in (1, 8))
    for machine in (slow, slow, fast, slow, fast):
        record_machine(tmp_path, machine)
    found = read_run(tmp_path, "student")
    assert found is not None and found.machine == {**slow, "later": [fast]}
    assert where(found.machine) == "A, 1 thread, torch 2; then A, 8 threads, torch 2"
