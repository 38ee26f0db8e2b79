"""The card survives a round trip and refuses what it cannot vouch for."""

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from pytorch_side.config import Config, split_rule, with_values
from swin2mcu.common.card import (
    FIELDS,
    Calibration,
    Card,
    SplitRule,
    load_card,
    save_card,
    update_card,
)
from swin2mcu.common.cli import UserError

CARD = Card("demo", "tf_mobilenetv3_small_100", ("healthy", "sick"), (96, 96, 3), macs=11_000_000)
CALIBRATION = {"temperature": 1.0, "threshold": 2.0, "coverage": 0.9, "images": 9}
SCORE = {"split": "test", "images": 9, "top1": 0.9}


def test_round_trip(tmp_path: Path) -> None:
    save_card(CARD, tmp_path / "card.json")
    assert load_card(tmp_path / "card.json") == CARD
    other = replace(CARD, split=SplitRule("random", 3, 0.2, 0.3), accuracy={"int8": SCORE})
    save_card(other, tmp_path / "card.json")
    assert load_card(tmp_path / "card.json") == other


@pytest.mark.parametrize("share", [0.0, 0.9])
def test_a_split_that_training_accepts_is_a_cards(tmp_path: Path, share: float) -> None:
    """Else hours of training would end without a card."""
    config = with_values(Config(), {"data.val_share": share, "data.test_share": share})
    card = replace(CARD, split=split_rule(config))
    save_card(card, tmp_path / "card.json")
    assert load_card(tmp_path / "card.json") == card


def test_a_card_from_before_splits_had_rules_means_the_split_given(tmp_path: Path) -> None:
    save_card(CARD, tmp_path / "card.json")
    values = json.loads((tmp_path / "card.json").read_text())
    del values["split"]
    (tmp_path / "card.json").write_text(json.dumps(values))
    assert load_card(tmp_path / "card.json").split == SplitRule()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 99}, "schema 99"),
        ({"colour": "green"}, "unknown keys colour"),
        ({"classes": ["only one"]}, "at least two"),
        ({"input_shape": [96, 96]}, "input_shape"),
        ({"input_shape": [96, -1, 3]}, "input_shape"),
        ({"split": "random"}, "'split' must hold"),
        ({"split": {"kind": "random", "colour": 1}}, "'split' must hold"),
        ({"split": {"colour": None}}, "'split' must hold"),
        ({"split": {"seed": 1.5}}, "'split' must hold"),
        ({"name": 7}, "'name' must be a text"),
        ({"training": "a\nb"}, "'training' must be a printable line"),
        ({"training": "a" * 501}, "'training' must be a printable line of at most 500 characters"),
        ({"student": None}, "'student' must be a text"),
        ({"classes": ["a", 3]}, "'classes' must be a list"),
        ({"input_shape": [96, 96, True]}, "input_shape"),
        ({"input_scale": None}, "'input_scale' must be a number above 0"),
        ({"input_zero_point": 0.0}, "'input_zero_point' must be a whole number"),
        ({"input_mean": [1, 2]}, "'input_mean' must be a list of one or three numbers"),
        ({"input_std": [0]}, "'input_std' must be a list of one or three numbers above 0"),
        ({"output_scale": "x"}, "'output_scale' must be a number above 0"),
        ({"output_scale": float("nan")}, "'output_scale' must be a number above 0"),
        ({"output_scale": 10**400}, "'output_scale' must be a number above 0"),
        ({"output_zero_point": 128}, "'output_zero_point' must be a whole number from -128"),
        ({"ops": {"ADD": "many"}}, "'ops' must be an object"),
        ({"ops": None}, "'ops' must be an object"),
        ({"macs": -1}, "'macs' must be a whole number"),
        ({"parameters": True}, "'parameters' must be a whole number"),
        ({"arena_bytes": "many"}, "'arena_bytes' must be a whole number"),
        ({"arena_bytes": 10**30}, "'arena_bytes' must be a whole number below"),
        ({"sha256": 5}, "'sha256' must be a text"),
        ({"accuracy": 5}, "'accuracy' must be an object"),
        ({"accuracy": {"int8": 0.9}}, "'accuracy' must be an object"),
        ({"accuracy": {"int8": {"split": "val", "images": 9}}}, "'accuracy' must be an object"),
        ({"accuracy": {"int8": SCORE | {"top1": "x"}}}, "'accuracy' must be an object"),
        ({"accuracy": {"int8": SCORE | {"top1": 97.9}}}, "'accuracy' must be an object"),
        ({"accuracy": {"int8": SCORE | {"images": None}}}, "'accuracy' must be an object"),
        ({"accuracy": {"int8": SCORE | {"data": 3}}}, "'accuracy' must be an object"),
        ({"classes": ["a", "\ud800"]}, "'classes' must be a list"),
        ({"classes": ["a", "b" * 251]}, "'classes' must be a list"),
        ({"classes": ["a", "b\x1b"]}, "'classes' must be a list"),
        ({"input_std": [1e-310]}, "'input_std' must be a list of one or three numbers above 0"),
        ({"input_mean": [1e300]}, "'input_mean' must be a list of one or three numbers"),
        ({"input_shape": [8, 8, 1], "input_std": [1, 2, 3]}, "one for each channel"),
        ({"calibration": CALIBRATION | {"threshold": 1000}}, "a threshold of at most 700"),
        ({"calibration": CALIBRATION | {"temperature": 1e-300}}, "a temperature of 0.01 to 100"),
        ({"calibration": CALIBRATION | {"temperature": 1e5}}, "a temperature of 0.01 to 100"),
        ({"split": {"seed": -1}}, "not a valid rule"),
        ({"split": {"kind": "lucky"}}, "not a valid rule"),
        ({"split": {"test_share": 1.5}}, "not a valid rule"),
    ],
)
def test_a_card_that_is_wrong_says_where(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "card.json"
    save_card(CARD, path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message):
        load_card(path)


@pytest.mark.parametrize(
    "change",
    [
        {"classes": ("only one",)},
        {"input_mean": (1e300,)},
        {"input_std": (1e-310,)},
        {"input_std": (1.0, 2.0)},
        {"calibration": Calibration(1.0, 1000.0, 0.9, 9)},
        {"split": SplitRule("lucky")},
    ],
)
def test_a_card_that_could_not_be_read_is_not_written(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match=f"'{next(iter(change))}'"):
        save_card(replace(CARD, **change), tmp_path / "card.json")
    assert list(tmp_path.iterdir()) == []


def test_every_field_is_checked() -> None:
    assert FIELDS.keys() == {f.name for f in fields(Card)} - {"split", "schema"}


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", "\x00", "[" * 100_000])
def test_a_file_that_is_no_card(tmp_path: Path, text: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"card\.json"):
        load_card(path)
    with pytest.raises(UserError, match="missing"):
        load_card(tmp_path / "none.json")


def test_two_commands_that_change_a_card_at_once_lose_nothing(tmp_path: Path) -> None:
    save_card(CARD, tmp_path / "card.json")
    code = (
        "import sys, dataclasses; from pathlib import Path\n"
        "from swin2mcu.common.card import update_card\n"
        "for n in range(60): update_card(Path(sys.argv[1]), lambda card: dataclasses.replace("
        "card, ops={**card.ops, f'{sys.argv[2]}{n}': n}))"
    )
    path = tmp_path / "card.json"
    both = [subprocess.Popen([sys.executable, "-c", code, path, name]) for name in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]
    made = {f"{name}{n}" for name in "ab" for n in range(60)}
    assert made <= set(load_card(path).ops)
    assert made <= set(update_card(path, lambda card: card).ops)


def test_figures_of_another_model_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    save_card(replace(CARD, sha256="b" * 64), path)
    before = path.read_bytes()
    with pytest.raises(UserError, match="another model was written here meanwhile"):
        update_card(path, lambda card: replace(card, ops={"new": 1}), "a" * 64)
    assert path.read_bytes() == before
    assert update_card(path, lambda card: replace(card, ops={"a": 1}), "b" * 64).ops
