"""Compile an int8 .tflite ahead of time to C: `python -m tinyml.aot MODEL.tflite --out DIR`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from swin2mcu.common.card import sha256_of
from swin2mcu.common.cli import Parser, run_command, write_atomic
from tinyml.aot.compiler import compile_graph
from tinyml.aot.fuse import FUSIONS
from tinyml.aot.pack import CORES
from tinyml.format.facts import open_card
from tinyml.format.tflite import read


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("model", type=Path, help="an int8 .tflite")
    parser.add_argument("--out", type=Path, required=True, help="folder for model.c")
    parser.add_argument("--core", choices=CORES, default="portable", help="kernels to link with")
    parser.add_argument("--card", type=Path, help="card.json with the names of the classes")
    parser.add_argument(
        "--without",
        action="append",
        choices=FUSIONS,
        default=[],
        help="switch a fusion off (to measure it)",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return run_command(lambda: _compile(parser.parse_args(argv)))


def _compile(arguments: argparse.Namespace) -> None:
    graph = read(arguments.model)
    sha256 = sha256_of(arguments.model)
    labels = None
    if arguments.card is not None:
        labels = open_card(arguments.card, arguments.model).classes
    fusions = frozenset(FUSIONS) - frozenset(arguments.without)
    compiled = compile_graph(graph, sha256, arguments.core, labels, fusions)
    # Builds look for model.c, so it is written last: if it exists, model_data.h exists too.
    write_atomic(arguments.out / "model_data.h", compiled.source.model_data_h)
    write_atomic(arguments.out / "model.c", compiled.source.model_c)
    figures = {
        "arena_bytes": compiled.arena_bytes,
        "bound_bytes": compiled.bound_bytes,
        "steps": compiled.steps,
        "macs": compiled.macs,
        "core": arguments.core,
    }
    if arguments.json:
        print(json.dumps(figures))
    else:
        print(
            f"{arguments.out / 'model.c'}: {compiled.steps} steps, arena {compiled.arena_bytes} "
            f"bytes ({compiled.arena_bytes / compiled.bound_bytes:.3f} of the lower bound)",
            file=sys.stderr,
        )


if __name__ == "__main__":
    raise SystemExit(main())
