"""A config is a small file of differences; what it does not know it refuses."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from pytorch_side.config import (
    BOUNDS,
    CHOICES,
    Config,
    config_from,
    load_config,
    read_saved_config,
    save_config,
)
from swin2mcu.common.cli import UserError

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


def test_differences_bases_and_overrides_come_in_that_order(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text("alpha = 0.5\nbeta = 0.25\nviews = 3\n")
    (tmp_path / "child.toml").write_text('base = "base.toml"\nbeta = 1\n')
    config = load_config(tmp_path / "child.toml", ["views=7", "student=tf_mobilenetv3_large_100"])
    assert (config.alpha, config.beta, config.views) == (0.5, 1.0, 7)
    assert config.student == "tf_mobilenetv3_large_100"
    assert config.epochs == Config().epochs


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("alhpa = 0.5", "alhpa"),
        ('epochs = "ten"', "epochs"),
        ("epochs = 1.5", "epochs"),
        ("epochs = true", "epochs"),
        ("attention_pairs = [[1]]", "attention_pairs"),
        ("alpha =", "TOML"),
        ('base = "gone.toml"', "gone.toml"),
        ("base = 3", "base must be the name of a file, not 3"),
        ("base = 0", "base must be the name of a file, not 0"),
        ('base = "wrong.toml"', r"wrong\.toml is its own base"),
        ("epochs = " + "[" * 5000, "not TOML"),
        ("attention_pairs = [1, 2]", "attention_pairs must be a list of"),
        ("attention_pairs = 3", "attention_pairs must be a list of"),
        ("attention_pairs = [[1, true]]", "attention_pairs must be a list of"),
        ("beta = 1" + 400 * "0", "beta is a number of 1329 bits"),
        ("epochs = 0x" + 5000 * "f", "epochs is a number of 20000 bits"),
        ("epochs = 1" + 5000 * "0", "not TOML"),
        ("epochs = 0", "epochs is 0, and must be from 1"),
        ("batch = -4", "batch"),
        ("student_size = 8", "student_size"),
        ("learning_rate = nan", "learning_rate is nan"),
        ("alpha = 1.5", "alpha is 1.5, and must be from 0 to 1"),
        ("temperature = 0", "temperature"),
        ("beta = inf", "beta"),
        ("teacher_views = 3", "known are 1, 8"),
        ('logit_loss = "kd"', "known are 'kl', 'dkd', 'dist'"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, names: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=names):
        load_config(path)


def test_a_config_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    for text in ("# für Blätter".encode("latin-1"), "epochs = 3".encode("utf-16")):
        (tmp_path / "wrong.toml").write_bytes(text)
        with pytest.raises(UserError, match=r"wrong\.toml is not TOML: .* decode"):
            load_config(tmp_path / "wrong.toml")


def test_bases_in_a_circle_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('base = "b.toml"')
    (tmp_path / "b.toml").write_text('base = "./a.toml"')
    with pytest.raises(UserError, match=r"a\.toml is its own base"):
        load_config(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("override", "names"),
    [
        ("beta=1" + 400 * "0", "beta is a number of 1329 bits"),
        ("clip_norm=1" + 400 * "0", "clip_norm is a number of 1329 bits"),
        ("epochs=1" + 5000 * "0", "epochs must be int"),
        ("epochs=" + 5000 * "[", "epochs must be int"),
        ("attention_pairs=[1,2]", "attention_pairs must be a list of"),
    ],
)
def test_a_wrong_override_is_named(override: str, names: str) -> None:
    with pytest.raises(UserError, match=names):
        load_config(None, [override])


def test_an_override_without_a_value_is_named() -> None:
    with pytest.raises(UserError, match="key=value"):
        load_config(None, ["epochs"])


def test_an_error_names_all_that_a_value_may_come_from(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("alpha = 0.5")
    with pytest.raises(UserError, match=r"a\.toml with --set: epochs"):
        load_config(tmp_path / "a.toml", ["epochs=0"])


def test_a_saved_config_reads_back_the_same(tmp_path: Path) -> None:
    config = load_config(None, ["beta=0.5", "attention_pairs=[[1, 2]]"])
    save_config(config, tmp_path / "config.json")
    assert read_saved_config(tmp_path / "config.json") == config


@pytest.mark.parametrize("text", ["", "[]", "3", '{"epochs": 0}', '{"epoch": 3}', 9999 * "["])
def test_a_saved_config_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json"):
        read_saved_config(tmp_path / "config.json")


def test_what_has_bounds_or_choices_is_a_field_whose_default_keeps_them() -> None:
    assert {*BOUNDS, *CHOICES} <= vars(Config()).keys()
    assert config_from(vars(Config()) | {"attention_pairs": [], "guide_pairs": []}, "x") == replace(
        Config(), attention_pairs=(), guide_pairs=()
    )
    numbers = {f.name for f in fields(Config) if f.type in ("int", "float")}
    assert numbers == BOUNDS.keys() | {"teacher_views"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_the_project_loads(path: Path) -> None:
    if not path.stem.startswith("table"):
        assert load_config(path).epochs > 0
