"""Quantization error of each tensor: `python -m pytorch_side.evaluate.layer_error RUN`.

For each tensor, worst first: the signal-to-quantization-noise ratio in dB, with the errors of all
tensors before it and with the error of its own rounding alone; and the share of its range that
99.8 % of the values use. Writes RUN/layer_error.json and RUN/layer_error.png.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pytorch_side.command import images_of
from pytorch_side.config import read_saved_config
from swin2mcu.common.cli import Parser, UserError, plain_console, run_command, write_atomic
from swin2mcu.common.dataset import load_split_pixels
from swin2mcu.common.paths import data_folder


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
        folder = images_of(read_saved_config(arguments.run / "config.json"), data)
        from rich.table import Table

        from pytorch_side.data.loader import to_images
        from pytorch_side.int8.fine_tune import load_quantized
        from pytorch_side.int8.tensor_errors import layer_errors, plot

        net, size, _, _ = load_quantized(arguments.run)
        pixels, *_ = load_split_pixels(folder, "val", size, arguments.images)
        records = layer_errors(net, to_images(pixels))
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
