"""Quantization error of each tensor: `python -m pytorch_side.layer_error RUN`.

For each tensor, worst first: the signal-to-quantization-noise ratio in dB, with the errors of all
tensors before it and with the error of its own rounding alone; and the share of its range that
99.8 % of the values use. Writes RUN/layer_error.json and RUN/layer_error.png.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from pytorch_side.command import images_of
from pytorch_side.config import read_saved_config
from pytorch_side.data.loader import to_images
from pytorch_side.int8.fakequant import QuantNet
from pytorch_side.int8.integer_net import IntegerNet
from pytorch_side.qat import load_quantized
from swin2mcu.common.cli import (
    Parser,
    UserError,
    atomic_path,
    plain_console,
    run_command,
    write_atomic,
)
from swin2mcu.common.dataset import load_split_pixels
from swin2mcu.common.paths import data_folder

USED_QUANTILE = 0.001  # share of values ignored at each end when the used range is measured
SAMPLES = 1 << 20  # quantiles are computed from at most this many values of a tensor
DRAWN_DB = 70.0  # upper limit of the plot: exact tensors have 200 dB, far above the others


@torch.no_grad()
def layer_errors(net: QuantNet, images: Tensor) -> list[dict[str, Any]]:
    """One record for each tensor, the lowest SQNR first. `images` are (N, 3, size, size)."""
    exact: dict[str, Tensor] = {}
    IntegerNet(net).run(images, lambda name, centered: exact.setdefault(name, centered))
    records = []

    def visit(name: str, y: Tensor) -> Tensor:
        scale, zero_point = net.parameters_of(name)
        arrived = exact.pop(name).view_as(y) * float(scale)
        low, high = (-128 - int(zero_point)) * scale, (127 - int(zero_point)) * scale
        values = y.flatten()[:: max(1, y.numel() // SAMPLES)]
        first, last = (float(values.quantile(q)) for q in (USED_QUANTILE, 1 - USED_QUANTILE))
        records.append(
            {
                "tensor": name,
                "sqnr_db": sqnr(y, arrived),
                "own_sqnr_db": sqnr(y, net.rounded(name, y)),
                "range_use": float((min(last, high) - max(first, low)) / (high - low)),
                "clipped": float(((y < low - scale / 2) | (y > high + scale / 2)).float().mean()),
            }
        )
        return y

    net.legal.run(images, visit)
    return sorted(records, key=lambda record: float(record["sqnr_db"]))


def sqnr(signal: Tensor, approximation: Tensor) -> float:
    """10·log10(Σ signal² / Σ error²); 200 where there is no error."""
    noise = float((signal - approximation).double().square().sum())
    power = float(signal.double().square().sum())
    return min(200.0, 10 * float(np.log10(max(power, 1e-30) / max(noise, 1e-30))))


def plot(net: QuantNet, records: list[dict[str, Any]], path: Path) -> None:
    """Plot SQNR and range use along the network."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    by_name = {record["tensor"]: record for record in records}
    figure, (noise, use) = pyplot.subplots(
        2, 1, sharex=True, figsize=(max(8, len(net.names) / 6), 6), layout="constrained"
    )
    for key, label in (("own_sqnr_db", "own rounding"), ("sqnr_db", "arriving")):
        drawn = [min(DRAWN_DB, by_name[name][key]) for name in net.names]
        noise.plot(drawn, marker=".", label=label)
    noise.set_ylabel(
        f"signal to quantization noise, dB\n(above {DRAWN_DB:.0f}: drawn at {DRAWN_DB:.0f})"
    )
    noise.legend()
    use.bar(range(len(net.names)), [100 * by_name[name]["range_use"] for name in net.names])
    use.set_ylabel("range used by 99.8 % of values, %")
    use.set_xticks(range(len(net.names)), net.names, rotation=90, fontsize=5)
    for axes in (noise, use):
        axes.grid(alpha=0.3, axis="y")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
    pyplot.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path, help="folder with qat.safetensors")
    parser.add_argument("--data", type=Path, help="folder of class folders ($SWIN2MCU_DATA)")
    parser.add_argument("--images", type=int, default=32, help="val images, spread evenly")
    parser.add_argument("--json", action="store_true", help="print the records instead of a table")
    arguments = parser.parse_args(argv)

    def command() -> None:
        if arguments.images < 1:
            raise UserError("--images must be at least 1")
        data = data_folder(arguments.data)
        net, size, _, _ = load_quantized(arguments.run)
        folder = images_of(read_saved_config(arguments.run / "config.json"), data)
        pixels, *_ = load_split_pixels(folder, "val", size)
        chosen = np.linspace(0, len(pixels) - 1, min(arguments.images, len(pixels))).astype(int)
        records = layer_errors(net, to_images(pixels[chosen]))
        write_atomic(arguments.run / "layer_error.json", json.dumps(records, indent=1) + "\n")
        plot(net, records, arguments.run / "layer_error.png")
        if arguments.json:
            print(json.dumps(records))
        else:
            table = Table("tensor", "SQNR dB", "own dB", "range used", "clipped")
            for r in records:
                table.add_row(
                    r["tensor"], f"{r['sqnr_db']:.1f}", f"{r['own_sqnr_db']:.1f}",
                    f"{r['range_use']:.0%}", f"{r['clipped']:.2%}",
                )  # fmt: skip
            plain_console().print(table)
        print(f"plot: {arguments.run / 'layer_error.png'}", file=sys.stderr)

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
