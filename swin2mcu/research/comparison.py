"""An experiment's rows compared with its baseline, as Markdown and as a plot."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_side.config import Config, differing, flat
from swin2mcu.common.svg import save_svg
from swin2mcu.research.int8 import int8_section
from swin2mcu.research.table import OF_A_TEACHER, RUN_HEAD, ExperimentSpec, Run, run_cells
from swin2mcu.research.teachers import teacher_cache_section, teacher_section
from swin2mcu.research.text import line, table

STYLES = ("-", "--", ":", "-.")  # of lines, after ten colors
SAID_ELSEWHERE = {"seed", "optimizer.epochs"}  # these have their own columns
MADE_IN_A_RUN = ("teacher", "student", "teacher_cache")  # files and folders, without suffix
# Fields that follow from the run of the teacher.
MADE_OF = {f"teacher.{name}" for name in ("name", "arguments", "stem", "stem_init", "size")}


def section(
    experiment: ExperimentSpec, plot: str, recorded: Mapping[str, dict[str, Any]] | None = None
) -> list[str]:
    """The experiment's page: a line per row, its comparison with the baseline, a line per run.

    `recorded` are the figures of teachers' caches that are not here.
    """
    found = {row.name: row.runs for row in experiment.rows}
    base = found[experiment.baseline]
    lines = [f"# {experiment.title}", "", f"![validation accuracy over epochs]({plot})", ""]
    lines += [experiment.note.strip(), ""] if experiment.note else []
    rows = []
    for name, runs in found.items():
        done = [run for run in runs if run.finished]
        if not done:
            state = f"epoch {len(runs[0].log)} of {runs[0].epochs}" if runs else "not run"
            rows.append(line(name, state, *[""] * 4))
            continue
        rows.append(
            line(
                name,
                differences(done[0].config, base[0].config, experiment.kind) if base else "",
                len(done),
                done[0].epochs,
                _percent([run.val for run in done]),
                _tests([run.test for run in done]),
            )
        )
    lines += table(
        " | differs in | seeds | epochs | val top-1 ± sd of seeds | test top-1 ± sd of seeds", rows
    )
    lines += ["", *_verdicts(experiment, found), *_run_lines(found)]
    groups = [[run.folder for run in runs] for runs in found.values()]
    lines += [*int8_section(groups), *teacher_section(experiment.teachers)]
    return [*lines, *teacher_cache_section(caches_of(experiment), recorded)]


def caches_of(experiment: ExperimentSpec) -> list[Path]:
    """The named folders of cached outputs that the experiment's runs use."""
    configs = [run.config for row in experiment.rows for run in row.runs]
    return [
        Path(c.distillation.cache) for c in configs if c.distillation.cache and c.distillation.used
    ]


def differences(config: Config, baseline: Config, kind: str = "student") -> str:
    """The fields in which a row's config differs from the baseline's: "alpha 0.5, beta 0.3"."""
    own = flat(config)
    names = [name for name in differing(config, baseline) if name not in SAID_ELSEWHERE]
    if not (config.hint.init or baseline.hint.init):  # the other fields have no effect then
        names = [name for name in names if not name.startswith("hint.")]
    if kind == "student" and not config.distillation.used:
        names = [name for name in names if not name.startswith(OF_A_TEACHER)]
    if "teacher.init" in names:
        names = [name for name in names if name not in MADE_OF]
    return ", ".join(f"{_short(name)} {_shown(own[name])}" for name in names)


def _short(name: str) -> str:
    """A field's name without "distillation.", except for `cache`, which would be unclear."""
    return name.removeprefix("distillation.") if name != "distillation.cache" else name


def _shown(value: Any) -> str:
    if isinstance(value, str):  # of a path, show only the name of the run or the file
        path = Path(value)
        return path.parent.name if path.stem in MADE_IN_A_RUN else path.stem
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_shown(given)}" for name, given in value.items()) + ")"
    if isinstance(value, tuple | list):
        nested = any(isinstance(part, tuple | list) for part in value)
        return ("; " if nested else "-").join(map(_shown, value))
    return str(value)


def _run_lines(found: dict[str, list[Run]]) -> list[str]:
    runs = [run for runs in found.values() for run in runs]
    return table(f"run | {RUN_HEAD}", [line(run.folder.name, *run_cells(run)) for run in runs])


def _percent(values: Sequence[float]) -> str:
    mean = f"{statistics.mean(values):.2%}"
    return f"{mean} ± {statistics.stdev(values):.2%}" if len(values) > 1 else mean


def _tests(values: Sequence[float | None]) -> str:
    """Scores on test; with the number of scored seeds if some are missing."""
    seen = [value for value in values if value is not None]
    if not seen:
        return "not scored"
    return _percent(seen) + (f" ({len(seen)} of {len(values)})" if len(seen) < len(values) else "")


def _verdicts(experiment: ExperimentSpec, found: dict[str, list[Run]]) -> list[str]:
    """Each row compared with the baseline. With one seed, no claim is made."""
    finished = {name: [run for run in runs if run.finished] for name, runs in found.items()}
    lines = []
    for name, runs in finished.items():
        values, base = of_shared_seeds(runs, finished[experiment.baseline])
        if name == experiment.baseline or not values or not base:
            continue
        gain = 100 * (statistics.mean(values) - statistics.mean(base))
        text = f"- {name}: {round(gain, 6):+.2f} points on val against {experiment.baseline}"
        seeds = min(len(values), len(base))
        if seeds > 1:
            spread = pooled_sd(values, base)
            sure = seeds > 2 and abs(gain) > 200 * spread
            verdict = "more than twice that" if sure else "not more than twice that: nothing shown"
            verdict = verdict if seeds > 2 else "two seeds, so this says little"
            text += f"; pooled sd {100 * spread:.2f} points: {verdict}"
        else:
            text += "; one seed, so this says little"
        lines.append(text + ".")
    return lines


def of_shared_seeds(runs: Sequence[Run], others: Sequence[Run]) -> tuple[list[float], list[float]]:
    """Accuracy on val of two rows' runs with the seeds that both have; of all if they share none.

    The rows of a seed start alike, so a seed that one row lacks would shift the other's mean.
    """
    shared = {run.config.seed for run in runs} & {run.config.seed for run in others}
    first, second = (
        [run.val for run in row if run.config.seed in shared] for row in (runs, others)
    )
    if shared:
        return first, second
    return [run.val for run in runs], [run.val for run in others]


def pooled_sd(*groups: Sequence[float]) -> float:
    """Pooled standard deviation of groups of several values each.

    sqrt(sum((n - 1) variance) / sum(n - 1)).
    """
    weighed = [(len(group) - 1, statistics.variance(group)) for group in groups]
    return math.sqrt(sum(n * v for n, v in weighed) / sum(n for n, _ in weighed))


def draw_curves(experiment: ExperimentSpec, path: Path) -> None:
    """Plot validation accuracy over epochs, one line per run. Equal logs give equal bytes."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    lasts: list[float] = []
    figure = Figure(figsize=(10, 3.5), layout="constrained")
    axes = figure.add_subplot(xlabel="epoch", ylabel="val top-1, %")
    for number, row in enumerate(experiment.rows):
        for index, run in enumerate(row.runs):
            epochs = [int(entry["epoch"]) for entry in run.log]
            values = [100 * float(entry["val_top1"]) for entry in run.log]
            label = "" if index else row.name
            axes.plot(
                epochs, values, f"C{number % 10}", ls=STYLES[number // 10], label=label, lw=1.2
            )
            lasts += values[len(values) // 3 :]
    if lasts:  # leave out the first epochs, which are much lower and similar
        axes.set_ylim(bottom=min(lasts) - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    if lasts:
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1.0))
    save_svg(figure, path)
