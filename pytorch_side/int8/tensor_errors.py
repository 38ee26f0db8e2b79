"""The quantization error of each tensor of a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pytorch_side.int8.fakequant import QuantNet
from pytorch_side.int8.integer_net import IntegerNet
from swin2mcu.common.cli import atomic_path

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
