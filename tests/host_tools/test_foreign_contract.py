"""A model that is fed otherwise than ours: each command answers with its own input contract.

The expected logits are TensorFlow Lite Micro's, of inputs that are prepared here by the formula of
`swin2mcu.common.input_contract`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tiny_run import make_images

from host_tools import bench_pc, bench_phone, flash, serial_eval
from host_tools.boards import emulator
from host_tools.boards.table import get_board
from host_tools.inputs import load_model
from host_tools.pc.backend import Backend
from host_tools.pc.runner import Runner
from host_tools.report import __main__ as report
from swin2mcu import calibrate, predict
from swin2mcu.common.card import Card, save_card
from swin2mcu.common.pixels import load_pixels
from tinyml.format.writer import UINT8, GraphWriter
from tinyml.runtimes.tflite_micro import Micro

SIZE, CLASSES = 32, ("a", "b", "c")
SCALE, ZERO_POINT = float(np.float32(1 / 160)), -90  # a range that no photo fills
OUT_SCALE = 0.5
MODELS = {"p/255": (3, False), "gray": (1, False), "uint8": (3, True)}
PC = ("pc-litert-int8", "pc-tflm-int8", "pc-aot-int8")

Pixels = npt.NDArray[np.uint8]
Capture = pytest.CaptureFixture[str]


def network(channels: int, unsigned: bool) -> bytes:
    """Features of 2x2 and a convolution over them; its three logits differ from photo to photo."""
    noise, writer = np.random.default_rng(2), GraphWriter()
    shape = (1, SIZE, SIZE, channels)
    if unsigned:
        first = writer.tensor(shape, [SCALE], [ZERO_POINT + 128], UINT8)
        writer.graph.inputs = [first]
        x = writer.pointwise("QUANTIZE", first, writer.activation(shape, SCALE, ZERO_POINT))
    else:
        x = writer.input(shape, SCALE, ZERO_POINT)
    for kernel, deep, scale, to in ((16, 8, 0.004, 0.05), (2, len(CLASSES), 0.02, OUT_SCALE)):
        side = 2 if kernel == 16 else 1
        weights = noise.integers(-127, 128, (deep, kernel, kernel, channels)).astype(np.int8)
        scales = [scale * (1 + i / 10) for i in range(deep)]
        out = writer.activation((1, side, side, deep), to, 0)
        x = writer.conv(
            x, weights, scales, np.zeros(deep, np.int32), out, (kernel, kernel), padding=1
        )
        channels = deep
    logits = writer.activation((1, len(CLASSES)), OUT_SCALE, 0)
    x = writer.reshape(x, (1, len(CLASSES)), logits)
    if unsigned:
        last = writer.tensor((1, len(CLASSES)), [OUT_SCALE], [128], UINT8)
        x = writer.pointwise("QUANTIZE", x, last)
    return writer.finish(x)


@pytest.fixture(params=MODELS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make_run(tmp_path / "leaf", *MODELS[request.param])


def make_run(folder: Path, channels: int, unsigned: bool) -> Path:
    folder.mkdir()
    model = network(channels, unsigned)
    (folder / "model_int8.tflite").write_bytes(model)
    card = Card(
        "leaf",
        "unknown",
        CLASSES,
        (SIZE, SIZE, channels),
        input_mean=(0.0,),
        input_std=(255.0,),
        input_scale=SCALE,
        input_zero_point=ZERO_POINT,
        sha256=hashlib.sha256(model).hexdigest(),
    )
    save_card(card, folder / "card.json")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Noise of many hues; a third each is of the splits train, val and test."""
    folder = make_images(tmp_path / "data", per_class=24, classes=CLASSES)
    noise, lines = np.random.default_rng(4), ["file,class,source,split"]
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        spots = noise.integers(0, 256, (3, 3, 3), dtype=np.uint8)
        Image.fromarray(spots).resize((SIZE, SIZE), Image.Resampling.NEAREST).save(path)
        split = ("train", "val", "test")[number % 3]
        lines.append(f"{path.relative_to(folder)},{path.parent.name},,{split}")
    (folder / "split.csv").write_text("\n".join(lines) + "\n")
    return folder


def split_of(data: Path, split: str) -> list[Path]:
    rows = [line.split(",") for line in (data / "split.csv").read_text().splitlines()[1:]]
    return [data / row[0] for row in rows if row[3] == split]


def expected(run: Path, path: Path) -> list[int]:
    """The logits of a photo by TensorFlow Lite Micro, from an input prepared here."""
    pixels = load_pixels(path, SIZE, SIZE).astype(np.float64)
    if load_model(str(run)).card.input_shape[2] == 1:
        pixels = np.asarray(Image.open(path).convert("L"), np.float64)[..., None]
    stored = np.round(pixels / 255 / SCALE) + ZERO_POINT
    model = (run / "model_int8.tflite").read_bytes()
    return Micro(model).run(stored.clip(-128, 127).astype(np.int8)).tolist()


def confusion(run: Path, photos: list[Path]) -> list[list[int]]:
    table = np.zeros((len(CLASSES),) * 2, int)
    for path in photos:
        table[CLASSES.index(path.parent.name), int(np.argmax(expected(run, path)))] += 1
    return [[int(n) for n in row] for row in table]


def test_bench_pc(run: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(bench_pc, "measure_in_fresh_process", lambda *_: {})
    loaded: dict[str, Runner] = {}
    load = bench_pc._load

    def watched(backends: list[Backend]) -> Any:
        found = load(backends)
        loaded.update({backend.target: runner for backend, runner in found[0].items()})
        return found

    monkeypatch.setattr(bench_pc, "_load", watched)
    arguments = [str(run), "--data", str(data), "--threads", "1", "--runs", "1", "--json"]
    assert bench_pc.main([*arguments, "--only", "litert", "tflm", "aot"]) == 0
    shown = capsys.readouterr()
    targets = json.loads(shown.out)
    assert set(PC) <= set(targets)
    photos = split_of(data, "test")
    for name in PC:
        assert targets[name]["accuracy"]["confusion"] == confusion(run, photos), name
        assert targets[name]["parity"] is None or targets[name]["parity"]["identical"] == 24
        for path in photos[:8]:
            runner = loaded[name]
            logits = runner.run(runner.prepare(load_pixels(path, SIZE, SIZE)))
            assert logits.tolist() == expected(run, path), name
    if load_model(str(run)).int8.read_bytes() == network(3, True):
        assert f"left out: pc-litert-float32: {run / 'model_int8.tflite'} has no" in shown.err


def test_predict(run: Path, data: Path, capsys: Capture) -> None:
    photos = split_of(data, "test")
    assert predict.main([str(run), "--json", *map(str, photos)]) == 0
    answers = [json.loads(line)["logits"] for line in capsys.readouterr().out.splitlines()]
    assert answers == [expected(run, path) for path in photos]


def test_calibrate(run: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    fitted_on: list[Any] = []
    fit = calibrate.fit

    def watched(logits: Any, *rest: Any) -> Any:
        fitted_on.append(logits)
        return fit(logits, *rest)

    monkeypatch.setattr(calibrate, "fit", watched)
    assert calibrate.main([str(run), "--data", str(data)]) == 0, capsys.readouterr().err
    real = np.array([expected(run, path) for path in split_of(data, "val")]) * OUT_SCALE
    np.testing.assert_allclose(fitted_on[0], real, rtol=1e-6)


def test_the_report_shows_the_worst_mistakes(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    drawn: list[Any] = []
    worst_mistakes = report.worst_mistakes

    def watched(*given: Any) -> Any:
        drawn.extend(worst_mistakes(*given))
        return drawn

    monkeypatch.setattr(report, "worst_mistakes", watched)
    target = {"kind": "pc", "cost": {"unit": "ms", "p50": 1.0}}
    sha256 = load_model(str(run)).sha256
    results = {"schema": 1, "name": "leaf", "model_sha256": sha256, "targets": {"pc-x": target}}
    (run / "results.json").write_text(json.dumps(results))
    out = tmp_path / "report.html"
    assert report.main([str(run), "--data", str(data), "--out", str(out)]) == 0
    assert "no pictures" not in capsys.readouterr().err
    margins = []
    for path in split_of(data, "test"):
        logits, label = np.array(expected(run, path)), CLASSES.index(path.parent.name)
        answer = int(logits.argmax())
        if answer != label:
            margins.append((float(logits[answer] - logits[label]) * OUT_SCALE, path.parent.name))
    margins.sort(key=lambda mistake: -mistake[0])
    assert [(one.margin, one.truth) for one in drawn] == [
        (pytest.approx(margin), truth) for margin, truth in margins[:12]
    ]


def test_bench_phone_refuses_it(run: Path, capsys: Capture) -> None:
    assert bench_phone.main([str(run)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{run / 'model_int8.tflite'} is not fed" in said


def test_a_board_answers_a_gray_model(data: Path, tmp_path: Path, capsys: Capture) -> None:
    run, state = make_run(tmp_path / "leaf", *MODELS["gray"]), tmp_path / "state"
    board = get_board("host")
    firmware = flash.build(load_model(str(run)), board, "aot")
    emulated = emulator.start(board, firmware.elf, state)
    try:
        arguments = [str(run), "--data", str(data), "--port", emulated.url, "--json"]
        assert serial_eval.main(arguments) == 0, capsys.readouterr().err
    finally:
        emulator.stop("host", state)
    record = json.loads(capsys.readouterr().out)["host-aot"]
    assert record["parity"]["identical"] == record["parity"]["images"] == 24
    assert record["accuracy"]["confusion"] == confusion(run, split_of(data, "test"))
