"""Write the legalized network with QAT's weights as ONNX: `python -m pytorch_side.export RUN`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from swin2mcu.common.cli import Parser, UserError, run_command
from swin2mcu.common.lock import lock_folder


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("run", type=Path, help="folder with qat.safetensors, e.g. runs/small-96")
    arguments = parser.parse_args(argv)

    def command() -> None:
        if not arguments.run.is_dir():  # its lock would make it
            raise UserError(f"{arguments.run} is no folder: name a training run")
        from pytorch_side.int8.onnx_model import export

        with lock_folder(arguments.run):
            print(export(arguments.run))
        print(f"next: python -m tinyml.convert {shlex.quote(str(arguments.run))}", file=sys.stderr)

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
