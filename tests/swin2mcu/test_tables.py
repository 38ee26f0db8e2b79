"""Tables are whole wherever they are printed, and text in them is no markup."""

from __future__ import annotations

import pytest
from rich.table import Table

from swin2mcu.common.cli import plain_console
from swin2mcu.common.tables import table_text


def test_columns_are_aligned_and_no_line_ends_in_spaces() -> None:
    text = table_text(["class", "n"], [("a", 5), ("rust", 1234)], indent=2)
    assert text.splitlines() == ["  class     n", "  a         5", "  rust   1234"]
    assert table_text(["", ""], [("a", "b"), ("aa", "c")], texts=2) == "a   b\naa  c"


@pytest.mark.parametrize("name", ["[red]x[/red]", "[/]", ":cat:", "x" * 300])
def test_a_name_is_printed_as_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    text = table_text(["name", name], [(name, 1)])
    assert text.count(name) == 2 and "\x1b" not in text
    assert len(text.splitlines()) == 2


def test_what_is_piped_is_not_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # a width that a person set is kept
    table = Table("a" * 90, "b" * 90, box=None)
    table.add_row("1", "2")
    plain_console().print(table)
    out = capsys.readouterr().out
    assert "a" * 90 in out and "b" * 90 in out and "\x1b" not in out
