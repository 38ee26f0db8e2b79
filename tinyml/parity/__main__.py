"""Climb the ladder: the same images through every form of a model: `python -m tinyml.parity RUN`.

    torch float → legalized → QAT's weights → fake-quantised → exact integers
                              QAT's weights → ONNX → float .tflite
    exact integers = TFLite Micro = generated C, byte for byte; LiteRT's reference kernels: 1 LSB

Each rung is compared with the one it must equal: agreement of the top class, and the largest
difference of a logit, in steps of the int8 output (LSB) or as it is. Writes RUN/parity.json. A look
at test is written down, and one at all of it becomes the card's "int8" accuracy.
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
import numpy.typing as npt
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from swin2mcu.common.card import load_card, sha256_of, update_card
from swin2mcu.common.cli import Parser, UserError, run_command, write_atomic
from swin2mcu.common.dataset import import_folder, load_split_pixels, spread
from swin2mcu.common.paths import data_folder, refuse_published
from swin2mcu.common.test_access import log_access
from tinyml.parity.operators import compare_operators
from tinyml.parity.stages import INT8_RUNG, Rung, make_rungs

BATCH = 16  # images between two moves of the progress bar
OPERATOR_IMAGES = 4  # a few million elements in all
OPERATOR_LSB_MAX = 1


def climb(
    rungs: list[Rung],
    pixels: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64] | None,
    output_scale: float,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Run all rungs on `pixels`; one record for each, in their order, and one from end to end."""
    logits: dict[str, npt.NDArray[Any]] = {}
    records = []
    for rung in rungs:
        task = progress.add_task(rung.name, total=len(pixels)) if progress else None
        parts = []
        for start in range(0, len(pixels), BATCH):
            parts.append(rung.run(pixels[start : start + BATCH]))
            if progress and task is not None:
                progress.advance(task, len(parts[-1]))
        logits[rung.name] = np.concatenate(parts)
        against = logits[rung.against] if rung.against else logits[rung.name]
        records.append(_record(rung, logits[rung.name], against, labels, output_scale))
    first, last = rungs[0], rungs[-1]
    whole = Rung("end-to-end", first.name, "lsb", np.inf, last.run)
    records.append(_record(whole, logits[last.name], logits[first.name], labels, output_scale))
    return records


def _record(
    rung: Rung,
    own: npt.NDArray[Any],
    other: npt.NDArray[Any],
    labels: npt.NDArray[np.int64] | None,
    output_scale: float,
) -> dict[str, Any]:
    unit = output_scale if rung.unit == "lsb" else 1.0
    difference = float(np.abs(own - other).max()) / unit
    # A whole number of steps comes back from real values with float's noise on it.
    difference = round(difference, 3) if rung.unit == "lsb" else difference
    record = {
        "name": rung.name,
        "against": rung.against,
        "images": len(own),
        "top1_agreement": float((own.argmax(1) == other.argmax(1)).mean()),
        "max_difference": difference,
        "unit": rung.unit,
        "limit": None if np.isinf(rung.limit) else rung.limit,
        "holds": difference <= rung.limit,
    }
    return record | ({} if labels is None else {"top1": float((own.argmax(1) == labels).mean())})


def measure(run: Path, data: Path, split: str, limit: int | None) -> dict[str, Any]:
    """The whole record of parity.json, with a progress bar on stderr."""
    refuse_published(run / "parity.json")
    card = load_card(run / "card.json")
    folder = import_folder(data, card=card)
    if card.output_scale is None or card.sha256 is None:
        raise UserError(f"{run} is not converted: run python -m tinyml.convert {run} first")
    pixels, labels, _, _ = load_split_pixels(folder, split, card.input_shape[0])
    count, chosen = len(pixels), spread(len(pixels), limit)
    pixels, labels = pixels[chosen], labels[chosen]
    with tempfile.TemporaryDirectory() as work, Progress(console=Console(stderr=True)) as bar:
        rungs = make_rungs(run, Path(work))
        records = climb(rungs, pixels, labels, card.output_scale, bar)
    record = {
        "model_sha256": card.sha256,
        "split": split,
        "images": len(pixels),
        "split_images": count,
        "data": folder.root.name,
        "rungs": records,
    }
    if (run / "qat.safetensors").is_file():
        few = spread(len(pixels), OPERATOR_IMAGES)
        record["operators"] = compare_operators(run, pixels[few])
    return record


def write_accuracy(run: Path, record: dict[str, Any], command: str) -> None:
    """Log scores on test in RUN/test_access.jsonl; one on the whole of it goes into the card."""
    if record["split"] != "test":
        return
    top1 = {r["name"]: r["top1"] for r in record["rungs"]}
    about = {key: record[key] for key in ("split", "images", "data")}
    for rung, file, target in (
        ("torch-float", "student.safetensors", ""),
        (INT8_RUNG, "model_int8.tflite", INT8_RUNG),
    ):
        if rung in top1:
            sha256 = sha256_of(run / file)
            log_access(
                run, top1=top1[rung], weights=file, weights_sha256=sha256, target=target, **about
            )
    if record["images"] == record["split_images"]:
        entry = {"int8": {**about, "top1": top1[INT8_RUNG], "command": command}}
        update_card(
            run / "card.json",
            lambda card: dataclasses.replace(card, accuracy=card.accuracy | entry),
        )


def broken(record: dict[str, Any]) -> list[str]:
    """What does not hold, one line each."""
    lines = [
        f"{r['name']} differs from {r['against']} by {r['max_difference']:.3g} {r['unit']}, "
        f"allowed are {r['limit']:g}"
        for r in record["rungs"]
        if not r["holds"]
    ]
    return lines + [
        f"{name} differs from its simulation by {entry['max_lsb']} LSB"
        for name, entry in record.get("operators", {}).items()
        if entry["max_lsb"] > OPERATOR_LSB_MAX
    ]


def show(record: dict[str, Any]) -> None:
    console = Console()
    table = Table("rung", "against", "top-1", "agreement", "largest difference")
    for r in record["rungs"]:
        difference = f"{r['max_difference']:.3g} {r['unit']}" if r["against"] else ""
        agreement = f"{r['top1_agreement']:.2%}" if r["against"] else ""
        top1 = f"{r['top1']:.2%}" if "top1" in r else ""
        table.add_row(r["name"], r["against"], top1, agreement, difference)
    console.print(table)
    if "operators" in record:
        table = Table("operator", "elements", "off by one", "largest difference")
        for name, entry in record["operators"].items():
            table.add_row(
                name, f"{entry['elements']:,}", f"{entry['off']:.2%}", f"{entry['max_lsb']} LSB"
            )
        console.print(table)


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path, help="folder of a converted run or a zoo entry")
    parser.add_argument("--data", type=Path, help="folder of class folders ($SWIN2MCU_DATA)")
    parser.add_argument("--split", choices=("train", "val", "test"), default="val")
    parser.add_argument("--limit", type=int, help="so many images only, spread over the split")
    parser.add_argument("--json", action="store_true", help="print the record instead of tables")
    arguments = parser.parse_args(argv)

    def command() -> int:
        if arguments.limit is not None and arguments.limit < 1:
            raise UserError("--limit must be at least 1")
        data = data_folder(arguments.data)
        record = measure(arguments.run, data, arguments.split, arguments.limit)
        line = shlex.join(["python", "-m", "tinyml.parity", *(argv or sys.argv[1:])])
        write_accuracy(arguments.run, record, line)
        write_atomic(arguments.run / "parity.json", json.dumps(record, indent=1) + "\n")
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
