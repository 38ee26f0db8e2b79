"""Score a board over its serial line: every test image, byte parity with the PC, cost, accuracy.

    python host_tools/serial_eval.py [RUN_OR_ZOO] [--data FOLDER] [--port PORT] [--limit N]

Each image's result is written to a journal as it arrives. After a crash, an unplugged cable or a
Ctrl-C the same command resumes there and ends with the same results.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from host_tools.boards.open import open_boards
from host_tools.boards.table import get_board
from host_tools.inputs import Model, add_foreign_options, add_model, load_named
from host_tools.link.device import Device, DeviceSilent
from host_tools.link.faults import parse_faults
from host_tools.link.pool import Pool
from host_tools.link.protocol import Info, StepCost, max_run_count
from host_tools.report.entries import load_entries
from host_tools.report.terminal import print_entries
from host_tools.results import RESULTS_NAME, check_results, log_target_access, merge_target
from host_tools.scoring.frames import FORMAT_NAMES, FrameKind, parse_frames
from host_tools.scoring.images import Image, score_images
from host_tools.scoring.journal import Journal, digest_of, lock_journal, open_journal
from host_tools.scoring.record import flashed_facts, make_frames, make_link, make_record
from swin2mcu.common.accuracy import largest_share, say_accuracy
from swin2mcu.common.cli import Parser, UserError, run_command, status
from swin2mcu.common.dataset import ImageFolder, check_corrupt, import_folder, spread
from swin2mcu.common.paths import data_folder
from swin2mcu.common.tables import table_text

SPLIT = "test"
JOURNAL_VERSION = 6  # of the keys in the head and in an image's line
MAX_RESETS = 1000
MAX_WAIT_S = 86_400


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0])
    add_model(parser, files=True)
    add_foreign_options(parser)
    parser.add_argument("--data", type=Path, help="folder of class folders (or $SWIN2MCU_DATA)")
    parser.add_argument("--board", help="default: the one that is connected")
    parser.add_argument(
        "--port",
        action="append",
        help="a device name or a URL, such as socket://127.0.0.1:5000; several share the images",
    )
    parser.add_argument(
        "--frames",
        metavar="KIND",
        help="send frames as a camera makes them, such as rgb565:320x240, and let the board "
        f"prepare them ({', '.join(FORMAT_NAMES)}); the whole photo is stretched to the frame",
    )
    parser.add_argument("--limit", type=int, help="score this many images, spread over the split")
    parser.add_argument("--repeat", type=int, default=1, help="timed runs of each image")
    parser.add_argument(
        "--warm-up", type=int, default=1, help="untimed runs before the first image"
    )
    parser.add_argument("--wait", type=float, default=300, help="seconds to wait for a lost board")
    parser.add_argument("--fresh", action="store_true", help="do not resume an earlier journal")
    parser.add_argument("--json", action="store_true", help="print the target's record as JSON")
    parser.add_argument(
        "--inject-faults",
        default="0",
        metavar="RATE[:SEED]",
        help="faults per byte, in both directions",
    )
    parser.add_argument(
        "--inject-resets", type=int, default=0, metavar="N", help="resets of each board in QEMU"
    )
    arguments = parser.parse_args(argv)
    return run_command(lambda: _evaluate(arguments))


def _evaluate(arguments: argparse.Namespace) -> None:
    if arguments.limit is not None and arguments.limit < 1:
        raise UserError("--limit must be at least 1")
    if not 0 <= arguments.inject_resets <= MAX_RESETS:
        raise UserError(f"--inject-resets must lie between 0 and {MAX_RESETS}")
    if not 0 <= arguments.wait <= MAX_WAIT_S:
        raise UserError(f"--wait must lie between 0 and {MAX_WAIT_S} s")
    if arguments.board is not None:
        get_board(arguments.board)
    faults = parse_faults(arguments.inject_faults)
    kind = parse_frames(arguments.frames) if arguments.frames is not None else None
    model = load_named(arguments, measured=True)
    fed = model.contract
    if kind is not None and not (fed.is_pixel_minus_128 and fed.channels == 3):
        raise UserError(
            f"--frames needs a network that is fed pixel - 128, of three channels: "
            f"{model.card.name} is fed {fed.name}"
        )
    data = data_folder(arguments.data)
    folder = import_folder(data, card=model.card, run=model.folder)
    images = [Image(folder.root / file, label, file) for file, label in folder.labeled(SPLIT)]
    images = [images[position] for position in spread(len(images), arguments.limit)]
    if not images:
        raise UserError(f"{data} has no {SPLIT} images")
    most = max_run_count(len(model.card.classes))
    if not 1 <= arguments.repeat <= most or not 0 <= arguments.warm_up <= most:
        raise UserError(f"--repeat must lie between 1 and {most}, --warm-up between 0 and {most}")
    boards = open_boards(
        model, arguments.board, arguments.port, arguments.wait, faults, arguments.inject_resets
    )
    try:
        info = boards.info
        target = target_of(info, kind)
        path = model.folder / f"journal-{target}.jsonl"
        with lock_journal(path):
            check_results(model.folder, model.sha256)  # before hours of work
            journal = begin_journal(
                path, model, target, info, images, arguments.repeat, arguments.fresh
            )
            record = _score(boards, journal, model, images, arguments, folder, kind)
            log_target_access(model.folder, model.weights, target, record["accuracy"])
            merge_target(model.folder, model.sha256, model.card.name, target, record)
            journal.finish()
    finally:
        boards.close()
    report(record, model, target, arguments.json)


def _score(
    boards: Pool,
    journal: Journal,
    model: Model,
    images: Sequence[Image],
    arguments: argparse.Namespace,
    folder: ImageFolder,
    kind: FrameKind | None,
) -> dict[str, Any]:
    """The target's record, once every image has been through a board.

    Raises UserError where more images than 5 % of the folder cannot be read.
    """
    before, started = boards.stats(), time.monotonic()
    scored = score_images(
        boards, journal, model, images, arguments.repeat, arguments.warm_up, status, kind
    )
    seconds = time.monotonic() - started
    moved = {key: value - before[key] for key, value in boards.stats().items()}
    profile = boards.call(profile_if_it_gets_through)
    info = boards.greet_all()
    found = [journal.entries[image.file] for image in images]
    corrupt = [entry["image"] for entry in found if "corrupt" in entry]
    # Of the folder, as in training: no folder that a model was trained on is refused here.
    check_corrupt(folder.root, len(corrupt), len(folder.files), (corrupt or [""])[0])
    entries = [entry for entry in found if "corrupt" not in entry]
    if not entries:
        raise UserError("no image could be read")
    which = {"split": SPLIT, "data": folder.name}
    command = command_line(model, info, arguments, kind)
    record = make_record(entries, model, info, profile, which, command)
    sent = info.input_bytes if kind is None else kind.frame_bytes
    record["link"] = make_link(entries, boards, moved, sent, scored, seconds)
    return record if kind is None else {**record, **make_frames(entries, kind.name)}


def target_of(info: Info, kind: FrameKind | None) -> str:
    """The name of what is measured; it becomes part of the journal's file name."""
    name = f"{info.board}-{info.engine}"
    return name if kind is None else f"{name}-{kind.name.replace(':', '-')}"


def begin_journal(
    path: Path,
    model: Model,
    target: str,
    info: Info,
    images: Sequence[Image],
    repeat: int,
    fresh: bool,
) -> Journal:
    """Resume the journal at `path`, or begin a new one.

    Other firmware begins a new one too: its times are not those of the firmware before.
    """
    head = {
        "version": JOURNAL_VERSION,
        "model_sha256": model.sha256,
        "target": target,
        "firmware": flashed_facts(info, model).get("firmware", ""),
        "arena_bytes": info.arena_bytes,
        "images": digest_of((image.path, image.file, image.label) for image in images),
        "crop": model.card.split.crop,
        "input": model.contract.name,
        "repeat": repeat,
    }
    if fresh:
        path.unlink(missing_ok=True)
    journal = open_journal(path, head)
    if journal.replaced:
        status.print(f"starting again: {path} is overwritten, {journal.replaced}")
    if journal.entries:
        status.print(f"resuming after {len(journal.entries)} images in {path}")
    return journal


def profile_if_it_gets_through(device: Device) -> list[StepCost]:
    """The cost of each step, or nothing on a very bad line. The profile's answers are long frames
    that cannot be split, and the images' results are useful without it.
    """
    try:
        return device.profile()
    except DeviceSilent as error:
        status.print(f"the profile is left out: {error}")
        return []


def command_line(
    model: Model, info: Info, arguments: argparse.Namespace, kind: FrameKind | None = None
) -> str:
    """The command that repeats this measurement, without what other computers name otherwise: the
    port and the image folder."""
    words = ["--board", info.board]
    for option, value, default in (
        ("--frames", kind.name if kind else None, None),
        ("--limit", arguments.limit, None),
        ("--repeat", arguments.repeat, 1),
        ("--warm-up", arguments.warm_up, 1),
        ("--inject-faults", arguments.inject_faults, "0"),
        ("--inject-resets", arguments.inject_resets, 0),
    ):
        if value != default:
            words += [option, str(value)]
    return f"python host_tools/serial_eval.py {model.typed} {shlex.join(words)}"


def report(record: dict[str, Any], model: Model, target: str, as_json: bool) -> None:
    accuracy, cost, parity, link = (record[k] for k in ("accuracy", "cost", "parity", "link"))
    times = link["transfer_ms"]
    line = (
        f"{link['resends']:.0f} resends; framing {link['framing']:.2%}; "
        f"{link['images_per_s']:.2f} images/s, "
        if link["framing"] is not None
        else "all images were in the journal; "
    )
    if as_json:
        print(json.dumps({target: record}))
    else:
        largest = largest_share(accuracy["confusion"])
        said = say_accuracy(accuracy["top1"], accuracy["images"], largest)
        recalls = [(name, f"{share:.1%}") for name, share in accuracy["per_class_recall"].items()]
        print(table_text(["class", "recall"], recalls, indent=2))
        print(
            f"{target}: top-1 {said}; "
            f"{parity['identical']} of {parity['images']} byte-identical to the PC; "
            f"{cost['unit']} p50 {cost['p50']:,} p95 {cost['p95']:,} p99 {cost['p99']:,}; "
            f"{line}{link['bytes_per_s'] / 1000:.1f} KB/s of image, "
            f"transfer {times['p50']:,.0f} ms (sd {times['jitter']:,.0f})"
        )
        entries, _ = load_entries([model.folder / RESULTS_NAME])
        print_entries(entries)
    status.print(f"merged into {model.folder / RESULTS_NAME}")
    if parity["identical"] != parity["images"]:
        raise UserError(
            f"{parity['images'] - parity['identical']} images differ from the PC by up to "
            f"{parity['max_lsb']} LSB: this board does not compute what was trained"
        )


if __name__ == "__main__":
    raise SystemExit(main())
