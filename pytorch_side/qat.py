"""Fine-tune a finished student as int8 (QAT): `python -m pytorch_side.qat runs/NAME`.

Starts from the run's student.safetensors, measures ranges (PTQ, `--epochs 0`), then fine-tunes for
a short time at a low learning rate in the board's exact integers (QAT). Both are scored in these
integers too, so the printed accuracy is that of a board. Writes into the run folder

    qat.safetensors   legalized weights and ranges
    ranges.json       every activation's range, scale and zero point; every weight's scales
    qat/              log.csv, config.json, checkpoint.pt, from which a killed run resumes
    card.json         accuracy of float, PTQ and QAT on val
"""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from pytorch_side.command import images_of
from pytorch_side.config import read_saved_config
from pytorch_side.int8.qat_settings import QatSettings
from swin2mcu.common.accuracy import cautions, largest_share, qat_caution, say_accuracy
from swin2mcu.common.cli import Parser, run_command
from swin2mcu.common.lock import lock_folder
from swin2mcu.common.paths import data_folder


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path, help="folder with student.safetensors")
    parser.add_argument(
        "--epochs", type=int, default=QatSettings.epochs, help="of fine-tuning; 0: PTQ"
    )
    parser.add_argument(
        "--learning-rate",
        type=float,
        default=QatSettings.learning_rate,
        help=f"default: {QatSettings.learning_rate:g}",
    )
    parser.add_argument(
        "--images",
        type=int,
        help="training images per epoch; 0: all (default: the run's int8.qat_images)",
    )
    parser.add_argument(
        "--float-epochs",
        type=int,
        default=QatSettings.float_epochs,
        help="number of first epochs that simulate int8 in float: twice as fast, less exact",
    )
    parser.add_argument(
        "--follow-epochs",
        type=int,
        default=QatSettings.follow_epochs,
        help="number of first float epochs that update the ranges",
    )
    parser.add_argument("--data", type=Path, help="folder of class folders ($SWIN2MCU_DATA)")
    arguments = parser.parse_args(argv)

    def command() -> None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        line = shlex.join(["python", "-m", "pytorch_side.qat", *(argv or sys.argv[1:])])
        settings = QatSettings(
            arguments.epochs,
            arguments.learning_rate,
            arguments.float_epochs,
            arguments.follow_epochs,
            arguments.images,
        )
        settings.check()
        saved = read_saved_config(arguments.run / "config.json")
        folder = images_of(saved, data_folder(arguments.data))
        from pytorch_side.int8.fine_tune import quantize

        with lock_folder(arguments.run):
            card, confusion = quantize(arguments.run, folder, settings, line)
        for stage in ("float", "ptq", "qat"):
            if stage in card.accuracy:
                one = card.accuracy[stage]
                said = say_accuracy(one["top1"], one["images"], largest_share(confusion))
                print(f"{stage}: {said}, val")
        last = card.accuracy["qat" if settings.epochs else "ptq"]
        warned = cautions(last["top1"], last["images"], confusion, card.classes, "val")
        for caution in (*warned, *qat_caution(card.accuracy)):
            print(f"warning: {caution}")

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
