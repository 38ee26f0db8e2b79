"""`python -m pytorch_side.evaluate audit | probe | resplit | score | attention`."""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pytorch_side.config import read_saved_config
from pytorch_side.evaluate.resplit import write_linked
from swin2mcu.common.accuracy import cautions, say_accuracy
from swin2mcu.common.cli import Parser, UserError, run_command, write_atomic
from swin2mcu.common.dataset import SPLITS, ImageFolder, import_folder, random_split
from swin2mcu.common.dataset.groups import original
from swin2mcu.common.dataset.near_duplicates import NEAR_BITS
from swin2mcu.common.paths import data_folder
from swin2mcu.common.tables import table_text


def audit_report(data: Path, seed: int) -> dict[str, Any]:
    """Near-duplicates between splits, for the given split and for a random one of its photos."""
    from pytorch_side.evaluate.audit import audit, fingerprint

    folder = import_folder(data)
    prints = fingerprint(folder)
    return {
        "data": folder.name,
        "images": len(folder.files),
        "near_bits": NEAR_BITS,
        **roboflow_copies(folder),
        "given": audit(folder, prints),
        "random": audit(random_split(folder, seed), prints),
    }


def roboflow_copies(folder: ImageFolder) -> dict[str, int]:
    """Counts of augmented copies, of their originals, and of originals found in several splits."""
    splits: dict[str, set[str]] = {}
    copies = 0
    for file, split in zip(folder.files, folder.splits.tolist(), strict=True):
        if first := original(file):
            copies += 1
            # If each split has its own folders, copies of one photo lie in different folders.
            splits.setdefault(first.rpartition("/")[2], set()).add(split)
    torn = sum(len(found) > 1 for found in splits.values())
    return {"copies": copies, "originals": len(splits), "torn": torn}


def probe_report(data: Path, seed: int) -> dict[str, Any]:
    """Background probes on the given split, and on a random split of the same photos."""
    from pytorch_side.evaluate.background_probe import REGIONS, probe, read_pixels

    folder = import_folder(data)
    given, dealt = read_pixels(folder), read_pixels(random_split(folder, seed))
    return {
        "data": folder.name,
        "classes": len(folder.classes),
        "given": [probe(given, region, seed) for region in REGIONS],
        "random": [probe(dealt, region, seed) for region in REGIONS],
    }


def audit_text(report: dict[str, Any]) -> str:
    lines = [f"{report['images']} photos; near: at most {report['near_bits']} of 256 bits differ"]
    if report["copies"]:
        lines.append(
            f"{report['copies']} are Roboflow copies of {report['originals']} photos: a drawn "
            f"split keeps them on one side; in this one {report['torn']} photos lie on both"
        )
    rows = [
        [
            f"{given['first']} in {given['second']}",
            given["photos"],
            *(f"{pairs['exact']} same, {pairs['near']} near" for pairs in (given, dealt)),
        ]
        for given, dealt in zip(report["given"], report["random"], strict=True)
    ]
    head = ["photos with a duplicate", "of", "split as given", "random split"]
    lines.append(table_text(head, rows))
    closest = [
        [first, second, f"{bits} bits"]
        for pair in report["given"]
        for first, second, bits in pair["closest"]
    ]
    lines += [table_text(["closest photos", "", ""], closest, texts=2)] if closest else []
    return "\n".join(lines)


def probe_text(report: dict[str, Any]) -> str:
    rows = [
        [
            given["region"],
            *(f"{p['test_top1']:.1%} ± {p['test_standard_error']:.1%}" for p in (given, dealt)),
        ]
        for given, dealt in zip(report["given"], report["random"], strict=True)
    ]
    rows.append(["nothing (the largest class)", f"{report['given'][0]['majority_top1']:.1%}", ""])
    return table_text(["a linear classifier that sees", "split as given", "random split"], rows)


def score_text(report: dict[str, Any]) -> str:
    plain, tempered = report["calibration"], report["calibration_tempered"]
    lines = [
        f"{report['run']} on {report['split']} of {report['data']}: "
        f"{say_accuracy(report['top1'], report['images'], report['largest_class'])}; "
        f"balanced over classes {report['balanced_top1']:.2%}",
        *(
            f"warning: {one}"
            for one in cautions(
                report["top1"],
                report["images"],
                report["confusion"],
                report["classes"],
                report["split"],
            )
        ),
        f"expected calibration error {plain['error']:.2%}; {tempered['error']:.2%} at the "
        f"temperature {tempered['temperature']:.2f} that was fitted on val"
        + (", on these same photos" if report["split"] == "val" else ""),
        f"scores of {report['split']} in the access log: {report['accesses']}",
        "",
        "confusion matrix, columns in the order of the rows:",
    ]
    rows = []
    for name, row in zip(report["classes"], report["confusion"], strict=True):
        # A class without an image in this split has no recall.
        recall = report["per_class_recall"].get(name)
        rows.append([name, "-" if recall is None else f"{recall:.1%}", *row])
    head = ["class", "recall", *map(str, range(1, len(rows) + 1))]
    return "\n".join([*lines, table_text(head, rows)])


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        description="Is a data set's split clean, and how accurate is a run's network?",
    )
    words = parser.add_subparsers(dest="word", required=True)

    def add(word: str, help_text: str) -> argparse.ArgumentParser:
        sub = words.add_parser(word, help=help_text)
        sub.add_argument("--json", action="store_true", help="print the whole report as JSON")
        return sub

    for word, text in (
        ("audit", "duplicates and near-duplicates between splits"),
        ("probe", "background probe: accuracy from the background alone"),
        ("resplit", "make a data set of links to the same photos, with a random split"),
    ):
        sub = add(word, text)
        sub.add_argument("data", type=Path, nargs="?", help="data set (default: $SWIN2MCU_DATA)")
        sub.add_argument("--seed", type=int, default=0, help="seed of the random split")
        if word == "resplit":
            sub.add_argument("--out", type=Path, required=True, help="new folder for the data set")
    for word, text in (
        ("score", "accuracy, calibration and confusion of a run; each score is logged"),
        ("attention", "draw the attention of teacher and student over the same leaves, as a PNG"),
    ):
        sub = add(word, text)
        sub.add_argument("run", type=Path, help="folder of a training run")
        sub.add_argument("--data", type=Path, help="data set (default: $SWIN2MCU_DATA)")
        sub.add_argument("--split", choices=SPLITS, default="val", help="default: val")
        if word == "score":
            sub.add_argument(
                "--averaged", action="store_true", help="average logits over 8 flips and rotations"
            )
        if word == "attention":
            sub.add_argument("--out", type=Path, required=True, help="PNG file to write")
            sub.add_argument("--count", type=int, default=10, help="leaves (default: 10)")
    return parser


def evaluate(arguments: argparse.Namespace) -> None:
    """Do what `arguments.word` says and print its report. Raises UserError."""

    def show(report: dict[str, Any], text: Callable[[dict[str, Any]], str]) -> None:
        print(json.dumps(report, indent=1) if arguments.json else text(report))

    if not 0 <= getattr(arguments, "seed", 0) < 2**32:
        raise UserError("--seed must be from 0 to 4294967295")
    data = data_folder(arguments.data)
    if arguments.word in ("score", "attention"):
        read_saved_config(arguments.run / "config.json")  # raises before the slow imports
    if arguments.word == "audit":
        show(audit_report(data, arguments.seed), audit_text)
    elif arguments.word == "probe":
        show(probe_report(data, arguments.seed), probe_text)
    elif arguments.word == "resplit":
        write_linked(random_split(import_folder(data), arguments.seed), arguments.out)
        report = {"out": str(arguments.out), "seed": arguments.seed}
        show(report, lambda r: f"{r['out']}: the same photos, split at random")
    elif arguments.word == "score":
        from pytorch_side.evaluate.score import score

        show(score(arguments.run, data, arguments.split, arguments.averaged), score_text)
    else:
        from pytorch_side.evaluate.attention import attention_picture

        if arguments.count < 1:
            raise UserError("--count: at least one leaf")
        stream = io.BytesIO()
        picture = attention_picture(arguments.run, data, arguments.split, arguments.count)
        picture.save(stream, "PNG")
        write_atomic(arguments.out, stream.getvalue())
        show({"out": str(arguments.out)}, lambda r: r["out"])


def main(argv: Sequence[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)
    return run_command(lambda: evaluate(arguments))


if __name__ == "__main__":
    raise SystemExit(main())
