"""The test access log is read back as it was written, and nothing else is taken for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from swin2mcu.common.cli import UserError
from swin2mcu.common.test_access import FILE, OLD_FILE, last_access, log_access, read_accesses


def look(run: Path, split: str, top1: float, weights_sha256: str = "a") -> int:
    return log_access(
        run,
        split=split,
        images=10,
        top1=top1,
        weights="student.safetensors",
        weights_sha256=weights_sha256,
        data="leaves",
    )


def test_looks_are_counted_for_each_split(tmp_path: Path) -> None:
    assert read_accesses(tmp_path) == []
    assert [look(tmp_path, s, t) for s, t in (("test", 0.5), ("val", 0.6), ("test", 0.7))] == [
        1, 1, 2,
    ]  # fmt: skip
    last = last_access(tmp_path, "test", "a")
    assert last and last["top1"] == 0.7
    assert last_access(tmp_path, "test", "b") is None


@pytest.mark.parametrize("line", ["", "x", "[]", '{"split": "test"}', '{"split": "te'])
def test_a_line_that_is_no_look_is_named(tmp_path: Path, line: str) -> None:
    look(tmp_path, "test", 0.5)
    with (tmp_path / FILE).open("a") as stream:
        stream.write(line + "\n")
    look_again = pytest.raises(
        UserError, match=r"line 2 of .*test_access\.jsonl is not a logged score"
    )
    with look_again:
        read_accesses(tmp_path)
    with look_again:
        look(tmp_path, "test", 0.5)


def test_the_log_of_an_older_run_is_still_read(tmp_path: Path) -> None:
    look(tmp_path, "test", 0.5)
    (tmp_path / FILE).rename(tmp_path / OLD_FILE)
    assert look(tmp_path, "test", 0.6) == 2
    assert [access["top1"] for access in read_accesses(tmp_path)] == [0.5, 0.6]


def test_a_line_cut_short_by_a_kill_is_dropped_by_the_next(tmp_path: Path) -> None:
    look(tmp_path, "test", 0.5)
    with (tmp_path / FILE).open("a") as stream:
        stream.write('{"split": "te')
    assert look(tmp_path, "test", 0.6) == 2


def test_processes_that_log_at_once_lose_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from swin2mcu.common.test_access import log_access\n"
        "for n in range(40): log_access(Path(sys.argv[1]), split='test', images=1, top1=0.5,"
        " weights='w', weights_sha256='a', data='d', target=f'{sys.argv[2]}-{n}')"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, tmp_path, name]) for name in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len({access["target"] for access in read_accesses(tmp_path)}) == 80
