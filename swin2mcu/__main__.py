"""The one command: `swin2mcu VERB …` runs the modules that `python -m …` runs, same options."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# The rest is imported where it is used, within run_command: that takes long enough for a Ctrl-C.

# Heading → verb → the module with its `main`, in the order of the chain from photos to a board.
VERBS: dict[str, dict[str, str]] = {
    "photos": {
        "split": "swin2mcu.split",
        "synthetic": "pytorch_side.data.synthetic.__main__",
        "plantvillage": "pytorch_side.data.plantvillage",
    },
    "training": {
        "train": "swin2mcu.train",
        "unseen": "swin2mcu.unseen",
        "teacher": "pytorch_side.teacher",
        "teacher-cache": "pytorch_side.distillation.teacher_cache",
        "ensemble": "pytorch_side.distillation.ensemble",
        "cross-fit": "pytorch_side.distillation.cross_fit",
        "distill": "pytorch_side.distill",
        "qat": "pytorch_side.qat",
        "evaluate": "pytorch_side.evaluate.__main__",
        "layer-error": "pytorch_side.evaluate.layer_error",
        "speed": "pytorch_side.speed",
        "research": "swin2mcu.research.__main__",
        "reproduce": "pytorch_side.reproduce",
    },
    "conversion": {
        "export": "pytorch_side.export",
        "convert": "tinyml.convert.__main__",
        "parity": "tinyml.parity.__main__",
        "calibrate": "swin2mcu.calibrate",
        "backgrounds": "swin2mcu.backgrounds",
        "mistakes": "swin2mcu.mistakes",
        "aot": "tinyml.aot.__main__",
        "emit-c": "tinyml.emit_c",
        "export-library": "swin2mcu.export_library.__main__",
    },
    "board": {
        "fit": "host_tools.fit",
        "flash": "host_tools.flash",
        "serial-eval": "host_tools.serial_eval",
        "check-board": "host_tools.check_board",
        "line-speed": "host_tools.line_speed",
        "bench-mcu": "host_tools.bench_mcu",
    },
    "PC and phone": {
        "bench-pc": "host_tools.bench_pc",
        "bench-phone": "host_tools.bench_phone",
    },
    "answers": {
        "predict": "swin2mcu.predict",
        "report": "host_tools.report.__main__",
        "publish": "host_tools.publish",
    },
}
MODULES = {verb: module for verbs in VERBS.values() for verb, module in verbs.items()}


def purpose(module: str) -> str:
    """The first line of a module's docstring, read from its source: importing takes seconds."""
    from swin2mcu.common.paths import ROOT

    path = ROOT / Path(*module.split(".")).with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].partition(": `")[0].rstrip(".")


def show_verbs() -> None:
    from rich.table import Table

    from swin2mcu.common.cli import plain_console

    console = plain_console()
    console.print("usage: swin2mcu VERB …, and `swin2mcu VERB --help` for one of them\n")
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for heading, verbs in VERBS.items():
        table.add_row(heading, "")
        for verb, module in verbs.items():
            table.add_row(f"  {verb}", purpose(module))
    console.print(table)


def main(argv: Sequence[str] | None = None) -> int:
    try:
        from swin2mcu.common.cli import run_command

        return run_command(lambda: run_verb(list(sys.argv[1:] if argv is None else argv)))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def run_verb(arguments: Sequence[str]) -> int:
    """Raises UserError for a verb that does not exist."""
    from swin2mcu.common.cli import UserError

    if not arguments or arguments[0] in ("-h", "--help"):
        show_verbs()
        return 0
    verb, *rest = arguments
    if verb not in MODULES:
        raise UserError(f"there is no verb {verb!r} (see swin2mcu --help)")
    sys.argv[0] = f"swin2mcu {verb}"  # argparse shows it as the program's name
    command: Callable[[Sequence[str]], int] = importlib.import_module(MODULES[verb]).main
    return command(rest)


if __name__ == "__main__":
    raise SystemExit(main())
