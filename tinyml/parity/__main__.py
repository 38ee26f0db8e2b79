"""Run the same images through every form of a model and compare: `python -m tinyml.parity RUN`.

    torch float → legalized → fine-tuned by QAT → rounded weights → fake-quantized → exact integers
                                                  rounded weights → ONNX → float .tflite
    exact integers = TFLite Micro = generated C, byte for byte
    LiteRT's reference kernels: 1 LSB per operator on equal inputs, agreement from end to end

compare.py defines the figures and stages.py the limit of each stage. Writes RUN/parity.json. Scores
on test are logged; a score on the whole test split becomes the card's "int8" accuracy. RUN may be
the name of a published model: then nothing is written, and test is refused.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress
from rich.table import Table

from swin2mcu.common.accuracy import show_accuracy
from swin2mcu.common.card import load_card, sha256_of, update_card
from swin2mcu.common.cli import Parser, UserError, plain_console, run_command, write_atomic
from swin2mcu.common.dataset import import_folder, load_split_pixels, spread
from swin2mcu.common.paths import ZOO, data_folder, is_published
from swin2mcu.common.test_access import log_access
from tinyml.parity.compare import compare_stages
from tinyml.parity.operators import compare_operators
from tinyml.parity.record import broken
from tinyml.parity.stages import make_stages
from tinyml.runtimes.reference import reference_name

OPERATOR_IMAGES = 4  # a few million elements in all


def measure(run: Path, data: Path, split: str, limit: int | None) -> dict[str, Any]:
    """The whole record of parity.json, with a progress bar on stderr."""
    if split == "test" and is_published(run):
        raise UserError(f"{run.name} is published, its scores on test are closed: use --split val")
    card = load_card(run / "card.json")
    folder = import_folder(data, card=card, run=run)
    if card.output_scale is None or card.sha256 is None:
        command = f"python -m tinyml.convert {shlex.quote(str(run))}"
        raise UserError(f"{run} is not converted: run {command} first")
    pixels, labels, _, corrupt = load_split_pixels(folder, split, card.input_shape[0], limit)
    with tempfile.TemporaryDirectory() as work, Progress(console=plain_console(stderr=True)) as bar:
        stages = make_stages(run, Path(work))
        records = compare_stages(stages, pixels, labels, card.output_scale, bar)
    record = {
        "model_sha256": card.sha256,
        "split": split,
        "images": len(pixels),
        "split_images": len(folder.indices(split)) - len(corrupt),
        "largest_class": float(np.bincount(labels).max() / len(labels)),
        "data": folder.name,
        "stages": records,
    }
    if (run / "qat.safetensors").is_file():
        few = spread(len(pixels), OPERATOR_IMAGES)
        record["operators"] = compare_operators(run, pixels[few])
    return record


def write_accuracy(run: Path, record: dict[str, Any], command: str) -> None:
    """Log scores on test in RUN/test_access.jsonl; a score on all of it goes into the card."""
    if record["split"] != "test":
        return
    top1 = {r["name"]: r["top1"] for r in record["stages"]}
    about = {key: record[key] for key in ("split", "images", "data")}
    int8 = reference_name((run / "model_int8.tflite").read_bytes())
    for stage, file, target in (
        ("torch-float", "student.safetensors", ""),
        (int8, "model_int8.tflite", int8),
    ):
        if stage in top1:
            sha256 = record["model_sha256"] if target else sha256_of(run / file)
            log_access(
                run, top1=top1[stage], weights=file, weights_sha256=sha256, target=target, **about
            )
    if record["images"] == record["split_images"]:
        entry = {"int8": {**about, "top1": top1[int8], "command": command}}
        update_card(
            run / "card.json",
            lambda card: dataclasses.replace(card, accuracy=card.accuracy | entry),
            record["model_sha256"],
        )


def show(record: dict[str, Any]) -> None:
    console = plain_console()
    table = Table()
    for heading in ("stage", "against"):
        table.add_column(heading, no_wrap=True, overflow="ignore")
    for heading in ("top-1", "agreement", "largest", "rms of scale"):
        table.add_column(heading)
    for r in record["stages"]:
        difference = f"{r['max_difference']:.3g} {r['unit']}" if r["against"] else ""
        agreement = f"{r['top1_agreement']:.2%}" if r["against"] else ""
        top1 = show_accuracy(r["top1"], r["images"]) if "top1" in r else ""
        rms = f"{r['relative_rms']:.2g}" if r["against"] else ""
        table.add_row(r["name"], r["against"], top1, agreement, difference, rms)
    console.print(table)
    console.print(
        f"± is one standard error of {record['images']:,} images of {record['split']}; the largest "
        f"class is {record['largest_class']:.1%} of them"
    )
    if "operators" in record:
        table = Table("LiteRT", "elements", "off float", "largest", "off exact", "largest")
        for name, entry in record["operators"].items():
            table.add_row(
                name,
                f"{entry['elements']:,}",
                f"{entry['off']:.2%}",
                f"{entry['max_lsb']} LSB",
                f"{entry['off_exact']:.2%}",
                f"{entry['max_lsb_exact']} LSB",
            )
        console.print(table)


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path, help="folder of a converted run, or a zoo entry's name")
    parser.add_argument("--data", type=Path, help="folder of class folders ($SWIN2MCU_DATA)")
    parser.add_argument(
        "--split", choices=("train", "val", "test"), default="val", help="default: val"
    )
    parser.add_argument("--limit", type=int, help="number of images, spread evenly")
    parser.add_argument("--json", action="store_true", help="print the record instead of tables")
    arguments = parser.parse_args(argv)

    def command() -> int:
        if arguments.limit is not None and arguments.limit < 1:
            raise UserError("--limit must be at least 1")
        data = data_folder(arguments.data)
        run: Path = arguments.run
        if not run.is_dir() and (ZOO / run).is_dir():
            run = ZOO / run
        record = measure(run, data, arguments.split, arguments.limit)
        line = shlex.join(["python", "-m", "tinyml.parity", *(argv or sys.argv[1:])])
        if not is_published(run):
            write_accuracy(run, record, line)
            write_atomic(run / "parity.json", json.dumps(record, indent=1) + "\n")
        if arguments.json:
            print(json.dumps(record))
        else:
            show(record)
        for line in broken(record):
            print(f"broken: {line}", file=sys.stderr)
        return 1 if broken(record) else 0

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
