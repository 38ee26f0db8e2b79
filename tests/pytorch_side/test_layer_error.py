"""The error report finds the tensor that was given a bad range."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pytorch_side.config import Config, save_config
from pytorch_side.evaluate.layer_error import main
from pytorch_side.int8.fakequant import QuantNet
from pytorch_side.int8.legalize import legalize
from pytorch_side.int8.tensor_errors import DRAWN_DB, layer_errors, plot, sqnr
from pytorch_side.nets.models import timm_package
from pytorch_side.nets.weights import save_weights
from swin2mcu.common.dataset import folder as folder_module
from swin2mcu.common.pixels import load_pixels


def test_sqnr_of_known_noise() -> None:
    signal = torch.full((1000,), 3.0)
    assert sqnr(signal, signal + 0.03) == pytest.approx(40.0, abs=0.01)
    assert sqnr(signal, signal) == 200.0


def test_the_command_looks_at_the_split_of_the_run(
    tmp_path: Path,
    make_folder: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[Path] = []

    def load(path: Path, *options: Any) -> Any:
        read.append(path)
        return load_pixels(path, *options)

    monkeypatch.setattr(folder_module, "load_pixels", load)
    torch.manual_seed(0)
    model = timm_package().create_model("tf_mobilenetv3_small_100", num_classes=3)
    net = QuantNet(legalize(model.eval()))
    net.calibrate([torch.randint(-128, 128, (4, 3, 48, 48)) / 128])
    metadata = {"student": "tf_mobilenetv3_small_100", "size": 48, "classes": ["a", "b", "c"]}
    save_weights(net, tmp_path / "qat.safetensors", metadata)
    arguments = [str(tmp_path), "--data", str(make_folder()), "--images", "2"]
    save_config(Config(), tmp_path / "config.json")
    assert main(arguments) == 0
    assert len({path.parent for path in read}) == len(read) == 2  # no more, of different classes
    rows = [line.split("│") for line in capsys.readouterr().out.splitlines() if "│" in line]
    printed = [float(row[2]) for row in rows]
    assert len(printed) == len(net.names) and printed == sorted(printed)  # worst first
    (tmp_path / "config.json").write_text('{"data": {"split": "lucky"}}')
    assert main(arguments) == 2
    assert "'lucky'" in capsys.readouterr().err


def test_exact_tensors_do_not_flatten_the_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib import pyplot

    model = timm_package().create_model("tf_mobilenetv3_small_100", num_classes=3)
    net = QuantNet(legalize(model.eval()))
    records = [
        {"tensor": name, "sqnr_db": 30.0, "own_sqnr_db": 40.0, "range_use": 0.5}
        for name in net.names
    ]
    records[0] |= {"sqnr_db": 200.0, "own_sqnr_db": 200.0}
    monkeypatch.setattr(pyplot, "close", lambda figure: None)
    plot(net, records, tmp_path / "plot.png")
    axes = pyplot.gcf().axes[0]
    monkeypatch.undo()
    pyplot.close("all")
    assert axes.get_ylim()[1] < 80
    assert axes.lines[1].get_ydata()[0] == DRAWN_DB and axes.lines[1].get_ydata()[1] == 30
    assert "above 70" in axes.get_ylabel()


def test_a_bad_range_is_found_where_it_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = timm_package().create_model("tf_mobilenetv3_small_100", num_classes=3)
    net = QuantNet(legalize(model.eval()))
    images = torch.randint(-128, 128, (4, 3, 48, 48)) / 128
    net.calibrate([images])
    name = "blocks_2_1_conv_dw_act"
    healthy = {r["tensor"]: r for r in layer_errors(net, images)}
    assert set(healthy) == set(net.names)
    net.high[net.index[name]] *= 50  # two per cent of the codes are left for the values
    records = layer_errors(net, images)
    assert [r["sqnr_db"] for r in records] == sorted(r["sqnr_db"] for r in records)
    wide = {r["tensor"]: r for r in records}
    assert wide[name]["own_sqnr_db"] < healthy[name]["own_sqnr_db"] - 20
    assert wide[name]["range_use"] < 0.1 < healthy[name]["range_use"]
    worst_fall = max(net.names, key=lambda n: healthy[n]["own_sqnr_db"] - wide[n]["own_sqnr_db"])
    assert worst_fall == name
    net.high[net.index[name]] /= 500
    assert {r["tensor"]: r for r in layer_errors(net, images)}[name]["clipped"] > 0.01
    plot(net, records, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000
