"""Make one page of everything that was measured: accuracy, cost, memory, on PC, phone and board.

python -m host_tools.report tinyml/zoo --out report.html
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from host_tools.inputs import load_model
from host_tools.report.entries import Entry, load_entries
from host_tools.report.markdown import markdown
from host_tools.report.page import page
from host_tools.report.pictures import (
    SHEET,
    Picture,
    attention_sheet,
    has_teacher,
    worst_mistakes,
)
from host_tools.report.screenshot import screenshot
from host_tools.report.terminal import print_entries
from swin2mcu.common.cli import Parser, UserError, run_command, write_atomic
from swin2mcu.common.paths import ROOT, data_folder


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "results", nargs="*", type=Path, help="results.json files, or folders that hold some"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("report.html"), help="default: report.html"
    )
    parser.add_argument(
        "--data", type=Path, help="images for the worst mistakes (or $SWIN2MCU_DATA)"
    )
    parser.add_argument(
        "--markdown", action="store_true", help="print the README's table and write no page"
    )
    parser.add_argument("--no-pictures", action="store_true", help="put no photo into the page")
    parser.add_argument(
        "--screenshot", type=Path, metavar="FILE.png", help="also the page's first screen"
    )
    arguments = parser.parse_args(argv)
    return run_command(lambda: _report(arguments))


def _report(arguments: argparse.Namespace) -> None:
    entries, complaints = load_entries(arguments.results or [ROOT / "tinyml" / "zoo"])
    for complaint in complaints:
        print(f"left out: {complaint}", file=sys.stderr)
    if arguments.markdown:
        print(markdown(entries))
        return
    pictures = {} if arguments.no_pictures else _pictures(entries, arguments.data)
    attention = {} if arguments.no_pictures else _attention(entries)
    write_atomic(arguments.out, page(entries, complaints, pictures, attention))
    if arguments.screenshot:
        screenshot(arguments.out, arguments.screenshot)
    print_entries(entries)
    print(f"wrote {arguments.out}", file=sys.stderr)


def _pictures(entries: Sequence[Entry], data: Path | None) -> dict[Path, list[Picture]]:
    """Worst mistakes of each model whose file and images are at hand, by its folder.

    Says why a model has none.
    """
    try:
        folder = data_folder(data)
    except UserError:
        print("no pictures: name the images with --data", file=sys.stderr)
        return {}
    found = {}
    for entry in entries:
        try:
            found[entry.folder] = worst_mistakes(load_model(str(entry.folder)), folder)
        except UserError as error:
            print(f"no pictures of {entry.name}: {error}", file=sys.stderr)
    return found


def _attention(entries: Sequence[Entry]) -> dict[Path, str]:
    """Attention maps of each model that has them drawn, by its folder.

    Says how to draw them where it can be.
    """
    found = {}
    for entry in entries:
        try:
            sheet = attention_sheet(entry.folder)
        except UserError as error:
            print(f"no attention maps of {entry.name}: {error}", file=sys.stderr)
            continue
        if sheet is not None:
            found[entry.folder] = sheet
        elif has_teacher(entry.folder):
            command = f"python -m pytorch_side.evaluate attention {entry.folder}"
            print(f"attention maps: {command} --out {entry.folder / SHEET}", file=sys.stderr)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
