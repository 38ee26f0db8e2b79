"""The pages of results: docs/RESULTS.md, and the pages in docs/results/ that it links to.

RESULTS.md is written by hand, except for the parts between its markers. Every page in results/ is
generated completely. Pages and parts that need runs of another machine are not changed.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swin2mcu.common.cli import write_atomic
from swin2mcu.common.documents import replace_part
from swin2mcu.common.paths import TEACHERS
from swin2mcu.research.comparison import caches_of, draw_curves, section
from swin2mcu.research.cost import cache_cost_lines, speed_section
from swin2mcu.research.data_audit import (
    NOT_SURE,
    background_lines,
    mistakes_lines,
    recall_section,
    split_lines,
    unknown_lines,
    unknown_section,
)
from swin2mcu.research.distillation_gain import GAINS, Gain, gains_json, known_gains
from swin2mcu.research.distillation_map import FEW, FEW_LABELS, draw_map, few_label_gains, map_lines
from swin2mcu.research.int8 import HEAD
from swin2mcu.research.table import ExperimentSpec
from swin2mcu.research.teachers import CACHED, cache_figures
from swin2mcu.research.text import read_json
from swin2mcu.research.trainings import (
    TRAININGS,
    Training,
    trainings_json,
    trainings_of,
    trainings_section,
)
from swin2mcu.research.zoo import int8_lines, models_lines, published_section

log = logging.getLogger(__name__)

FOLDER = "results"  # beside RESULTS.md
MAP = "map"  # the part, and the name of its picture


@dataclass(frozen=True)
class Figures:
    """Where the figures are read from."""

    tables: Mapping[str, ExperimentSpec]  # by the page's name
    runs: Path
    zoo: Path
    evaluated: Path  # of evaluate audit and probe, backgrounds, calibrate, mistakes


def parts(figures: Figures, gains: Sequence[Gain]) -> dict[str, list[str]]:
    """The parts of RESULTS.md by their marker; a part is empty if its files are missing."""
    return {
        "models": models_lines(figures.zoo, figures.runs, Path("configs")),
        MAP: map_lines(gains, f"{FOLDER}/{MAP}.svg"),
        "audit": split_lines(figures.evaluated),
        "backgrounds": background_lines(figures.evaluated),
        "unknown": unknown_lines(figures.evaluated),
        "mistakes": mistakes_lines(figures.evaluated),
        "cost": cache_cost_lines(figures.evaluated / "speed"),
    }


def gains_of(figures: Figures) -> list[Gain]:
    """The gains of all experiments, those that are not here as recorded."""
    return [
        *known_gains(list(figures.tables.values()), figures.evaluated / GAINS),
        *few_label_gains(read_json(figures.evaluated / FEW_LABELS).get("runs", [])),
    ]


def trainings_here(figures: Figures) -> list[Training]:
    """The trainings of the published models, those that are not here as recorded."""
    return trainings_of(figures.zoo, figures.runs, figures.evaluated / TRAININGS)


def pages(figures: Figures) -> dict[str, str]:
    """The pages of results/ by their name; pages whose files are missing are left out."""
    found = {
        "published": published_section(figures.zoo, TEACHERS),
        "trainings": trainings_section(trainings_here(figures)),
        "recall": recall_section(figures.zoo),
        NOT_SURE: unknown_section(figures.evaluated),
        "cost": speed_section(figures.evaluated / "speed"),
    }
    recorded = read_json(figures.evaluated / CACHED)
    for name, table in figures.tables.items():
        finished = [row for row in table.rows if any(run.finished for run in row.runs)]
        # One row alone compares nothing.
        found[name] = section(table, f"{name}.svg", recorded) if len(finished) > 1 else []
    return {name: "\n".join(lines).rstrip() + "\n" for name, lines in found.items() if lines}


def write(document: Path, figures: Figures) -> list[Path]:
    """Write everything whose source files exist, and return the paths of the written files.

    Raises UserError when the document lacks a marker.
    """
    folder = document.parent / FOLDER
    text = document.read_text(encoding="utf-8")
    found = gains_of(figures)  # once, since a run may finish meanwhile
    for name, lines in parts(figures, found).items():
        if lines:
            text = replace_part(text, name, lines)
        else:
            log.info("%s: part %s stays as it is, its files are not here", document, name)
    written = []
    for name, page in pages(figures).items():
        path = folder / f"{name}.md"
        if name in figures.tables:
            if lost := _lost_rows(path, page):
                log.info("%s stays, files of its rows are not here: %s", path, ", ".join(lost))
                continue
            draw_curves(figures.tables[name], folder / f"{name}.svg")
        write_atomic(path, page)
        written.append(path)
    published = int8_lines(figures.zoo)
    for path in sorted({*folder.glob("*.md")} - {*written}):
        kept = path.read_text(encoding="utf-8")
        if (page := with_published(kept, published)) != kept:
            write_atomic(path, page)
            written.append(path)
    if found:
        draw_map(found, folder / f"{MAP}.svg")
        own = gains_json(gain for gain in found if gain.start != FEW)
        write_atomic(figures.evaluated / GAINS, own)
    caches = {str(path): path for table in figures.tables.values() for path in caches_of(table)}
    if here := {key: one for key, path in caches.items() if (one := cache_figures(path))}:
        known = read_json(figures.evaluated / CACHED) | here
        write_atomic(figures.evaluated / CACHED, json.dumps(known, indent=1) + "\n")
    if trainings := trainings_here(figures):
        write_atomic(figures.evaluated / TRAININGS, trainings_json(trainings))
    text = replace_part(text, "experiments", _contents(folder))
    write_atomic(document, text)
    return [*written, document]


def with_published(page: str, lines: Mapping[str, str]) -> str:
    """The page with the present int8 lines of published models: one may be fine-tuned again."""
    head, mark, rows = page.partition(f"| {HEAD} |\n")
    return (
        head
        + mark
        + "\n".join(
            lines.get(row.removeprefix("| ").partition(" |")[0], row) for row in rows.split("\n")
        )
    )


def _lost_rows(page: Path, new: str) -> list[str]:
    """The rows of runs, models, teachers and caches that a page has and its new text has not."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    return sorted(_row_names(text) - _row_names(new))


def _row_names(text: str) -> Counter[str]:
    """The first cells in all tables but the first one, whose rows an experiment may rename."""
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    rows = [row for table in tables[1:] for row in table.splitlines()[2:]]
    return Counter(row.removeprefix("| ").partition(" |")[0] for row in rows)


def _contents(folder: Path) -> Sequence[str]:
    """One line of links to every page, by its title."""
    titles = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))}
    links = [
        f"[{text.partition(chr(10))[0].removeprefix('# ')}]({folder.name}/{name})"
        for name, text in titles.items()
    ]
    return [f"All pages: {'; '.join(links)}."]
