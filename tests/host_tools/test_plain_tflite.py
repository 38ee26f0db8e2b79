"""A .tflite without a card is a model, and becomes a run of its name."""

from __future__ import annotations

import argparse
import multiprocessing
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_run import SIZE, make_run

from host_tools import inputs
from host_tools.fit import main as fit_main
from host_tools.inputs import load_model, load_named
from swin2mcu.common.card import load_card, save_card
from swin2mcu.common.cli import UserError
from tinyml.format.mobilenet_graphs import small
from tinyml.format.writer import GraphWriter


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


def test_a_name_of_dots_is_no_run(plain: Path) -> None:
    with pytest.raises(UserError, match="more than dots"):
        load_model(str(plain.rename(plain.with_name("...tflite"))))
    assert not Path("runs").exists()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name[0] != "."}


@pytest.mark.parametrize("name", [*inputs.TRAINED, "card.json"])
@pytest.mark.parametrize("keep", [True, False])
def test_a_run_of_a_training_is_not_overwritten(plain: Path, name: str, keep: bool) -> None:
    run = Path("runs/leaf")
    run.mkdir(parents=True)
    if name == "card.json":
        card = replace(load_card(make_run(Path("other")) / "card.json"), sha256=None)
        save_card(card, run / name)
    else:
        (run / name).write_text("of a training")
    before = contents(run)
    for kind in (None, "p/255"):
        with pytest.raises(UserError, match=r"runs/leaf is the run of a training, .* another name"):
            load_model(str(plain), kind=kind, keep=keep)
    assert contents(run) == before


def test_a_card_that_an_earlier_version_imported_wrong_is_made_anew(plain: Path) -> None:
    model = load_model(str(plain))
    card = model.folder / "card.json"
    card.write_text(card.read_text().replace('"0"', '"1"'))
    with pytest.raises(UserError, match="'classes' must be"):
        load_model(str(plain))
    assert load_model(str(plain), kind="p/255").card == load_card(card)


def _import(path: Path, gate: threading.Barrier) -> None:
    gate.wait()
    try:
        load_model(str(path))
    except UserError as error:
        assert "holds another model" in str(error)


def test_two_files_of_one_name_at_once_leave_a_card_of_its_model(plain: Path) -> None:
    """Card and model are written under one lock."""
    files = []
    for number in (1, 2):
        files.append(plain.parent / f"{number}" / plain.name)
        files[-1].parent.mkdir()
        files[-1].write_bytes(small(SIZE * number))
    start = multiprocessing.get_context("fork")
    for _ in range(10):
        gate = start.Barrier(2)
        both = [start.Process(target=_import, args=(path, gate)) for path in files]
        for process in both:
            process.start()
        for process in both:
            process.join(60)
        assert [process.exitcode for process in both] == [0, 0]
        run = Path("runs/leaf")
        assert load_card(run / "card.json").sha256 == inputs.sha256_of(run / inputs.MODEL_NAME)
        for path in run.iterdir():
            path.unlink()


def test_an_import_waits_for_the_lock_of_the_folder(
    plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "IMPORT_S", 0.0)
    with inputs.locked(Path("runs/leaf/making")), pytest.raises(UserError, match="locked"):
        load_model(str(plain))
    assert contents(Path("runs/leaf")) == {}


def network(width: int, channels: int, classes: int) -> bytes:
    """One convolution over an image of 6 x `width`, fed pixels / 255."""
    writer = GraphWriter()
    x = writer.input((1, 6, width, channels), 1 / 255, -128)
    weights = np.ones((classes, 6, width, channels), np.int8)
    out = writer.activation((1, 1, 1, classes), 0.5, 3)
    writer.conv(x, weights, [0.02] * classes, np.zeros(classes, np.int32), out, (1, 1), 1)
    flat = writer.activation((1, classes), 0.5, 3)
    return writer.finish(writer.reshape(out, (1, classes), flat))


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [
        ((9, 3, 2), None, "its input is 6x9; only squares are supported"),
        ((6, 3, 1), None, "has one output, and at least two classes are needed"),
        ((6, 3, 2), "1e300/1", "--input '1e300/1'"),
        ((6, 3, 2), "0/1e-310", "--input '0/1e-310'"),
        ((6, 1, 2), "imagenet", "--input imagenet is for three channels, and .* takes one"),
        ((6, 1, 2), "1/1,2,3", "is for three channels"),
    ],
)
def test_what_is_refused_is_not_written(
    plain: Path, shape: tuple[int, int, int], kind: str | None, message: str
) -> None:
    plain.write_bytes(network(*shape))
    for keep in (True, False):
        with pytest.raises(UserError, match=message):
            load_model(str(plain), kind=kind, keep=keep)
    assert not Path("runs").exists()


def test_fit_refuses_a_contract_of_other_channels(
    plain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain.write_bytes(network(6, 1, 2))
    assert fit_main([str(plain), "--input", "imagenet"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_recorded_command_names_the_model_as_it_is_typed(
    plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_model(str(plain)).typed == "runs/leaf"
    make_run(Path("runs/my leaves"), name="other")
    assert load_model("runs/my leaves").typed == "'runs/my leaves'"
    assert load_model(str(Path("runs/my leaves").absolute())).typed == "'runs/my leaves'"
    second = Path("runs/my leaves/second.tflite")
    second.write_bytes(Path("runs/my leaves/model_int8.tflite").read_bytes())
    assert load_model(str(second)).typed == "'runs/my leaves/second.tflite'"
    assert load_model("small-96").typed == "small-96"
    monkeypatch.setattr(inputs, "MEASURED", plain.parent / "measured")
    assert load_model("small-96", measured=True).typed == "small-96"


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
