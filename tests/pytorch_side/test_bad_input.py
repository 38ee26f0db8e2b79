"""Bad input of the training side is one line that says what is wrong, and exit code 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytorch_side.config import Teacher
from pytorch_side.evaluate.__main__ import main
from pytorch_side.nets.models import make_teacher
from swin2mcu.common.cli import UserError
from swin2mcu.research.table import read_table

TABLE = """
title = "Gain"
seeds = [0, 1]
baseline = "plain"
[[rows]]
name = "plain"
config = "plain.toml"
set = ["optimizer.epochs=1"]
run = "plain"
[[teachers]]
name = "Swin"
run = "swin"
"""


@pytest.fixture
def error(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A function that runs `evaluate` with wrong arguments and returns the one line it says."""

    def run(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 2
        said = capsys.readouterr()
        # Before it may stand what was taken of the images.
        *before, last, end = said.err.split("\n")
        assert last.startswith("error: ") and end == ""
        assert all(line.startswith(("  ", str(arguments[1]))) for line in before), before
        assert said.out == ""
        return last

    return run


@pytest.mark.parametrize("word", ["audit", "probe", "resplit"])
@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_bounds(
    error: Callable[..., str], make_folder: Callable[..., Path], word: str, seed: int
) -> None:
    out = ["--out", "never"] if word == "resplit" else []
    said = error(word, make_folder(), "--seed", seed, *out)
    assert "--seed must be from 0 to 4294967295" in said


def test_resplit_where_no_folder_can_be(
    error: Callable[..., str], make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "README.md").write_text("words")
    data = make_folder()
    for out in (tmp_path / "README.md", tmp_path / "README.md" / "below"):
        assert f"cannot make the folder {out}: " in error("resplit", data, "--out", out)


def test_a_name_too_long(error: Callable[..., str]) -> None:
    assert "File name too long" in error("audit", 5000 * "x")


def test_a_wrong_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["audit", "--seed", "x"])
    said = capsys.readouterr().err
    assert said == "error: argument --seed: invalid int value: 'x' (see --help)\n"


@pytest.mark.parametrize(
    "arguments",
    [
        {"depths": []},
        {"depths": 3},
        {"embed_dim": -4},
        {"num_heads": [0, 0, 0, 0]},
        {"window_size": "x"},
        {"norm_layer": "x"},
    ],
    ids=str,
)
def test_arguments_that_make_no_teacher(arguments: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"teacher\.arguments do not make a SwinTransformer: "):
        make_teacher(Teacher(name="swin", arguments=arguments), 3)


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        (TABLE.replace("[0, 1]", "5"), "seeds must be a list, not 5"),
        (TABLE.replace("[0, 1]", '["a"]'), "seeds must be a list of a whole number each, not 'a'"),
        (TABLE.replace("[0, 1]", "[true]"), "seeds must be a list of a whole number each"),
        (TABLE.replace('"Gain"', "3"), "title must be a text, not 3"),
        (
            TABLE.replace('["optimizer.epochs=1"]', '"optimizer.epochs=1"'),
            "set must be a list, not 'optimizer.epochs=1'",
        ),
        (TABLE.replace('config = "plain.toml"', "config = 1"), "config must be a text, not 1"),
        (TABLE.replace('run = "swin"', "run = 1"), "run must be a text, not 1"),
        (TABLE.replace('run = "swin"', ""), "lacks 'run'"),
        (TABLE.replace("[[rows]]", "[rows]"), "rows must be a list"),
        ("rows = 3\nseeds = [0]", "rows must be a list, not 3"),
        ("rows = [3]\nseeds = [0]", r"rows must be a list of a \[\[table\]\] each, not 3"),
        ("seeds = " + 5000 * "[", "cannot read table"),
        ("seeds = [1" + 5000 * "0" + "]", "cannot read table"),
    ],
)
def test_a_table_of_wrong_types(tmp_path: Path, wrong: str, names: str) -> None:
    (tmp_path / "table.toml").write_text(wrong)
    with pytest.raises(UserError, match=names):
        read_table(tmp_path / "table.toml", tmp_path)


def test_a_table_that_is_no_utf8(tmp_path: Path) -> None:
    (tmp_path / "table.toml").write_bytes("# für Blätter".encode("latin-1"))
    with pytest.raises(UserError, match=r"cannot read table .* decode"):
        read_table(tmp_path / "table.toml", tmp_path)


def test_the_table_that_these_spoil_is_right(tmp_path: Path) -> None:
    (tmp_path / "table.toml").write_text(TABLE)
    assert read_table(tmp_path / "table.toml", tmp_path).rows[0].overrides == (
        "optimizer.epochs=1",
    )
