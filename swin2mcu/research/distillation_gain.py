"""The gain of distillation: every distilled student beside its matched control on labels alone.

docs/data/gains.json keeps the gains of all experiments, since few machines have the runs of all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev

from pytorch_side.config import Config, differing
from swin2mcu.research.comparison import of_shared_seeds, pooled_sd
from swin2mcu.research.table import OF_A_TEACHER, ExperimentSpec, Row, Run
from swin2mcu.research.text import damaged, read_json

GAINS = "gains.json"  # in docs/data
IGNORED = ("seed", "augment.cached", *OF_A_TEACHER)


@dataclass(frozen=True)
class Gain:
    """A row's val accuracy minus that of its matched control, in points.

    The control is trained on labels alone, with the same start, images and epochs.
    """

    run: str  # the folder of its first seed
    start: str  # what weights the student starts from: "random" or "pretrained"
    name: str
    points: float
    sd: float | None  # pooled, within rows; None for one seed
    seeds: int  # of the row or of its control, whichever has fewer
    epochs: int
    # Of each seed, where a seed's rows share what varies between seeds more than the rows differ.
    pairs: tuple[float, ...] = ()

    @property
    def sure(self) -> bool:
        """Whether three seeds or more gained more than twice their pooled standard deviation.

        Without any effect two seeds do so in one case of eleven.
        """
        return self.sd is not None and self.seeds > 2 and self.points > 2 * self.sd

    @property
    def sure_in_pairs(self) -> bool:
        """Whether the seeds' own gains have a mean of more than twice their standard deviation."""
        return len(self.pairs) > 2 and mean(self.pairs) > 2 * stdev(self.pairs)


def gains(tables: Sequence[ExperimentSpec]) -> list[Gain]:
    """The gain of each finished distilled row that has a matched control in its table."""
    found: dict[str, Gain] = {}  # by the first run, because some rows are in two tables
    for table in tables:
        rows = [(row, _finished(row)) for row in table.rows if row.kind == "student"]
        for row, runs in rows:
            controls = [
                other
                for _, other in rows
                if runs and other and _is_control(other[0].config, runs[0].config)
            ]
            if not controls:
                continue
            values, labels = of_shared_seeds(runs, controls[0])
            student = runs[0].config.student
            several = len(values) > 1 and len(labels) > 1
            seeds = min(len(values), len(labels))
            first = next(iter(row.folders.values())).name
            if first in found and found[first].seeds >= seeds:
                continue
            found[first] = Gain(
                first,
                "pretrained" if student.init or student.pretrained else "random",
                f"{row.name} ({student.name}, {student.size} px)",
                round(100 * (mean(values) - mean(labels)), 6),
                round(100 * pooled_sd(values, labels), 6) if several else None,
                seeds,
                runs[0].epochs,
            )
    return list(found.values())


def known_gains(tables: Sequence[ExperimentSpec], recorded: Path) -> list[Gain]:
    """The gains of the tables' runs, and for runs that are not here the recorded ones.

    A recorded gain of more seeds stays, too.
    """
    known = {gain.run: gain for gain in read_gains(recorded)}
    for gain in gains(tables):
        if gain.run not in known or gain.seeds >= known[gain.run].seeds:
            known[gain.run] = gain
    return sorted(known.values(), key=lambda gain: (gain.start, gain.run))


def read_gains(path: Path) -> list[Gain]:
    """The recorded gains. Raises UserError for a file of anything else."""
    recorded = read_json(path) or []
    try:
        return [Gain(**{**values, "pairs": tuple(values["pairs"])}) for values in recorded]
    except (KeyError, TypeError) as error:
        raise damaged(path, error) from error


def gains_json(found: Iterable[Gain]) -> str:
    return json.dumps([asdict(gain) for gain in found], indent=1) + "\n"


def _finished(row: Row) -> list[Run]:
    return [run for run in row.runs if run.finished]


def _is_control(labels: Config, distilled: Config) -> bool:
    """Whether distillation is the only difference between the two configs."""
    if labels.distillation.used or not distilled.distillation.used:
        return False
    hints = labels.hint.init or distilled.hint.init
    ignored = IGNORED if hints else (*IGNORED, "hint.")
    return not [name for name in differing(labels, distilled) if not name.startswith(ignored)]
