"""Run a table of configs and seeds, and write what came out from the runs' own files.

    python -m pytorch_side.experiments configs/table-small-96.toml --write docs/RESULTS.md

    title = "…"                       # of the section in the document
    seeds = [0, 1, 2]                 # each row is run with each
    baseline = "cross-entropy alone"  # the row that the others are compared with
    [[rows]]
    name = "cross-entropy alone"
    config = "small-96-baseline.toml" # beside this file
    run = "small-96-baseline"         # folder in runs/; seeds above 0 get "-seed1", …
    [[teachers]]                      # optional: whose logged scores stand beside
    name = "small Swin"
    run = "teacher-small"

What is finished is not run again; `--report` runs nothing. `--look` scores on test what is finished
and was not looked at with these weights. The published models' table stands at the end.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import statistics
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytorch_side.config import Config, data_folder, load_config, read_saved_config
from pytorch_side.outcomes import int8_section, look_at_test, teacher_section, zoo_section
from pytorch_side.reproduce import Sources, make_foundations, train, with_weights
from tinyml.cli import UserError, atomic_path, run_command, write_atomic


@dataclass(frozen=True)
class Run:
    """One finished or unfinished run, as its files tell."""

    folder: Path
    config: Config
    log: list[dict[str, str]]  # one row an epoch
    machine: dict[str, Any]  # hardware, threads, processes, torch
    test: float | None  # top-1 of the last logged look at test with these very weights

    @property
    def finished(self) -> bool:
        return len(self.log) >= self.config.epochs

    @property
    def val(self) -> float:
        return float(self.log[-1]["val_top1"])


@dataclass(frozen=True)
class Row:
    name: str
    config: Path
    folders: dict[int, Path]  # seed → run


@dataclass(frozen=True)
class Table:
    title: str
    baseline: str
    rows: tuple[Row, ...]
    teachers: tuple[tuple[str, Path], ...]  # name, run


def read_table(path: Path, runs: Path) -> Table:
    """Read a table file. Raises UserError for a missing file, key or baseline row."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        rows = tuple(
            Row(
                row["name"],
                path.parent / row["config"],
                {s: runs / (row["run"] + (f"-seed{s}" if s else "")) for s in values["seeds"]},
            )
            for row in values["rows"]
        )
        teachers = tuple((t["name"], runs / t["run"]) for t in values.get("teachers", []))
        table = Table(values["title"], values["baseline"], rows, teachers)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"cannot read table {path}: {error}") from error
    except (KeyError, TypeError) as error:
        raise UserError(f"table {path} lacks {error}: see configs/table-small-96.toml") from error
    if table.baseline not in {row.name for row in rows}:
        raise UserError(f"table {path}: baseline {table.baseline!r} is the name of no row")
    return table


def read_run(folder: Path) -> Run | None:
    """What a run's folder holds; None before its first epoch."""
    if not (folder / "log.csv").is_file():
        return None
    with (folder / "log.csv").open(newline="", encoding="utf-8") as stream:
        log = list(csv.DictReader(stream))
    path = folder / "machine.json"
    machine = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    config = read_saved_config(folder / "config.json")
    look = look_at_test(folder, "student.safetensors")
    return Run(folder, config, log, machine, look["top1"] if look else None)


def train_missing(table: Table, sources: Sources, overrides: Sequence[str]) -> None:
    """Run, or go on with, every row and seed that is not finished, and what they stand on."""
    for row in table.rows:
        for seed, folder in row.folders.items():
            run = read_run(folder)
            if run and run.finished:
                continue
            given = load_config(row.config, [*overrides, f"seed={seed}"])
            config = with_weights(given, sources)
            make_foundations(config, "student", sources, (row.config.stem,))
            train(config, "student", sources.data, folder)


def look_at_finished(table: Table, data: Path) -> None:
    """Score every finished run on test that was not yet, with these weights; looks are logged."""
    from pytorch_side.evaluate.score import score

    for row in table.rows:
        for run in _runs(row):
            if run.finished and run.test is None:
                score(run.folder, data, "test")


def section(table: Table, plot: str) -> str:
    """The table as Markdown: a line a row, a verdict against the baseline, a line a run."""
    found = {row.name: _runs(row) for row in table.rows}
    lines = [f"## {table.title}", "", f"![validation accuracy over epochs]({plot})", ""]
    lines += [
        "| | seeds | epochs | views | alpha | T | beta | map | val top-1 | test top-1 | s/epoch |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, runs in found.items():
        done = [run for run in runs if run.finished]
        if not done:
            state = f"epoch {len(runs[0].log)} of {runs[0].config.epochs}" if runs else "not run"
            lines.append(f"| {name} | {state} |" + " |" * 9)
            continue
        c = done[0].config
        taught = c.alpha > 0 or c.beta > 0
        tests = [run.test for run in done if run.test is not None]
        seconds = statistics.median(float(e["seconds"]) for run in done for e in run.log)
        cells = [
            name,
            len(done),
            c.epochs,
            c.views or "fresh",
            c.alpha,
            c.temperature if c.alpha else "–",  # noqa: RUF001
            c.beta,
            c.attention_map if taught and c.beta else "–",  # noqa: RUF001
            _percent([run.val for run in done]),
            _percent(tests) if tests else "not looked at",
            f"{seconds:.0f}",
        ]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    lines += [
        "",
        *_verdicts(table, found),
        "",
        "| run | val top-1 | best epoch | hours | waiting for data | on |",
    ]
    lines.append("|---|---|---|---|---|---|")
    for runs in found.values():
        for run in runs:
            best = max(run.log, key=lambda e: float(e["val_top1"]))
            seconds = [float(e["seconds"]) for e in run.log]
            waiting = sum(
                float(e["waiting_share"]) * s for e, s in zip(run.log, seconds, strict=True)
            )
            lines.append(
                f"| {run.folder.name} | {run.val:.2%} | {best['epoch']} "
                f"({float(best['val_top1']):.2%}) | {sum(seconds) / 3600:.2f} "
                f"| {waiting / sum(seconds):.1%} | {_where(run.machine)} |"
            )
    groups = [[run.folder for run in runs] for runs in found.values()]
    lines += [*int8_section(groups), *teacher_section(table.teachers)]
    return "\n".join(lines) + "\n"


def _where(machine: dict[str, Any]) -> str:
    if not machine:
        return "unknown"
    count = machine["processes"]
    text = f"{machine['hardware']}, {machine['threads']} threads, torch {machine['torch']}"
    return f"{count} processes: {text}" if count > 1 else text


def _runs(row: Row) -> list[Run]:
    return [run for folder in row.folders.values() if (run := read_run(folder))]


def _percent(values: Sequence[float]) -> str:
    mean = f"{statistics.mean(values):.2%}"
    return f"{mean} ± {statistics.stdev(values):.2%}" if len(values) > 1 else mean


def _verdicts(table: Table, found: dict[str, list[Run]]) -> list[str]:
    """Each row against the baseline; with one seed no claim is made."""
    base = [run.val for run in found[table.baseline] if run.finished]
    lines = []
    for name, runs in found.items():
        values = [run.val for run in runs if run.finished]
        if name == table.baseline or not values or not base:
            continue
        gain = 100 * (statistics.mean(values) - statistics.mean(base))
        text = f"- {name}: {gain:+.2f} points on val against {table.baseline}"
        if len(values) > 1 and len(base) > 1:
            spread = statistics.fmean([statistics.variance(v) for v in (values, base)]) ** 0.5
            sure = gain > 200 * spread
            text += f"; pooled sd {spread:.2%}: {'more' if sure else 'not more'} than twice that"
        else:
            text += "; one seed, so this says little"
        lines.append(text + ".")
    return lines


def draw_curves(table: Table, path: Path) -> None:
    """Validation accuracy over epochs, a line a run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot(xlabel="epoch", ylabel="val top-1, %")
    for number, row in enumerate(table.rows):
        for index, run in enumerate(_runs(row)):
            epochs = [int(entry["epoch"]) for entry in run.log]
            values = [100 * float(entry["val_top1"]) for entry in run.log]
            axes.plot(epochs, values, f"C{number}", label="" if index else row.name, lw=1.2)
    axes.set_ylim(bottom=max(0, min(85, axes.get_ylim()[0])))
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--data", type=Path, help="default: $SWIN2MCU_DATA")
    parser.add_argument(
        "--weights", type=Path, help="folder of the files that configs call weights/"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="default: standard output")
    parser.add_argument("--look", action="store_true", help="score finished runs on test, once")
    parser.add_argument("--zoo", type=Path, default=Path("tinyml/zoo"))
    parser.add_argument("--report", action="store_true", help="run nothing, report what there is")
    arguments = parser.parse_args(argv)

    def command() -> None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        tables = {path.stem: read_table(path, arguments.runs) for path in arguments.tables}
        parts = [
            "# Results",
            "",
            "Written from the runs' own files by `python -m pytorch_side.experiments "
            + " ".join(str(path) for path in arguments.tables)
            + "`; no number is typed by hand but the paper's. Choices are made on val; a look at "
            "test is logged.",
            "",
        ]
        for name, table in tables.items():
            if not arguments.report:
                sources = Sources(data_folder(arguments.data), arguments.weights)
                train_missing(table, sources, arguments.overrides)
            if arguments.look:
                look_at_finished(table, data_folder(arguments.data))
            plot = f"results-{name.removeprefix('table-')}.svg"
            if arguments.write:
                draw_curves(table, arguments.write.parent / plot)
            parts.append(section(table, plot))
        parts += zoo_section(arguments.zoo, arguments.runs, Path("configs"))
        text = "\n".join(parts)
        if arguments.write:
            write_atomic(arguments.write, text)
            print(arguments.write)
        else:
            print(text, end="")

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
