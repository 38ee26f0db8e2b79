"""Score a board over its serial line: every test image, byte parity with the PC, cost, accuracy.

    python host_tools/serial_eval.py [RUN_OR_ZOO] [--data FOLDER] [--port PORT] [--limit N]

Each image's result is journalled as it arrives, so the same command goes on after a crash, an
unplugged cable or a Ctrl-C, and ends with the same results.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from host_tools.boards import load_boards
from host_tools.build import BUILD
from host_tools.choose import choose_copies, connected_boards
from host_tools.connection import Connection
from host_tools.device import Device
from host_tools.faults import FaultyLine
from host_tools.inputs import Model, load_model, split_images
from host_tools.journal import Journal, open_journal
from host_tools.line import Line, SerialLine
from host_tools.pool import Pool
from host_tools.protocol import Info, Result, StepCost, max_run_count
from host_tools.reference import Prepared, prepare_images
from host_tools.report_data import load_entries
from host_tools.report_table import print_entries
from host_tools.results import (
    RESULTS_NAME,
    load_results,
    merge_target,
    summarize_accuracy,
    summarize_cost,
)
from pytorch_side.config import data_folder
from pytorch_side.data import spread
from tinyml.cli import UserError, run_command

SPLIT = "test"
MAX_CORRUPT = 0.05  # of the images; more is an error of the folder and not of a file

talk = Console(stderr=True, highlight=False, soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", help="a run's folder or a zoo entry's name")
    parser.add_argument("--data", type=Path, help="folder of class folders (or $SWIN2MCU_DATA)")
    parser.add_argument("--board", help="default: the one that is connected")
    parser.add_argument(
        "--port",
        action="append",
        help="a device name or a URL, such as socket://127.0.0.1:5000; several share the images",
    )
    parser.add_argument("--limit", type=int, help="score this many images, spread over the split")
    parser.add_argument("--repeat", type=int, default=1, help="timed runs of each image")
    parser.add_argument(
        "--warm-up", type=int, default=1, help="untimed runs before the first image"
    )
    parser.add_argument("--wait", type=float, default=300, help="seconds to wait for a lost board")
    parser.add_argument("--fresh", action="store_true", help="do not go on with an earlier journal")
    parser.add_argument("--json", action="store_true", help="print the target's record as JSON")
    parser.add_argument(
        "--inject-faults", type=float, default=0, metavar="RATE", help="faults per byte, both ways"
    )
    parser.add_argument("--fault-seed", type=int, default=0, help="which faults")
    arguments = parser.parse_args(argv)
    return run_command(lambda: _evaluate(arguments))


def _evaluate(arguments: argparse.Namespace) -> None:
    if arguments.limit is not None and arguments.limit < 1:
        raise UserError("--limit must be at least 1")
    if not 0 <= arguments.inject_faults <= 0.1:
        raise UserError("--inject-faults must lie between 0 and 0.1")
    model = load_model(arguments.model)
    data = data_folder(arguments.data)
    images = split_images(data, model.card.classes, SPLIT)
    images = [images[position] for position in spread(len(images), arguments.limit)]
    if not images:
        raise UserError(f"{data} has no {SPLIT} images")
    most = max_run_count(len(model.card.classes))
    if not 1 <= arguments.repeat <= most or not 0 <= arguments.warm_up <= most:
        raise UserError(f"--repeat must lie between 1 and {most}, --warm-up between 0 and {most}")
    boards = connect(arguments, model)
    try:
        info = boards.info
        target = f"{info.board}-{info.engine}"
        files = [str(path.relative_to(data)) for path, _ in images]
        head = {
            "model_sha256": model.sha256,
            "target": target,
            "images": hashlib.sha256("\n".join(files).encode()).hexdigest(),
            "repeat": arguments.repeat,
        }
        journal_path = model.folder / f"journal-{target}.jsonl"
        if arguments.fresh:
            journal_path.unlink(missing_ok=True)
        journal = open_journal(journal_path, head)
        if journal.entries:
            talk.print(f"going on after {len(journal.entries)} images in {journal_path}")
        started = time.monotonic()
        score_images(boards, journal, model, images, files, arguments)
        seconds = time.monotonic() - started
        profile = boards.call(lambda device: device.profile())
        info = boards.call(lambda device: device.hello())
    finally:
        boards.close()
    record = make_record(journal, images, files, model, info, profile, data, arguments)
    record["link"] = {**boards.stats(), "seconds": round(seconds, 1)}
    merge_target(model.folder, model.sha256, model.card.name, target, record)
    journal.finish()
    report(record, model, target, arguments.json)


def connect(arguments: argparse.Namespace, model: Model) -> Pool:
    """The board at each --port, or the one that is meant; running copies of it share the work."""
    boards = load_boards()
    ports = arguments.port
    baud = boards[arguments.board].baud if arguments.board in boards else 921600
    if not ports:
        chosen = choose_copies(arguments.board, connected_boards())
        ports, baud = [one.port for one in chosen], boards[chosen[0].board].baud
    connections: list[Connection] = []
    try:
        for port in ports:
            connections.append(connect_one(port, baud, arguments, model))
    except BaseException:
        for connection in connections:
            connection.close()
        raise
    return Pool(connections)


def connect_one(port: str, baud: int, arguments: argparse.Namespace, model: Model) -> Connection:
    attempts = 0

    def open_line() -> Line:
        nonlocal attempts
        attempts += 1
        line = SerialLine(port, baud)
        if not arguments.inject_faults:
            return line
        # After a reconnect other faults, or the same one would strike at the same place for ever.
        return FaultyLine(line, arguments.inject_faults, arguments.fault_seed + 1000 * attempts)

    return Connection(open_line, port, model, arguments.wait)


def score_images(
    boards: Pool,
    journal: Journal,
    model: Model,
    images: Sequence[tuple[Path, int]],
    files: Sequence[str],
    arguments: argparse.Namespace,
) -> None:
    """Run every image that the journal lacks. Raises UserError when too many cannot be read."""
    height, width, channels = model.card.input_shape
    todo = [(path, label, f) for (path, label), f in zip(images, files, strict=True)
            if f not in journal.entries]  # fmt: skip
    if todo and arguments.warm_up:
        grey = bytes(height * width * channels)
        boards.call(lambda device: device.infer(grey, arguments.warm_up))
    prepared = prepare_images(model.int8.read_bytes(), [path for path, _, _ in todo], height, width)

    def infer(one: Prepared | str) -> Result | None:
        if isinstance(one, str):
            return None
        return boards.call(partial(Device.infer, image=one.image, runs=arguments.repeat))

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeRemainingColumn(), console=talk, transient=True) as progress:
        task = progress.add_task("", total=len(images), completed=len(journal.entries))
        correct = differing = done = 0
        started = time.monotonic()
        for (_, label, file), (one, result) in zip(todo, boards.map(infer, prepared), strict=True):
            if isinstance(one, str) or result is None:
                journal.add({"image": file, "label": label, "corrupt": one})
                talk.print(f"left out: {one}")
            else:
                journal.add(
                    {
                        "image": file,
                        "label": label,
                        "logits": result.logits,
                        "reference": one.logits,
                        "costs": result.costs,
                    }
                )
                correct += argmax(result.logits) == label
                differing += result.logits != one.logits
                done += 1
            rate = (done or 1) / (time.monotonic() - started)
            say = f"top-1 {correct / (done or 1):.1%}, {rate:.2f} images/s"
            if differing:
                say += f", {differing} differ from the PC"
            if resends := boards.stats()["resends"]:
                say += f", {resends:.0f} resends"
            progress.update(task, advance=1, description=say)
    corrupt = sum("corrupt" in entry for entry in journal.entries.values())
    if corrupt > MAX_CORRUPT * len(images):
        raise UserError(
            f"{corrupt} of {len(images)} images cannot be read: is the folder a whole copy?"
        )


def argmax(logits: Sequence[int]) -> int:
    """The first of the largest, as everywhere in this project."""
    return max(range(len(logits)), key=lambda i: (logits[i], -i))


def make_record(
    journal: Journal,
    images: Sequence[tuple[Path, int]],
    files: Sequence[str],
    model: Model,
    info: Info,
    profile: Sequence[StepCost],
    data: Path,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """The target's entry in results.json, made from the journal alone."""
    entries = [journal.entries[file] for file in files if "corrupt" not in journal.entries[file]]
    if not entries:
        raise UserError("no image could be read")
    labels = [entry["label"] for entry in entries]
    predictions = [argmax(entry["logits"]) for entry in entries]
    worst = [
        max(abs(a - b) for a, b in zip(e["logits"], e["reference"], strict=True)) for e in entries
    ]
    costs = [cost for entry in entries for cost in entry["costs"]]
    board = load_boards().get(info.board)
    flashed = flashed_facts(info, model)
    accuracy = {"split": SPLIT, "data": data.resolve().name}
    command = f"serial_eval.py {model.card.name} --board {info.board}"
    if arguments.limit is not None:
        command += f" --limit {arguments.limit}"
    return {
        "kind": "board",
        "engine": info.engine,
        "precision": "int8",
        "hardware": board.hardware if board else info.board,
        "versions": flashed.get("versions", {}),
        "threads": None,
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "accuracy": {**accuracy, **summarize_accuracy(labels, predictions, model.card.classes)},
        "cost": {**summarize_cost(costs, info.unit), "repeat": arguments.repeat},
        "memory": {
            "arena_bytes": info.arena_bytes,
            "stack_bytes": info.stack_bytes,
            "file_bytes": model.int8.stat().st_size,
            **flashed.get("memory", {}),
        },
        "parity": {
            "reference": "tflite-micro",
            "images": len(entries),
            "identical": sum(w == 0 for w in worst),
            "max_lsb": max(worst),
        },
        "profile": [
            {"step": step.step, "operators": step.operators, "cost": step.cost} for step in profile
        ],
    }


def flashed_facts(info: Info, model: Model) -> dict[str, Any]:
    """What flash.py noted when it put this model on this board, if it did."""
    path = BUILD / "flashed" / f"{info.board}.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if facts.get("model_sha256") != model.sha256 or facts.get("engine") != info.engine:
        return {}
    memory = {k: facts[k] for k in ("flash_bytes", "ram_bytes", "weights_bytes") if k in facts}
    return {"memory": memory, "versions": facts.get("versions", {})}


def report(record: dict[str, Any], model: Model, target: str, as_json: bool) -> None:
    accuracy, cost, parity, link = (record[k] for k in ("accuracy", "cost", "parity", "link"))
    if as_json:
        print(json.dumps({target: record}))
    else:
        for name, recall in accuracy["per_class_recall"].items():
            print(f"  recall {recall:7.1%}  {name}")
        print(
            f"{target}: top-1 {accuracy['top1']:.2%} of {accuracy['images']} images; "
            f"{parity['identical']} of {parity['images']} byte-identical to the PC; "
            f"{cost['unit']} p50 {cost['p50']:,} p95 {cost['p95']:,} p99 {cost['p99']:,}; "
            f"{link['resends']:.0f} resends; framing {link['framing']:.2%}"
        )
        entries, _ = load_entries([model.folder / RESULTS_NAME])
        print_entries(entries)
    talk.print(f"merged into {model.folder / RESULTS_NAME}")
    targets = load_results(model.folder / RESULTS_NAME).targets
    if not any(name.startswith("pc-") for name in targets):
        talk.print("the PC's figures are missing: `python host_tools/bench_pc.py` measures them")
    if not any(name.startswith("phone-") for name in targets):
        talk.print("a phone's figures are missing: `python host_tools/bench_phone.py` serves them")
    if parity["identical"] != parity["images"]:
        raise UserError(
            f"{parity['images'] - parity['identical']} images differ from the PC by up to "
            f"{parity['max_lsb']} LSB: this board does not compute what was trained"
        )


if __name__ == "__main__":
    raise SystemExit(main())
