"""Count the instructions, RAM and flash of generated C on emulated Cortex-M, beside TFLite Micro.

    python host_tools/bench_mcu.py [MODEL ...] [--cores m7 m4 m55] [--check]

Counts are deterministic: they compare, and regress, to the instruction. They are not times. Every
count is taken with the logits compared to those of TFLite Micro's interpreter.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from host_tools.bare_metal import CORES, FIRMWARE
from host_tools.count_model import Count, baseline_for, count_model
from host_tools.mcu_plot import plot
from tinyml.aot.fuse import FUSIONS
from tinyml.cli import UserError, atomic_path, run_command, write_atomic

ROOT = FIRMWARE.parent
COUNTS = FIRMWARE / "counts.json"
BASELINE = FIRMWARE / "baseline_tflm.json"
PLOT = ROOT / "docs" / "bench_mcu.svg"
ALLOWED_GROWTH = 1.02
GUARDED = ("instructions", "ram_bytes", "flash_bytes")

talk = Console(stderr=True, highlight=False, soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="*", help="zoo entries, runs or int8 .tflite files")
    parser.add_argument("--cores", nargs="+", choices=CORES, default=["m7", "m4", "m55"])
    parser.add_argument(
        "--without",
        action="append",
        choices=FUSIONS,
        default=[],
        help="leave a fusion out (to see what it buys)",
    )
    parser.add_argument("--check", action="store_true", help="compare with the committed counts")
    parser.add_argument("--steps", action="store_true", help="also print every generated step")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    return run_command(lambda: _bench(parser.parse_args(argv)))


def _bench(args: argparse.Namespace) -> int:
    models = [_find(name) for name in args.model] or _zoo()
    fusions = frozenset(FUSIONS) - frozenset(args.without)
    jobs = [(path, name, core) for path, name in models for core in args.cores]
    counts = [
        count_model(path, name, core, fusions)
        for path, name, core in track(jobs, "counting", console=talk, transient=True)
    ]
    baseline = json.loads(BASELINE.read_text())
    if args.json:
        print(json.dumps([count.as_dict() for count in counts], indent=1))
    else:
        _print_counts(counts, baseline, args.steps)
    if args.check:
        return check(counts, load_counts(COUNTS))
    complete = not args.model and not args.without and set(args.cores) == set(CORES)
    if complete:  # what gets committed
        write_atomic(COUNTS, json.dumps([count.as_dict() for count in counts], indent=1) + "\n")
        with atomic_path(PLOT) as path:
            plot(counts, baseline, path)
    return 0


def load_counts(path: Path) -> list[dict[str, Any]]:
    try:
        counts: list[dict[str, Any]] = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"{path} cannot be read: write it with `make bench-mcu`") from error
    return counts


def check(counts: Sequence[Count], committed: Sequence[dict[str, Any]]) -> int:
    """1 if a count grew by more than 2 % over the committed one of the same compiler, else 0."""
    known = {(entry["model"], entry["core"]): entry for entry in committed}
    grown = 0
    for count in counts:
        entry = known.get((count.model, count.core))
        if entry is None:
            talk.print(f"{count.model} on {count.core}: no committed count")
            continue
        comparable = entry["compiler"] == count.compiler
        for field in GUARDED:
            before, after = entry[field], getattr(count, field)
            if before == after:
                continue
            worse = comparable and after > before * ALLOWED_GROWTH
            grown += worse
            remark = "GREW" if worse else "changed"
            if not comparable:
                remark += f" (not judged: {entry['compiler']} then, {count.compiler} now)"
            talk.print(
                f"{count.model} on {count.core}: {field} {before:,} -> {after:,} "
                f"({after / before - 1:+.1%}) {remark}"
            )
    return 1 if grown else 0


def _find(name: str) -> tuple[Path, str]:
    path = Path(name)
    if path.suffix == ".tflite" and path.is_file():
        return path, path.stem
    for folder in (path, ROOT / "tinyml" / "zoo" / name):
        if (folder / "model_int8.tflite").is_file():
            return folder / "model_int8.tflite", folder.resolve().name
    raise UserError(f"{name} is no .tflite, run or zoo entry")


def _zoo() -> list[tuple[Path, str]]:
    models = sorted((ROOT / "tinyml" / "zoo").glob("*/model_int8.tflite"))
    if not models:
        raise UserError("tinyml/zoo holds no model: name one")
    return [(path, path.parent.name) for path in models]


def _print_counts(counts: Sequence[Count], baseline: dict[str, Any], steps: bool) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:  # a pipe or a log has no width to respect
        console = Console(highlight=False, width=160)
    table = Table(title="One inference, generated C against TFLite Micro with CMSIS-NN *")
    for column in (
        "model",
        "core",
        "instructions",
        "per MAC",
        "TFLM *",
        "ratio",
        "RAM (arena + stack)",
        "TFLM * arena",
        "code + tables",
        "weights",
    ):
        table.add_column(column, justify="left" if column in ("model", "core") else "right")
    for count in counts:
        other = baseline_for(count, baseline)
        table.add_row(
            count.model,
            count.core,
            f"{count.instructions:,}",
            f"{count.instructions / count.macs:.2f}",
            f"{other['instructions'] / 1e6:.1f} M" if other else "-",
            f"{other['instructions'] / count.instructions:.1f}x" if other else "-",
            f"{count.ram_bytes:,} ({count.arena_bytes:,} + {count.stack_bytes:,})",
            f"{other['arena_bytes']:,}" if other else "-",
            f"{count.code_bytes + count.table_bytes:,}",
            f"{count.weights_bytes:,}",
        )
    console.print(table)
    versions = ", ".join(f"{name} {version}" for name, version in baseline["versions"].items())
    console.print(f"* not reproduced here: {versions}. Instructions are counts, not times.")
    if steps:
        for count in counts:
            _print_steps(console, count)


def _print_steps(console: Console, count: Count) -> None:
    table = Table(title=f"{count.model} on {count.core}")
    for column in ("step", "operators", "instructions", "share"):
        table.add_column(column, justify="left" if column in ("step", "operators") else "right")
    for step in count.per_operator:
        share = step.instructions / count.instructions
        table.add_row(step.step, step.operators, f"{step.instructions:,}", f"{share:.1%}")
    console.print(table)


if __name__ == "__main__":
    raise SystemExit(main())
