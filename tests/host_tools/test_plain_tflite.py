"""A .tflite without a card is a model, and becomes a run of its name."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from tiny_run import SIZE

from host_tools.fit import main as fit_main
from host_tools.inputs import load_model, load_named
from swin2mcu.common.cli import UserError
from tinyml.format.mobilenet_graphs import small


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "leaf.tflite"
    path.write_bytes(small(SIZE))
    return path


def test_it_becomes_a_run_of_its_name(plain: Path) -> None:
    labels = plain.with_name("labels.txt")
    labels.write_text("\n".join(f"leaf {i}" for i in range(10)))
    model = load_model(str(plain), labels=labels)
    assert model.folder == Path("runs/leaf") and model.card.classes[3] == "leaf 3"
    assert model.int8.read_bytes() == plain.read_bytes()
    # From now on the run is the newest, and the file keeps its names.
    assert load_model(None).card == load_model(str(plain)).card == model.card


def test_looking_writes_nothing(plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit_main([str(plain), "--board", "qemu-m7"]) == 0
    assert "leaf: KiB needed" in capsys.readouterr().out
    assert not Path("runs").exists()


def test_another_file_of_the_same_name_is_refused(plain: Path) -> None:
    load_model(str(plain))
    plain.write_bytes(small(SIZE * 2))
    with pytest.raises(UserError, match="runs/leaf holds another model than"):
        load_model(str(plain))


def test_options_for_a_file_are_refused_for_a_folder(plain: Path) -> None:
    load_model(str(plain))
    arguments = argparse.Namespace(model="runs/leaf", classes=None, input="p/255")
    with pytest.raises(UserError, match=r"--classes and --input are for a \.tflite"):
        load_named(arguments)


def test_a_missing_or_broken_file_is_one_line(plain: Path) -> None:
    with pytest.raises(UserError, match=r"holds no model_int8\.tflite"):
        load_model("nothing.tflite")
    plain.write_bytes(plain.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"is not a usable \.tflite"):
        load_model(str(plain))
