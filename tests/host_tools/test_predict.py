"""What the commands that answer people say: predict and calibrate, on the PC and on a board."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from running_board import RunningBoard
from tiny_run import CLASSES, make_images, make_run

from swin2mcu.calibrate import fit, names_of, threshold_for
from swin2mcu.calibrate import main as calibrate
from swin2mcu.common import pixels
from swin2mcu.common.answer import evidence
from swin2mcu.common.card import Calibration, Card, load_card, save_card
from swin2mcu.common.cli import UserError
from swin2mcu.predict import main as predict
from tinyml.format.facts import count_macs
from tinyml.format.tflite import read
from tinyml.runtimes import pc


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = make_run(tmp_path / "tiny")
    card = replace(
        load_card(folder / "card.json"), output_scale=float(np.float32(0.1)), output_zero_point=3
    )
    save_card(card, folder / "card.json")
    return folder


def set_threshold(run: Path, threshold: float) -> None:
    card = load_card(run / "card.json")
    save_card(replace(card, calibration=Calibration(1.0, threshold, 0.9, 9)), run / "card.json")


def test_photos_folders_and_standard_input_are_answered(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_images(tmp_path / "images", 1, ("x", "y"))
    stream = io.BytesIO()
    Image.open(data / "x/0.png").convert("RGB").save(stream, "JPEG")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stream.getvalue())))
    assert predict([str(run), str(data), str(data / "x/0.png"), "-"]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        str(data / "x/0.png"),
        str(data / "y/0.png"),
        str(data / "x/0.png"),
        "standard input",
    ]
    assert lines[0].split("; ")[0] == lines[2].split("; ")[0]
    assert all(line.endswith(" ms") and line.count("%") == 3 for line in lines)
    assert "not calibrated" in shown.err and "tiny on this PC (TensorFlow" in shown.err


def refuse(model: bytes) -> None:
    raise UserError("it refuses")


def test_many_photos_are_answered_by_compiled_c_with_the_same_bytes(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_images(tmp_path / "images", 2, ("x", "y"))
    assert predict([str(run), str(data), "--json"]) == 0
    few = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    pays = 4 * count_macs(read(run / "model_int8.tflite"))
    with monkeypatch.context() as patch:
        patch.setattr(pc, "COMPILING_PAYS", pays)
        assert predict([str(run), str(data), "--json"]) == 0
    many = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["logits"] for one in many] == [one["logits"] for one in few]
    engines = {one["cost"]["where"] for one in few}, {one["cost"]["where"] for one in many}
    assert engines == ({"this PC (TensorFlow Lite Micro)"}, {"this PC (generated C)"})
    with monkeypatch.context() as patch:
        patch.setattr(pc, "Micro", refuse)
        assert predict([str(run), str(data)]) == 0
        assert "generated C" in capsys.readouterr().err
        patch.setattr(pc, "c_compiler", lambda: None)
        assert predict([str(run), str(data)]) == 2
        assert "it refuses" in capsys.readouterr().err.splitlines()[-1]
    monkeypatch.setattr(pc, "c_compiler", lambda: None)
    assert predict([str(run), str(data)]) == 0
    assert "TensorFlow Lite Micro" in capsys.readouterr().err
    monkeypatch.setattr(pc, "is_installed", lambda: False)
    assert predict([str(run), str(data)]) == 2
    assert "neither a C compiler nor" in capsys.readouterr().err.splitlines()[-1]


def test_not_sure_is_the_cards_threshold(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_images(tmp_path / "images", 1, ("x", "y"))
    answers = {}
    for threshold in (-1000.0, 700.0):
        set_threshold(run, threshold)
        assert predict([str(run), str(data), "--json"]) == 0
        shown = capsys.readouterr()
        assert "not calibrated" not in shown.err
        answers[threshold] = [json.loads(line) for line in shown.out.splitlines()]
    assert [one["sure"] for one in answers[-1000.0]] == [True, True]
    assert [one["sure"] for one in answers[700.0]] == [False, False]
    one = answers[700.0][0]
    assert one["cost"]["unit"] == "ms" and len(one["logits"]) == len(CLASSES)
    assert one["classes"][0]["class"] == CLASSES[int(np.argmax(one["logits"]))]
    assert predict([str(run), str(data)]) == 0
    assert ": not sure (kind " in capsys.readouterr().out


def test_a_photo_that_cannot_be_read_is_one_line_and_the_others_are_answered(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_images(tmp_path / "images", 1, ("x", "y"))
    (data / "x/0.png").write_bytes(b"no photo")
    assert predict([str(run), str(data)]) == 2
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 1 and "y/0.png" in shown.out
    assert shown.err.count("error: cannot read image") == 1 and "Traceback" not in shown.err
    assert predict([str(run), str(tmp_path / "gone.jpg")]) == 2
    assert "gone.jpg" in capsys.readouterr().err
    (tmp_path / "none").mkdir()
    assert predict([str(run), str(tmp_path / "none")]) == 2
    assert "holds no image" in capsys.readouterr().err


def test_what_a_folder_has_beside_photos_is_told(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A phone's HEIC files, without the plugin that reads them."""
    monkeypatch.setattr(pixels, "formats", lambda: ("JPEG", "PNG"))
    data = make_images(tmp_path / "images", 4)
    (data / "split.csv").write_text((data / "split.csv").read_text().replace(",test", ",val"))
    phone = make_images(tmp_path / "phone", 1, ("x",))
    for number in range(3):
        (phone / f"{number}.heic").write_bytes(b"heic")
    install = f"3 x .heic photo (pip install {pixels.HEIC_PLUGIN} reads them)"
    told = f"{phone}: passed over: {install}, … (0.heic first)"
    assert predict([str(run), str(phone)]) == 0
    shown = capsys.readouterr()
    assert told in shown.err.splitlines() and len(shown.out.splitlines()) == 1
    (phone / "split.csv").unlink()
    (phone / "x/0.png").unlink()
    (phone / "x").rmdir()
    for command in (
        lambda: predict([str(run), str(phone)]),
        lambda: calibrate([str(run), "--data", str(data), "--unknown", str(phone)]),
    ):
        assert command() == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith(f"error: {phone} holds no image") and install in last


def test_a_board_answers_as_the_pc_does(
    board: RunningBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = str(next(board.data.glob("*/*.png")))
    assert predict([str(board.run), photo, "--port", board.port, "--json"]) == 0
    there = json.loads(capsys.readouterr().out)
    assert predict([str(board.run), photo, "--json"]) == 0
    here = json.loads(capsys.readouterr().out)
    assert there["logits"] == here["logits"] and there["classes"] == here["classes"]
    assert there["cost"]["where"].startswith("host ") and there["cost"]["value"] > 0


def test_a_board_that_does_not_run_is_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = str(next(make_images(tmp_path / "images", 1).glob("*/*.png")))
    assert predict([str(run), photo, "--board", "nano"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert predict([str(run), photo, "--board", "qemu-m4"]) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ") and line.count("\n") == 1 and "qemu-m4" in line


def test_coverage_and_unknowns_choose_the_threshold() -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 4, 400)
    logits = draw.normal(0, 1, (400, 4))
    logits[np.arange(400), labels] += draw.uniform(1, 8, 400)
    fitted = fit(logits, labels, 0.9, None, 0)
    found = evidence(logits, fitted.temperature)
    assert (found >= fitted.threshold).sum() == 360 and fitted.coverage == 0.9
    unknown = draw.normal(0, 1, (50, 4))
    by_unknown = fit(logits, labels, 0.9, unknown, 0.1)
    answered = (evidence(unknown, fitted.temperature) >= by_unknown.threshold).sum()
    assert answered == 5
    both = np.concatenate([found, evidence(unknown, by_unknown.temperature)])
    for near, threshold in ((found, fitted.threshold), (both, by_unknown.threshold)):
        # A board adds in another order: no photo may lie at the threshold itself.
        above, below = near[near >= threshold].min(), near[near < threshold].max()
        assert threshold == pytest.approx((above + below) / 2, rel=1e-12)
    assert by_unknown.coverage == pytest.approx((found >= by_unknown.threshold).mean(), abs=1e-5)
    assert threshold_for(np.array([1.0, 2.0, 3.0]), 0.5) == 1.5
    assert 1 - 1e-5 < threshold_for(np.array([1.0, 2.0, 3.0]), 1.0) < 1
    assert fit(logits, labels, 0.9, unknown + 50, 0).coverage == 0


def test_unknown_photos_of_two_folders_with_one_name_are_told_apart(tmp_path: Path) -> None:
    farms, roads = tmp_path / "farms" / "other", tmp_path / "roads" / "other"
    assert names_of([[farms], [roads]]) == [str(farms), str(roads)]
    assert names_of([[farms], [roads.with_name("cars")]]) == ["other", "cars"]
    several = [farms / "a_1.jpg", farms / "a_2.jpg"]
    assert names_of([several]) == ["a*"]
    assert len(set(names_of([several, [roads / "a_1.jpg", roads / "a_2.jpg"]]))) == 2


def test_the_calibrate_command_writes_the_card_and_logs_a_look_at_test(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_images(tmp_path / "images", 12)
    table = (data / "split.csv").read_text().replace(",test", ",val")
    lines = [one.replace(",val", ",test") if "/1." in one else one for one in table.splitlines()]
    (data / "split.csv").write_text("\n".join(lines))
    others = make_images(tmp_path / "others", 2, ("x", "y"), seed=5)
    command = [str(run), "--data", str(data), "--unknown", str(others), "--coverage", "0.8"]
    assert calibrate([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    fitted = load_card(run / "card.json").calibration
    assert fitted is not None and fitted.images == 50 and fitted.coverage == 0.8
    assert report["unknown"]["others"]["photos"] == 4 and "test" not in report
    assert not report["unknown"]["others"]["chose_threshold"]
    assert not (run / "test_access.jsonl").exists()
    assert calibrate([*command, "--test"]) == 0
    shown = capsys.readouterr().out
    assert "test: " in shown and "chose the threshold" not in shown
    assert "as sure where it is wrong" in shown, "of a network that was not trained"
    assert calibrate([*command, "--unknown-answered", "0.1"]) == 0
    assert "  others: 4 of 4 not sure (these chose the threshold); " in capsys.readouterr().out
    assert len((run / "test_access.jsonl").read_text().splitlines()) == 1
    for more, words in (
        (["--coverage", "0"], "--coverage must"),
        (["--unknown-answered", "1"], "--unknown-answered must"),
    ):
        assert calibrate([*command, *more]) == 2
        assert words in capsys.readouterr().err
    assert calibrate([str(run), "--data", str(data), "--unknown-answered", "0.1"]) == 2
    assert "needs --unknown" in capsys.readouterr().err


def test_a_small_val_is_refused_before_the_model_runs(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One unreadable photo of twenty is left out, as in training, and is no reason to refuse."""
    data = make_images(tmp_path / "images", 4)
    table = (data / "split.csv").read_text()
    (data / "split.csv").write_text(table.replace(",test", ",val"))
    (data / CLASSES[0] / "1.png").write_bytes(b"no photo")
    assert calibrate([str(run), "--data", str(data)]) == 0
    few = [line for line in table.splitlines() if "/3." not in line]
    (data / "split.csv").write_text("\n".join(few).replace(",test", ",val"))
    assert calibrate([str(run), "--data", str(data)]) == 2
    assert capsys.readouterr().err.endswith("error: val has 10 photos, at least 20 are needed\n")


def test_a_model_with_a_softmax_is_not_sent_to_calibrate(
    run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_images(tmp_path / "images", 1, ("x", "y"))
    monkeypatch.setattr(Card, "gives_probabilities", property(lambda card: True))
    assert predict([str(run), str(data)]) == 0
    said = capsys.readouterr().err
    assert "export it without one to calibrate it" in said and "swin2mcu calibrate" not in said
