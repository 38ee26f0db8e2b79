"""What is written down of looks is read back, and nothing else is taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from swin2mcu.common.cli import UserError
from swin2mcu.common.test_access import FILE, last_look, read_looks, write_look


def look(run: Path, split: str, top1: float, weights_sha256: str = "a") -> int:
    return write_look(
        run,
        split=split,
        images=10,
        top1=top1,
        weights="student.safetensors",
        weights_sha256=weights_sha256,
        data="leaves",
    )


def test_looks_are_counted_for_each_split(tmp_path: Path) -> None:
    assert read_looks(tmp_path) == []
    assert [look(tmp_path, s, t) for s, t in (("test", 0.5), ("val", 0.6), ("test", 0.7))] == [
        1, 1, 2,
    ]  # fmt: skip
    last = last_look(tmp_path, "test", "a")
    assert last and last["top1"] == 0.7
    assert last_look(tmp_path, "test", "b") is None


@pytest.mark.parametrize("line", ["", "x", "[]", '{"split": "test"}', '{"split": "te'])
def test_a_line_that_is_no_look_is_named(tmp_path: Path, line: str) -> None:
    look(tmp_path, "test", 0.5)
    with (tmp_path / FILE).open("a") as stream:
        stream.write(line + "\n")
    look_again = pytest.raises(UserError, match=r"line 2 of .*looks\.jsonl is no look")
    with look_again:
        read_looks(tmp_path)
    with look_again:
        look(tmp_path, "test", 0.5)
