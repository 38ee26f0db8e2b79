"""Measure time, accuracy and memory of a model and its teachers on this PC, in every runtime.

    python host_tools/bench_pc.py [RUN_OR_ZOO] [--data FOLDER]

Backends take turns in one process, so their ratios hold on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from host_tools.inputs import (
    Model,
    add_foreign_options,
    add_model,
    load_named,
    split_images,
)
from host_tools.pc.backend import Backend
from host_tools.pc.backends import all_backends
from host_tools.pc.memory import measure_in_fresh_process
from host_tools.pc.runner import Runner
from host_tools.pc.score import score
from host_tools.pc.timing import MIN_RUNS, alternate, cost_in_us, pinned_to_one_core
from host_tools.report.entries import load_entries
from host_tools.report.terminal import print_entries
from host_tools.results import (
    RESULTS_NAME,
    Weights,
    check_results,
    load_results,
    log_target_access,
    merge_target,
)
from swin2mcu.common.card import sha256_of
from swin2mcu.common.cli import Parser, UserError, run_command, status
from swin2mcu.common.dataset import name_of
from swin2mcu.common.hardware import hardware
from swin2mcu.common.paths import ROOT, data_folder

SCORE_S = 180
THREADS_MAX = 256  # with too many threads a runtime ends the process without a message


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0])
    add_model(parser, files=True)
    add_foreign_options(parser)
    parser.add_argument("--data", type=Path, help="folder of class folders (or $SWIN2MCU_DATA)")
    parser.add_argument("--limit", type=int, help="score at most this many test images")
    parser.add_argument(
        "--runs", type=int, default=MIN_RUNS, help="timed runs of each backend, at least"
    )
    parser.add_argument("--threads", type=int, nargs="+", help="default: 1 and all cores")
    parser.add_argument(
        "--only", nargs="+", metavar="TEXT", help="only targets whose names contain one of these"
    )
    parser.add_argument(
        "--score-seconds",
        type=float,
        default=SCORE_S,
        help="a backend too slow for all test images in this time is scored on some of them",
    )
    parser.add_argument("--json", action="store_true", help="print the targets as JSON")
    arguments = parser.parse_args(argv)
    return run_command(lambda: _bench(arguments))


def _bench(arguments: argparse.Namespace) -> None:
    limit = 1 if arguments.limit is None else arguments.limit
    if min(arguments.runs, limit, *(arguments.threads or [1])) < 1:
        raise UserError("--runs, --limit and --threads must be at least 1")
    if max(arguments.threads or [1]) > THREADS_MAX:
        raise UserError(f"--threads must be at most {THREADS_MAX}")
    if not 0 < arguments.score_seconds < math.inf:
        raise UserError("--score-seconds must be a number above 0")
    model = load_named(arguments, measured=True)
    check_results(model.folder, model.sha256)  # before minutes of work
    images = _test_images(arguments.data, model)
    work = ROOT / "build" / "bench_pc"
    work.mkdir(parents=True, exist_ok=True)
    session = datetime.now(UTC).isoformat(timespec="seconds")
    measured: dict[str, dict[str, Any]] = {}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    for threads in arguments.threads or sorted({1, cores or 1}):
        measured |= _measure_threads(model, threads, images, session, work, arguments)
    if not measured:
        raise UserError("no backend could be measured: see the lines above")
    if arguments.json:
        print(json.dumps(measured, indent=2))
    else:
        entries, _ = load_entries([model.folder / RESULTS_NAME])
        print_entries(entries)
    status.print(f"merged into {model.folder / 'results.json'}")


def _measure_threads(
    model: Model,
    threads: int,
    images: list[tuple[Path, int]],
    session: str,
    work: Path,
    arguments: argparse.Namespace,
) -> dict[str, dict[str, Any]]:
    """Target → its record, of every backend with that number of threads.

    Each part is merged into results.json as soon as it is known: a later failure does not lose it.
    """
    backends = all_backends(model, work, threads)
    if arguments.only:
        backends = [c for c in backends if any(text in c.target for text in arguments.only)]
    common = {
        "kind": "pc",
        "hardware": hardware(),
        "command": _command_line(model, arguments),
        "date": session,
        "session": session,
    }
    if threads == 1:
        with pinned_to_one_core() as core:
            status.print(f"1 thread, {'not pinned' if core is None else f'pinned to core {core}'}")
            loaded, weights = _load(backends)
            timed = _time(loaded, arguments.runs, {**common, "pinned_core": core}, model)
    else:
        status.print(f"{threads} threads")
        loaded, weights = _load(backends)
        timed = _time(loaded, arguments.runs, common, model)
    for name, target in timed.items():
        _merge(model, name, target)
    for backend in loaded:
        if backend.weighed:
            memory = measure_in_fresh_process(model, backend.target, threads, work)
            timed[backend.target]["memory"] |= memory
            _merge(model, backend.target, timed[backend.target])
    if threads == 1 and images:  # threads do not change an answer
        for name, found in _score(loaded, timed, images, model, arguments).items():
            timed[name] |= found
            log_target_access(model.folder, weights[name], name, found["accuracy"])
            _merge(model, name, timed[name])
    return timed


def _score(
    loaded: dict[Backend, Runner],
    timed: dict[str, dict[str, Any]],
    images: list[tuple[Path, int]],
    model: Model,
    arguments: argparse.Namespace,
) -> dict[str, dict[str, Any]]:
    with Progress(console=status, transient=True) as progress:
        return score(
            loaded,
            {c: timed[c.target]["cost"]["p50"] / 1e6 for c in loaded},
            images,
            model.card.classes,
            name_of(data_folder(arguments.data)),
            arguments.limit,
            arguments.score_seconds,
            progress,
            model.card.split.crop,
        )


def _command_line(model: Model, arguments: argparse.Namespace) -> str:
    """The command that repeats this measurement, without the image folder's path."""
    words = ["--runs", str(arguments.runs)]
    if arguments.threads:
        words += ["--threads", *map(str, arguments.threads)]
    if arguments.only:
        words += ["--only", *arguments.only]
    if arguments.limit is not None:
        words += ["--limit", str(arguments.limit)]
    if arguments.score_seconds != SCORE_S:
        words += ["--score-seconds", f"{arguments.score_seconds:g}"]
    return f"python host_tools/bench_pc.py {model.typed} {shlex.join(words)}"


def _test_images(data: Path | None, model: Model) -> list[tuple[Path, int]]:
    try:
        folder = data_folder(data)
    except UserError as error:
        status.print(f"speed only: {error}")
        return []
    return split_images(folder, model.card, model.folder)


def _load(backends: list[Backend]) -> tuple[dict[Backend, Runner], dict[str, Weights]]:
    """Load each backend; one that cannot be loaded is named and left out.

    Also target → the file that it is scored with. It is hashed at once, as a training may replace
    it while it is measured.
    """
    loaded, weights = {}, {}
    for backend in backends:
        try:
            loaded[backend] = backend.load(backend.threads)
        except (UserError, ImportError) as error:
            status.print(f"left out: {backend.target}: {error}")
            continue
        if backend.scored and backend.file:
            weights[backend.target] = backend.file.name, sha256_of(backend.file)
    return loaded, weights


def _time(
    loaded: dict[Backend, Runner], runs: int, common: dict[str, Any], model: Model
) -> dict[str, dict[str, Any]]:
    rounds = min(10, runs)
    noise = np.random.default_rng(0)
    inputs = {
        c: runner.prepare(noise.integers(0, 256, (c.size, c.size, 3), dtype=np.uint8))
        for c, runner in loaded.items()
    }
    with Progress(console=status, transient=True) as progress:
        task = progress.add_task("timing", total=rounds * len(loaded))
        samples = alternate(
            {c.target: partial(runner.run, inputs[c]) for c, runner in loaded.items()},
            runs,
            rounds,
            lambda name: progress.advance(task),
        )
    targets = {}
    for backend, runner in loaded.items():
        card = {"macs": model.card.macs, "parameters": model.card.parameters}
        targets[backend.target] = {
            **common,
            "engine": backend.engine,
            "precision": backend.precision,
            "versions": backend.versions(),
            "threads": backend.threads,
            "note": backend.note,
            "input_size": backend.size,
            "model": runner.facts() if runner.facts else card,
            "accuracy": None,
            "cost": {
                **cost_in_us(samples[backend.target].wall_us),
                "cpu_p50": round(float(np.median(samples[backend.target].cpu_us)), 3),
            },
            "memory": {"file_bytes": backend.file.stat().st_size} if backend.file else {},
            "parity": None,
        }
    return targets


def _merge(model: Model, name: str, target: dict[str, Any]) -> None:
    """Merge one target. A score from before is kept when this run has none."""
    path = model.folder / RESULTS_NAME
    if target["accuracy"] is None and path.exists():
        before = load_results(path).targets.get(name, {})
        target = {**target, **{key: before.get(key) for key in ("accuracy", "parity")}}
    merge_target(model.folder, model.sha256, model.card.name, name, target)


if __name__ == "__main__":
    raise SystemExit(main())
