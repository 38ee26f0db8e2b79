"""What a journal resumes: the same measurement, whole; anything else is overwritten and says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from host_tools.scoring.journal import digest_of, lock_journal, open_journal
from swin2mcu.common.cli import UserError

HEAD = {"version": 3, "images": "digest"}
NUMBERS: dict[str, Any] = {"reference": [1], "logits": [1], "costs": [9], "transfer_s": 0.1}


def entry(image: str) -> dict[str, Any]:
    return {"image": image, "label": 0, **NUMBERS}


def written(path: Path, *lines: object) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in (HEAD, *lines)]
    path.write_text("".join(text + "\n" for text in texts))
    return path


def test_what_is_there_is_kept_and_a_part_of_a_line_is_not(tmp_path: Path) -> None:
    path = written(tmp_path / "j", entry("a"), {"image": "b", "label": 1, "corrupt": "no image"})
    with path.open("a") as file:
        file.write('{"image": "c", "la')
    journal = open_journal(path, HEAD)
    assert list(journal.entries) == ["a", "b"] and not journal.replaced
    journal.add(entry("c"))
    assert list(open_journal(path, HEAD).entries) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "lines",
    [
        [entry("a"), {"finished": True}, entry("b")],  # as two commands on one folder left it
        [{"finished": True}, entry("b"), {"finished": True}],
        [entry("a"), "{}"],
        [entry("a"), "[]"],
        [entry("a"), "no JSON"],
        [entry("a"), "[" * 100_000],
        [{"image": "a"}],
        [{**entry("a"), "logits": []}],
        [{**entry("a"), "costs": ["x"]}],
        [{**entry("a"), "transfer_s": None}],
        [{**entry("a"), "label": True}],
        [{**entry("a"), "image": 3}],
    ],
)
def test_a_damaged_journal_is_overwritten(tmp_path: Path, lines: list[object]) -> None:
    path = written(tmp_path / "j", *lines)
    journal = open_journal(path, HEAD)
    assert journal.entries == {} and "is damaged" in journal.replaced
    assert path.read_text() == json.dumps(HEAD) + "\n"


def test_a_finished_journal_and_one_of_another_measurement_are_not_resumed(tmp_path: Path) -> None:
    assert open_journal(written(tmp_path / "j", entry("a"), {"finished": True}), HEAD).entries == {}
    journal = open_journal(written(tmp_path / "j", entry("a")), {**HEAD, "images": "other"})
    assert journal.entries == {} and "of other images" in journal.replaced


def test_images_are_told_apart_by_their_bytes_and_labels(tmp_path: Path) -> None:
    one, other = tmp_path / "a.png", tmp_path / "b.png"
    one.write_bytes(b"1")
    other.write_bytes(b"2")
    first = digest_of([(one, "x.png", 0)])
    assert first == digest_of([(one, "x.png", 0)])
    assert len({first, digest_of([(other, "x.png", 0)]), digest_of([(one, "x.png", 1)])}) == 3
    assert digest_of([(tmp_path / "gone", "gon\udce9", 0)])  # a name that is no text


def test_one_command_at_a_time_writes_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with (
        lock_journal(path),
        pytest.raises(UserError, match=r"another serial_eval\.py writes"),
        lock_journal(path),
    ):
        pass
    with lock_journal(path):
        pass
