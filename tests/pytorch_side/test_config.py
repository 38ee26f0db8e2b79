"""A config is a small file of differences; what it does not know it refuses."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest

from pytorch_side.config import (
    Config,
    as_override,
    differing,
    flat,
    load_config,
    read_saved_config,
    save_config,
    saved_config,
    with_values,
)
from pytorch_side.config.old import MOVED
from swin2mcu.common.cli import UserError

CONFIGS = sorted((Path(__file__).parents[2] / "configs").rglob("*.toml"))


def test_differences_bases_and_overrides_come_in_that_order(tmp_path: Path) -> None:
    base = "[augment]\ncached = 3\n[distillation]\nalpha = 0.5\nbeta = 0.25\n"
    (tmp_path / "base.toml").write_text(base)
    (tmp_path / "child.toml").write_text('base = "base.toml"\n[distillation]\nbeta = 1\n')
    config = load_config(
        tmp_path / "child.toml", ["augment.cached=7", "student.name=tf_mobilenetv3_large_100"]
    )
    assert (config.distillation.alpha, config.distillation.beta) == (0.5, 1.0)
    assert config.augment.cached == 7
    assert config.student.name == "tf_mobilenetv3_large_100"
    assert config.optimizer.epochs == Config().optimizer.epochs


@pytest.mark.parametrize(
    "name",
    [
        "3",
        "2024-05-01",
        "true",
        "1e3",
        "plant(\\d+)",
        "'q'",
        '"',
        " x ",
        "a=b",
        "[1]",
        "farm\udce9",
    ],
)
def test_a_text_stays_a_text_through_the_command_line(name: str) -> None:
    """A farm, a day or a folder may be called like a number."""
    words = [as_override("data.test_group", name), as_override("distillation.unlabeled", name)]
    config = load_config(None, words)
    assert (config.data.test_group, config.distillation.unlabeled) == (name, name)
    if name.strip("'\" ") == name:  # as a person types it
        assert load_config(None, [f"data.test_group={name}"]).data.test_group == name


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 3),
        ("distillation.beta", 0.25),
        ("distillation.bf16", True),
        ("distillation.attention_pairs", ((3, 0), (5, 1))),
        ("teacher.arguments", {"window_size": 5, "depths": [4, 2]}),
        ("student.init", 'runs/"a"/student.safetensors'),
        ("student.init", Path("a folder/student.safetensors")),
    ],
)
def test_an_override_is_read_as_it_was_written(key: str, value: object) -> None:
    read = flat(load_config(None, [as_override(key, value)]))[key]
    assert read == (str(value) if isinstance(value, Path) else msgspec.to_builtins(value))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("alhpa = 0.5", "unknown key alhpa; known are seed, data, augment"),
        ("[distillation]\nalhpa = 0.5", r"unknown key distillation\.alhpa; known are alpha, temp"),
        ('optimizer.epochs = "ten"', r"optimizer\.epochs is 'ten': expected `int`"),
        ("optimizer.epochs = 1.5", r"optimizer\.epochs is 1\.5: expected `int`"),
        ("optimizer.epochs = true", r"optimizer\.epochs is True: expected `int`"),
        ("distillation = 3", "distillation is 3: expected `object`"),
        ("distillation.attention_pairs = [[1]]", "attention_pairs"),
        ("distillation.alpha =", "TOML"),
        ('base = "gone.toml"', "gone.toml"),
        ("base = 3", "base must be the name of a file, not 3"),
        ("base = 0", "base must be the name of a file, not 0"),
        ('base = "wrong.toml"', r"wrong\.toml is its own base"),
        ("optimizer.epochs = " + "[" * 5000, "not TOML"),
        ("distillation.attention_pairs = [1, 2]", "attention_pairs.*expected `array`"),
        ("distillation.attention_pairs = 3", "attention_pairs is 3: expected `array`"),
        ("distillation.attention_pairs = [[1, true]]", "attention_pairs.*expected `int`"),
        ("distillation.beta = 1" + 400 * "0", r"distillation\.beta is a number of 1329 bits"),
        ("optimizer.epochs = 0x" + 5000 * "f", "epochs is a number of 20000 bits"),
        ("optimizer.epochs = 1" + 5000 * "0", "not TOML"),
        ("optimizer.epochs = 0", r"optimizer\.epochs is 0: expected `int` >= 1"),
        ("optimizer.batch = -4", "batch is -4: expected `int` >= 1"),
        ("student.size = 8", r"student\.size is 8: expected `int` >= 32"),
        ("optimizer.learning_rate = nan", "learning_rate is nan"),
        ("distillation.alpha = 1.5", "alpha is 1.5: expected `float` <= 1"),
        ("distillation.temperature = 0", "temperature is 0: expected `float` >= 0.01"),
        ("distillation.beta = inf", "beta is inf"),
        ("distillation.flips = 3", r"distillation\.flips is 3: invalid enum value 3"),
        ('distillation.logit_loss = "kd"', "logit_loss is 'kd': invalid enum value 'kd'"),
        ("student_size = 96", r"student_size is now student\.size"),
        ('student = "x"', r"student is now student\.name"),
        ("pretrained = true", r"pretrained is now student\.pretrained and teacher\.pretrained"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, names: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=names):
        load_config(path)


def test_a_config_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    for text in ("# für Blätter".encode("latin-1"), "seed = 3".encode("utf-16")):
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
        ("distillation.beta=1" + 400 * "0", "beta is a number of 1329 bits"),
        ("optimizer.clip_norm=1" + 400 * "0", "clip_norm is a number of 1329 bits"),
        ("optimizer.epochs=1" + 5000 * "0", "epochs is .*expected `int`"),
        ("optimizer.epochs=" + 5000 * "[", "epochs is .*expected `int`"),
        ("distillation.attention_pairs=[1,2]", "attention_pairs.*expected `array`"),
        ("distillation=3", "distillation is a table: name a field"),
        ("distilation.beta=3", "unknown table distilation; known are data, augment"),
        ("epochs=3", r"epochs is now optimizer\.epochs"),
    ],
)
def test_a_wrong_override_is_named(override: str, names: str) -> None:
    with pytest.raises(UserError, match=names):
        load_config(None, [override])


def test_an_override_without_a_value_is_named() -> None:
    with pytest.raises(UserError, match="key=value"):
        load_config(None, ["optimizer.epochs"])


def test_an_error_names_all_that_a_value_may_come_from(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("distillation.alpha = 0.5")
    with pytest.raises(UserError, match=r"a\.toml with --set: optimizer\.epochs"):
        load_config(tmp_path / "a.toml", ["optimizer.epochs=0"])


def test_a_saved_config_reads_back_the_same(tmp_path: Path) -> None:
    config = load_config(None, ["distillation.beta=0.5", "distillation.attention_pairs=[[1, 2]]"])
    save_config(config, tmp_path / "config.json")
    assert read_saved_config(tmp_path / "config.json") == config


@pytest.mark.parametrize("text", ["", "[]", "3", '{"epochs": 0}', '{"epoch": 3}', 9999 * "["])
def test_a_saved_config_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json"):
        read_saved_config(tmp_path / "config.json")


def test_changes_are_checked_and_named_as_in_a_file() -> None:
    config = with_values(
        Config(), {"seed": 3, "distillation.attention_pairs": [], "hint.pairs": ()}
    )
    assert (config.seed, config.distillation.attention_pairs, config.hint.pairs) == (3, (), ())
    assert differing(config, Config()) == ["seed", "distillation.attention_pairs", "hint.pairs"]
    assert flat(config)["seed"] == 3 and flat(config)["student.size"] == config.student.size
    with pytest.raises(UserError, match=r"optimizer\.epochs is 0"):
        with_values(config, {"optimizer.epochs": 0})


def test_a_flat_config_of_older_versions_is_read() -> None:
    old = {
        "seed": 2,
        "student": "tf_mobilenetv3_large_100",
        "student_size": 64,
        "pretrained": True,
        "view_seed": 5,
        "view_colour": 0.1,
        "guide": "a.safetensors",
        "guide_pairs": [[1, 1]],
        "knowledge": "runs/asked",
        "teacher_views": 8,
    }
    wanted = {
        "seed": 2,
        "student.name": "tf_mobilenetv3_large_100",
        "student.size": 64,
        "student.pretrained": True,
        "teacher.pretrained": True,
        "augment.seed": 5,
        "augment.color": 0.1,
        "hint.init": "a.safetensors",
        "hint.pairs": [[1, 1]],
        "distillation.cache": "runs/asked",
        "distillation.flips": 8,
    }
    assert saved_config(old, "old") == with_values(Config(), wanted)
    with pytest.raises(UserError, match="unknown key hue"):
        saved_config(old | {"hue": 0.1}, "old")


NEWER = {  # than the flat configs
    "augment.backgrounds",
    "data.class_weights",
    "data.crop",
    "data.drawn_by",
    "distillation.consistent",
    "distillation.unlabeled",
    "optimizer.passes",
    "student.selected_from",
}


def test_every_old_key_has_a_field_of_its_own() -> None:
    new = [name for names in MOVED.values() for name in names]
    assert sorted(new) == sorted(set(flat(Config())) - {"seed"} - NEWER)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_the_project_loads(path: Path) -> None:
    if "rows" not in tomllib.loads(path.read_text()):  # a table of experiments
        assert load_config(path).optimizer.epochs > 0
