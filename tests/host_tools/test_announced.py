"""Every command on a data set first says on stderr what it read: photos, classes, splits."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tiny_run import CLASSES, make_images, make_run

from host_tools import bench_pc, serial_eval
from host_tools.inputs import load_model
from host_tools.report import __main__ as report
from pytorch_side import distill, qat, speed, teacher
from pytorch_side.config import Config, save_config
from pytorch_side.distillation import cross_fit, teacher_cache
from pytorch_side.evaluate import __main__ as evaluate
from pytorch_side.evaluate import layer_error
from swin2mcu import backgrounds, calibrate
from swin2mcu.common.dataset import summary
from tinyml.parity import __main__ as parity

Main = Callable[[Sequence[str]], int]

# Most of them end right after, with an error: {run} is not trained, and no teacher is named.
TRAINING = ["--data", "{data}", "--out", "{out}/run", "--set", "teacher.init=none.safetensors"]
TAUGHT = ["--set", "distillation.alpha=0.5"]
CONFIGS = ["--config", "{out}/config.toml", "--student", "{out}/config.toml"]
COMMANDS: dict[str, tuple[Main, list[str]]] = {
    "audit": (evaluate.main, ["audit", "{data}"]),
    "probe": (evaluate.main, ["probe", "{data}"]),
    "resplit": (evaluate.main, ["resplit", "{data}", "--out", "{out}/linked"]),
    "score": (evaluate.main, ["score", "{run}", "--data", "{data}"]),
    "attention": (
        evaluate.main,
        ["attention", "{run}", "--data", "{data}", "--out", "{out}/a.png"],
    ),
    "teacher": (teacher.main, [*TRAINING, *TAUGHT]),
    "distill": (distill.main, [*TRAINING, *TAUGHT]),
    "teacher-cache": (teacher_cache.main, TRAINING),
    "cross-fit": (cross_fit.main, [*CONFIGS, "--data", "{data}", "--out", "{out}/run"]),
    "speed": (speed.main, ["--cached", "--data", "{data}"]),
    "qat": (qat.main, ["{run}", "--data", "{data}"]),
    "layer-error": (layer_error.main, ["{run}", "--data", "{data}"]),
    "parity": (parity.main, ["{run}", "--data", "{data}", "--limit", "1"]),
    "calibrate": (calibrate.main, ["{run}", "--data", "{data}"]),
    "backgrounds": (backgrounds.main, ["{run}", "--data", "{data}"]),
    "bench-pc": (bench_pc.main, ["{run}", "--data", "{data}", "--threads", "1", "--only", "none"]),
    "serial-eval": (
        serial_eval.main,
        ["{run}", "--data", "{data}", "--port", "socket://127.0.0.1:9"],
    ),
    "report": (report.main, ["{run}", "--data", "{data}", "--out", "{out}/r.html"]),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_photos_and_classes_are_said_before_any_result(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, data = make_run(tmp_path / "run"), make_images(tmp_path / "data", per_class=8)
    save_config(Config(), run / "config.json")
    (tmp_path / "config.toml").write_text(
        'teacher.init = "none.safetensors"\n[augment]\nmixup = 0.5'
    )
    target = {"kind": "pc", "cost": {"unit": "ms", "p50": 1.0}}
    sha256 = load_model(str(run)).sha256
    results = {"schema": 1, "name": "tiny", "model_sha256": sha256, "targets": {"pc-x": target}}
    (run / "results.json").write_text(json.dumps(results))
    monkeypatch.setattr(summary, "_said", set())  # each list of images is told once per process
    both, errors = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", both)
    monkeypatch.setattr(sys, "stderr", Twice(both, errors))
    main, arguments = COMMANDS[command]
    main([argument.format(run=run, data=data, out=tmp_path) for argument in arguments])
    told = f"{data}: {8 * len(CLASSES)} photos, {len(CLASSES)} classes"
    assert errors.getvalue().startswith(told), both.getvalue()
    assert both.getvalue().startswith(told), both.getvalue()


class Twice(io.StringIO):
    """A stream that is written into two others."""

    def __init__(self, *streams: io.StringIO) -> None:
        super().__init__()
        self.streams = streams

    def write(self, text: str) -> int:
        for stream in self.streams:
            stream.write(text)
        return len(text)
