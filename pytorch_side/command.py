"""Options that the training commands share, and how they become a config and images."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pytorch_side.config import Config, as_override, load_config, split_rule
from swin2mcu.common.accuracy import Confusion, cautions, largest_share, say_accuracy
from swin2mcu.common.cli import Parser, run_command
from swin2mcu.common.dataset import ImageFolder, import_folder
from swin2mcu.common.paths import data_folder


def add_config(parser: argparse.ArgumentParser) -> None:
    """The options that a config is read from: a file, and settings that differ from it."""
    parser.add_argument("--config", type=Path, help="TOML file of differences from the defaults")
    add_overrides(parser)


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """The option --set: `overrides` of load_config."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="change one setting, such as optimizer.epochs=10",
    )


def training_command(
    description: str | None,
    out: str,
    work: Callable[[Config, ImageFolder, Path], str],
    argv: Sequence[str] | None,
    unlabeled: bool = False,
) -> int:
    """Parse `argv`, do `work(config, images, run folder)`, print the line it returns.

    `description` is the module's docstring, of which --help shows the first line; `out` names the
    default run folder; `unlabeled` adds the option of that name. Returns the exit code.
    """
    parser = Parser(description=(description or "").partition("\n")[0])
    add_config(parser)
    parser.add_argument(
        "--data", type=Path, help="folder of class folders (default: $SWIN2MCU_DATA)"
    )
    parser.add_argument("--out", type=Path, default=Path(out), help=f"run folder (default: {out})")
    if unlabeled:
        parser.add_argument(
            "--unlabeled",
            metavar="FOLDER",
            help="train also on unlabeled photos, with the teacher's outputs",
        )
    arguments = parser.parse_args(argv)

    def command() -> None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        overrides = arguments.overrides
        if unlabeled and arguments.unlabeled:
            more = as_override("distillation.unlabeled", arguments.unlabeled)
            overrides = [*overrides, more]
        config = load_config(arguments.config, overrides)
        line = work(config, images_of(config, data_folder(arguments.data)), arguments.out)
        if os.environ.get("RANK", "0") == "0":  # the first process prints
            print(line)

    return run_command(command)


def images_of(config: Config, data: Path) -> ImageFolder:
    """List the images in `data`, split as the config asks."""
    return import_folder(data, split_rule(config))


def val_summary(confusion: Confusion, classes: Sequence[str]) -> str:
    """A run's last accuracy on val with its standard error, the largest class, and cautions."""
    images = sum(map(sum, confusion))
    top1 = sum(row[i] for i, row in enumerate(confusion)) / images
    said = f"{say_accuracy(top1, images, largest_share(confusion))} on val"
    return "; ".join([said, *cautions(top1, images, confusion, classes, "val")])
