"""Count the instructions, modeled cycles, RAM and flash of generated C on emulated Cortex-M.

    python host_tools/bench_mcu.py [MODEL ...] [--cores m7 m4 m55 xtensa esp32s3] [--check]
    python host_tools/bench_mcu.py --fusions

TFLite Micro's figures are shown beside them. Counts are the same in every run, so even a change of
one instruction shows. They are not times, and modeled cycles (host_tools/mcu/cycles.py) are not
times either. Each count also compares the logits with those of TFLite Micro's interpreter. A
network that the zoo does not hold yet (small-160) is counted with random weights, which cost the
same; the output says so.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from host_tools.mcu.bare_metal import CORES
from host_tools.mcu.committed import has_grown, load_counts
from host_tools.mcu.count_model import Count, CountedModel, count_model
from host_tools.mcu.docs import rewrite
from host_tools.mcu.esp32s3 import (
    count_all_on_esp32s3,
    esp32s3_table,
    grown_on_esp32s3,
    print_esp32s3,
    save_esp32s3,
)
from host_tools.mcu.fusions import count_without, fusion_jobs, fusions_table
from host_tools.mcu.plot import plot
from host_tools.mcu.tables import load_goals, print_counts, print_goals, print_steps
from host_tools.mcu.xtensa import (
    count_all_on_xtensa,
    grown,
    load_xtensa,
    print_xtensa,
    save_xtensa,
    xtensa_table,
)
from swin2mcu.common.cli import Parser, UserError, atomic_path, run_command, status, write_atomic
from swin2mcu.common.documents import replace_part
from swin2mcu.common.paths import FIRMWARE, ROOT, ZOO
from tinyml.aot.fuse import FUSIONS

COUNTS = FIRMWARE / "counts.json"
GOALS = FIRMWARE / "goals.json"
BASELINE = FIRMWARE / "baseline_tflm.json"
DOCS = ROOT / "docs" / "ENGINE.md"
PLOT = ROOT / "docs" / "bench_mcu.svg"
RANDOM = ROOT / "build" / "random"  # networks with random weights
PUBLISHED = ("small-96", "small-160", "large-224")  # counted even before they are in the zoo
ESP32S3 = "esp32s3"  # counted by the interpreter of its assembly
XTENSA = "xtensa"  # counted by the firmware of the board qemu-xtensa
GUARDED = ("instructions", "modeled_cycles", "ram_bytes", "flash_bytes")


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "model", nargs="*", help="zoo entries, runs, int8 .tflite files, or a network: small-160"
    )
    parser.add_argument(
        "--cores",
        nargs="+",
        choices=[*CORES, XTENSA, ESP32S3],
        default=["m7", "m4", "m55", XTENSA, ESP32S3],
    )
    parser.add_argument(
        "--without",
        action="append",
        choices=FUSIONS,
        default=[],
        help="leave a fusion out (to see what it saves)",
    )
    parser.add_argument(
        "--random",
        action="store_true",
        help="count with random weights, even if the zoo holds a trained model",
    )
    parser.add_argument(
        "--unlegalized",
        action="store_true",
        help="as --random, with each gate's multiplication by 1/6 left in the graph",
    )
    parser.add_argument("--check", action="store_true", help="compare with the committed counts")
    parser.add_argument(
        "--fusions",
        action="store_true",
        help="count small-96 without each fusion and write docs/ENGINE.md's table of them",
    )
    parser.add_argument("--steps", action="store_true", help="also print every generated step")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    return run_command(lambda: _bench(parser.parse_args(argv)))


def _bench(args: argparse.Namespace) -> int:
    if args.fusions:
        left_out = track(fusion_jobs(), "counting", console=status, transient=True)
        lines = fusions_table(count_without(_find(PUBLISHED[0]), left_out))
        print("\n".join(lines))
        write_atomic(DOCS, replace_part(DOCS.read_text(), "fusions", lines))
        return 0
    if args.random or args.unlegalized:
        models = [_random(name, not args.unlegalized) for name in args.model or PUBLISHED]
    else:
        models = [_find(name) for name in args.model or _published()]
    fusions = frozenset(FUSIONS) - frozenset(args.without)
    jobs = [(model, core) for model in models for core in args.cores if core in CORES]
    counts = [
        count_model(model, core, fusions)
        for model, core in track(jobs, "counting", console=status, transient=True)
    ]
    on_xtensa = XTENSA in args.cores and fusions == frozenset(FUSIONS)
    xtensa_counts = count_all_on_xtensa(models) if on_xtensa else []
    on_esp32s3 = ESP32S3 in args.cores and fusions == frozenset(FUSIONS)
    esp32s3_counts = count_all_on_esp32s3(models) if on_esp32s3 else []
    baseline = json.loads(BASELINE.read_text())
    if args.json:
        entries = [count.as_dict() for count in counts]
        entries += [asdict(count) for count in xtensa_counts]
        entries += [asdict(count) for count in esp32s3_counts]
        print(json.dumps(entries, indent=1))
    else:
        if counts:
            print_counts(counts, baseline)
            print_goals(counts, load_goals(GOALS))
        if xtensa_counts:
            print_xtensa(xtensa_counts)
        if esp32s3_counts:
            print_esp32s3(esp32s3_counts)
        if args.steps:
            print_steps(counts)
    if args.check:
        lines = grown(xtensa_counts, load_xtensa()) + grown_on_esp32s3(esp32s3_counts)
        for line in lines:
            status.print(line)
        return check(counts, load_counts(COUNTS)) or int(bool(lines))
    chosen = args.model or args.without or args.random or args.unlegalized
    if not chosen:  # save what is committed, for each kind of core whose counts are complete
        text = DOCS.read_text()
        if set(CORES) <= set(args.cores):
            write_atomic(COUNTS, json.dumps([count.as_dict() for count in counts], indent=1) + "\n")
            with atomic_path(PLOT) as path:
                plot(counts, baseline, path)
            text = rewrite(text, counts, load_goals(GOALS), baseline)
        if xtensa_counts:
            save_xtensa(xtensa_counts)
            text = replace_part(text, "xtensa", xtensa_table(xtensa_counts))
        if esp32s3_counts:
            save_esp32s3(esp32s3_counts)
            text = replace_part(text, "esp32s3", esp32s3_table(esp32s3_counts))
        write_atomic(DOCS, text)
    return 0


def check(counts: Sequence[Count], committed: Sequence[dict[str, Any]]) -> int:
    """1 if a count grew by more than 2 % over the committed one of the same compiler and kind of
    weights, else 0."""
    known = {(entry["model"], entry["core"]): entry for entry in committed}
    grown = 0
    for count in counts:
        entry = known.get((count.model, count.core))
        if entry is None:
            status.print(f"{count.model} on {count.core}: no committed count")
            continue
        comparable = entry["compiler"] == count.compiler and entry["weights"] == count.weights
        for field in GUARDED:
            before, after = entry[field], getattr(count, field)
            if before == after:
                continue
            worse = comparable and has_grown(before, after)
            grown += worse
            remark = "GREW" if worse else "changed"
            if not comparable:
                before_that = f"{entry['compiler']} and {entry['weights']} weights then"
                remark += f" (not judged: {before_that}, {count.compiler} and {count.weights} now)"
            status.print(
                f"{count.model} on {count.core}: {field} {before:,} -> {after:,} "
                f"({after / before - 1:+.1%}) {remark}"
            )
    return 1 if grown else 0


def _find(name: str) -> CountedModel:
    path = Path(name)
    if path.suffix.lower() == ".tflite" and path.is_file():
        return CountedModel(path.stem, path)
    for folder in (path, ZOO / name):
        if (folder / "model_int8.tflite").is_file():
            return CountedModel(folder.resolve().name, folder / "model_int8.tflite")
    return _random(name)


def _random(name: str, legalized: bool = True) -> CountedModel:
    from tinyml.format import mlperf_graphs, mobilenet_graphs

    data = mlperf_graphs.by_name(name) or mobilenet_graphs.by_name(name, legalized)
    if data is None:
        raise UserError(f"{name} is no .tflite, run, zoo entry or network like {PUBLISHED[0]}")
    path = RANDOM / f"{name}{'' if legalized else '-unlegalized'}.tflite"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data)
    return CountedModel(path.stem, path, weights="random")


def _published() -> list[str]:
    from tinyml.format import mlperf_graphs

    zoo = [path.parent.name for path in sorted(ZOO.glob("*/model_int8.tflite"))]
    return [
        *PUBLISHED,
        *(name for name in zoo if name not in PUBLISHED),
        *mlperf_graphs.PUBLISHED,
    ]


if __name__ == "__main__":
    raise SystemExit(main())
