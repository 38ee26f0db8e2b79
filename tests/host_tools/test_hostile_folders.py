"""Every command over folders that hold anything: it works, or says one line; nothing is lost."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
import torch
from hostile import FILES, NAMES, photo
from tiny_run import CLASSES, make_images, make_run

from host_tools import bench_pc, fit, flash, serial_eval
from host_tools.report import __main__ as report
from pytorch_side import distill
from pytorch_side.evaluate import __main__ as evaluate
from swin2mcu import calibrate, predict
from swin2mcu.export_library import __main__ as export_library

PATIENCE_S = 60
Capture = pytest.CaptureFixture[str]
Main = Callable[[Sequence[str]], int]

BENCH = ["--limit", "2", "--runs", "1", "--only", "pc-litert-int8"]
# Commands on {run} and {data}; results go below {out}.
ON_DATA: dict[str, tuple[Main, list[str]]] = {
    "audit": (evaluate.main, ["audit", "{data}"]),
    "bench-pc": (bench_pc.main, ["{run}", "--data", "{data}", *BENCH]),
    "predict": (predict.main, ["{run}", "{data}"]),
    "calibrate": (calibrate.main, ["{run}", "--data", "{data}"]),
    "distill": (
        distill.main,
        ["--config", "{out}/tiny.toml", "--data", "{data}", "--out", "{out}/x"],
    ),
}
SERIAL_EVAL = ["{run}", "--data", "{data}", "--port", "socket://127.0.0.1:9"]
ON_MODEL: dict[str, tuple[Main, list[str]]] = {
    "bench-pc": ON_DATA["bench-pc"],
    "predict": ON_DATA["predict"],
    "calibrate": ON_DATA["calibrate"],
    "fit": (fit.main, ["{run}", "--board", "qemu-m7"]),
    "flash": (flash.main, ["{run}", "--board", "host"]),
    "serial-eval": (serial_eval.main, SERIAL_EVAL),
    "export": (export_library.main, ["{run}", "--as", "cmake", "--out", "{out}/library"]),
}
ON_RESULTS: dict[str, tuple[Main, list[str]]] = {
    "report": (report.main, ["{run}", "--out", "{out}/report.html"]),
    "bench-pc": ON_DATA["bench-pc"],
}
ON_FILE = {
    "model_int8.tflite": ON_MODEL,
    "card.json": ON_MODEL,
    "results.json": ON_RESULTS,
    "config.json": {"score": (evaluate.main, ["score", "{run}", "--data", "{data}"])},
}
NEEDED = ("model_int8.tflite", "card.json")  # no command does its work without them
TINY = """student = { name = "tf_mobilenetv3_small_minimal_100", size = 32 }
optimizer = { epochs = 1, batch = 16 }
"""


@contextmanager
def patience(seconds: int) -> Iterator[None]:
    """A command that waits for a pipe would wait for ever."""

    def late(_: int, __: FrameType | None) -> None:
        raise AssertionError(f"it still runs after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def check(
    command: tuple[Main, list[str]],
    run: Path,
    data: Path,
    out: Path,
    capsys: Capture,
) -> int:
    main, arguments = command
    out.mkdir(exist_ok=True)
    (out / "tiny.toml").write_text(TINY)
    capsys.readouterr()
    with patience(PATIENCE_S):
        try:
            code = main([argument.format(run=run, data=data, out=out) for argument in arguments])
        except SystemExit as ended:  # argparse's
            code = ended.code  # type: ignore[assignment]
    said = capsys.readouterr().err
    errors = [line for line in said.split("\n") if line.startswith("error: ")]
    most = len(FILES) if main is predict.main else 1  # it goes on after a photo it cannot read
    assert (code == 0 and not errors) or (code == 2 and 1 <= len(errors) <= most), said
    assert not errors or said.endswith(errors[-1] + "\n"), said
    assert all(error.isprintable() for error in errors), said
    assert "Traceback" not in said
    for folder in (run, data, out):
        parts = [path.name for path in folder.iterdir() if path.name.startswith(".")]
        assert all(name.endswith(".lock") for name in parts), parts
    return int(code)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Two wait for each other on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = make_images(tmp_path / "data", per_class=8, classes=CLASSES)
    (folder / "split.csv").unlink()
    return folder


@pytest.mark.parametrize("command", ["audit", pytest.param("bench-pc", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", FILES)
def test_a_photo_that_is_none(
    run: Path, data: Path, tmp_path: Path, capsys: Capture, kind: str, command: str
) -> None:
    FILES[kind](data / CLASSES[0] / "odd.jpg")
    check(ON_DATA[command], run, data, tmp_path / "out", capsys)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(name, marks=pytest.mark.slow if name in ("predict", "calibrate") else ())
        for name in ON_DATA
    ],
)
def test_photos_of_odd_names_and_photos_that_are_none(
    run: Path, data: Path, tmp_path: Path, capsys: Capture, command: str
) -> None:
    for number, name in enumerate(NAMES.values()):
        (data / CLASSES[number] / os.fsdecode(name)).write_bytes(photo(number))
    check(ON_DATA[command], run, data, tmp_path / "out", capsys)
    for kind in FILES:
        FILES[kind](data / CLASSES[0] / f"odd {kind}.jpg")
    check(ON_DATA[command], run, data, tmp_path / "out", capsys)


@pytest.mark.parametrize(("file", "command"), [(f, c) for f in ON_FILE for c in ON_FILE[f]])
def test_a_file_of_a_run_that_is_none(
    run: Path, data: Path, tmp_path: Path, capsys: Capture, file: str, command: str
) -> None:
    path = run / file
    for kind in FILES:
        path.unlink(missing_ok=True)
        FILES[kind](path)
        code = check(ON_FILE[file][command], run, data, tmp_path / "out", capsys)
        assert code == 2 or file not in NEEDED, kind
        if path.is_dir():
            path.rmdir()


def test_ten_thousand_targets_are_refused_at_once(
    run: Path, tmp_path: Path, capsys: Capture
) -> None:
    card = json.loads((run / "card.json").read_text())
    target = {"kind": "pc", "cost": {"unit": "ms", "p50": 1.0}}
    results = {
        "schema": 1,
        "name": card["name"],
        "model_sha256": card["sha256"],
        "targets": {f"pc-{number}": target for number in range(10_000)},
    }
    (run / "results.json").write_text(json.dumps(results))
    with patience(20):
        assert report.main([str(run), "--out", str(tmp_path / "r.html")]) == 2
    assert "10,000 targets" in capsys.readouterr().err
