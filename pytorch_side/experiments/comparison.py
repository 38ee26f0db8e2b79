"""The rows of a table against its baseline, as Markdown and as a plot."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_side.config import Config
from pytorch_side.experiments.outcomes import int8_section, knowledge_section, teacher_section
from pytorch_side.experiments.table import Run, Table
from tinyml.cli import atomic_path

SAID_ELSEWHERE = {"seed", "epochs"}  # in columns of their own
# How a teacher would be asked and compared, which says nothing where none is.
OF_A_TEACHER = ("teacher", "attention_", "knowledge", "temperature", "logit_loss", "alignment")
# What a teacher is made of, which the run that its weights come from says.
MADE_OF = {"teacher", "teacher_arguments", "teacher_stem", "teacher_stem_init", "teacher_size"}


def section(table: Table, plot: str) -> str:
    """The table as Markdown: a line a row, a verdict against the baseline, a line a run."""
    found = {row.name: row.runs for row in table.rows}
    base = found[table.baseline]
    lines = [f"## {table.title}", "", f"![validation accuracy over epochs]({plot})", ""]
    lines += [table.note.strip(), ""] if table.note else []
    lines += [
        "| | differs in | seeds | epochs | val top-1 | test top-1 |",
        "|---|---|---|---|---|---|",
    ]
    for name, runs in found.items():
        done = [run for run in runs if run.finished]
        if not done:
            state = f"epoch {len(runs[0].log)} of {runs[0].config.epochs}" if runs else "not run"
            lines.append(f"| {name} | {state} |" + " |" * 4)
            continue
        tests = [run.test for run in done if run.test is not None]
        cells = [
            name,
            differences(done[0].config, base[0].config, table.kind) if base else "",
            len(done),
            done[0].config.epochs,
            _percent([run.val for run in done]),
            _percent(tests) if tests else "not looked at",
        ]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    lines += ["", *_verdicts(table, found), *_run_lines(found)]
    groups = [[run.folder for run in runs] for runs in found.values()]
    lines += [*int8_section(groups), *teacher_section(table.teachers)]
    configs = [run.config for runs in found.values() for run in runs]
    lines += knowledge_section(
        [Path(c.knowledge) for c in configs if c.knowledge and (c.alpha > 0 or c.beta > 0)]
    )
    return "\n".join(lines) + "\n"


def differences(config: Config, baseline: Config, kind: str = "student") -> str:
    """What a row's config says otherwise than the baseline's: "alpha 0.5, beta 0.3"."""
    own, base = dataclasses.asdict(config), dataclasses.asdict(baseline)
    differing = [name for name in own if name not in SAID_ELSEWHERE and own[name] != base[name]]
    if not (config.guide or baseline.guide):  # how a guide would be followed says nothing then
        differing = [name for name in differing if not name.startswith("guide_")]
    if kind == "student" and config.alpha == config.beta == 0:
        differing = [name for name in differing if not name.startswith(OF_A_TEACHER)]
    if "teacher_init" in differing:
        differing = [name for name in differing if name not in MADE_OF]
    return ", ".join(f"{name} {_shown(own[name])}" for name in differing)


def _shown(value: Any) -> str:
    if isinstance(value, str):  # a run's name, or a file's, is enough of a path
        path = Path(value)
        return path.parent.name if path.stem in ("teacher", "student") else path.stem
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_shown(given)}" for name, given in value.items()) + ")"
    if isinstance(value, tuple | list):
        nested = any(isinstance(part, tuple | list) for part in value)
        return ("; " if nested else "-").join(map(_shown, value))
    return str(value)


def _run_lines(found: dict[str, list[Run]]) -> list[str]:
    lines = [
        "",
        "| run | val top-1 | best epoch | hours | waiting for data | on |",
        "|---|---|---|---|---|---|",
    ]
    for run in (run for runs in found.values() for run in runs):
        best = max(run.log, key=lambda e: float(e["val_top1"]))
        seconds = [float(e["seconds"]) for e in run.log]
        waiting = sum(float(e["waiting_share"]) * s for e, s in zip(run.log, seconds, strict=True))
        lines.append(
            f"| {run.folder.name} | {run.val:.2%} | {best['epoch']} "
            f"({float(best['val_top1']):.2%}) | {sum(seconds) / 3600:.2f} "
            f"| {waiting / sum(seconds):.1%} | {_where(run.machine)} |"
        )
    return lines


def _where(machine: dict[str, Any]) -> str:
    if not machine:
        return "unknown"
    count = machine["processes"]
    text = f"{machine['hardware']}, {machine['threads']} threads, torch {machine['torch']}"
    return f"{count} processes: {text}" if count > 1 else text


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
            spread = _pooled_sd(values, base)
            sure = abs(gain) > 200 * spread
            verdict = "more than twice that" if sure else "not more than twice that: nothing shown"
            text += f"; pooled sd {100 * spread:.2f} points: {verdict}"
        else:
            text += "; one seed, so this says little"
        lines.append(text + ".")
    return lines


def _pooled_sd(*groups: Sequence[float]) -> float:
    """Standard deviation within groups of several values each, weighed by their degrees of freedom.

    sqrt(sum((n - 1) variance) / sum(n - 1)).
    """
    weighed = [(len(group) - 1, statistics.variance(group)) for group in groups]
    return float(sum(n * v for n, v in weighed) / sum(n for n, _ in weighed)) ** 0.5


def draw_curves(table: Table, path: Path) -> None:
    """Validation accuracy over epochs, a line a run; the same bytes for the same logs."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot(xlabel="epoch", ylabel="val top-1, %")
    for number, row in enumerate(table.rows):
        for index, run in enumerate(row.runs):
            epochs = [int(entry["epoch"]) for entry in run.log]
            values = [100 * float(entry["val_top1"]) for entry in run.log]
            axes.plot(epochs, values, f"C{number}", label="" if index else row.name, lw=1.2)
    axes.set_ylim(bottom=max(0, min(85, axes.get_ylim()[0])))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    salted = matplotlib.rc_context({"svg.hashsalt": "swin2mcu"})  # else every id is a new one
    with salted, atomic_path(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
