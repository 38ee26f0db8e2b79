"""A log is read back as it was written; another file is named, not believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytorch_side.log import read_log, write_log
from swin2mcu.common.cli import UserError
from swin2mcu.research.table import read_run

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


def test_a_damaged_note_on_the_machine_is_named(tmp_path: Path) -> None:
    write_log(tmp_path / "log.csv", [ROW])
    (tmp_path / "machine.json").write_text("{")
    with pytest.raises(UserError, match=r"machine\.json is damaged"):
        read_run(tmp_path, "student")
