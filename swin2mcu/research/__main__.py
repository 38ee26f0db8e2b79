"""Train the configs and seeds of experiments, and write pages from the files of their runs.

    python -m swin2mcu.research configs/research/small-96.toml --write docs/RESULTS.md

Finished runs are not trained again; `--report` trains nothing. `--score-test` scores finished runs
on test, if they were not yet scored with these weights. An experiment's page is
docs/results/NAME.md. The tables of RESULTS.md, and the pages of published models, recall and speed,
are also written. docs/data keeps what they show and what few machines have: gains.json the gains of
all experiments for the map, trainings.json the trainings of published models, cached_outputs.json
the figures of teachers' outputs, speed/*.json what pytorch_side.speed measured.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from pytorch_side.command import add_overrides
from pytorch_side.config import Config, differing, load_config, with_values
from pytorch_side.reproduce import RUNS, Sources, make_foundations, train, with_weights
from swin2mcu.common.cli import Parser, UserError, run_command
from swin2mcu.common.paths import CONFIGS, data_folder
from swin2mcu.research.pages import Figures, gains_of, pages, parts, write
from swin2mcu.research.table import ExperimentSpec, find_tables, read_run, read_table

log = logging.getLogger(__name__)

RESEARCH = CONFIGS / "research"


def train_missing(table: ExperimentSpec, sources: Sources, overrides: Sequence[str]) -> None:
    """Train or resume every row and seed that is not finished, and the runs they start from."""
    for row in table.rows:
        for seed, folder in row.folders.items():
            given = load_config(row.config, [*row.overrides, *overrides, f"seed={seed}"])
            config = with_weights(start_of_seed(given, table), sources)
            run = read_run(folder, row.kind)
            if run and run.finished:
                if other := differing(config, run.config):
                    log.info(
                        "%s: finished, with another %s: remove it to train it again",
                        folder,
                        ", ".join(other),
                    )
                continue
            make_foundations(config, row.kind, sources, (row.config.stem,))
            train(config, row.kind, sources.data, folder)


def start_of_seed(config: Config, table: ExperimentSpec) -> Config:
    """The config with the start of its seed, where a row goes on from another row's run.

    Otherwise all seeds of a chain of trainings would share its first part.
    """
    for row in table.rows:
        first, own = row.folders.get(0), row.folders[config.seed]
        if first and config.student.init == f"{RUNS}/{first.name}/student.safetensors":
            return with_values(config, {"student.init": f"{RUNS}/{own.name}/student.safetensors"})
    return config


def score_finished(table: ExperimentSpec, data: Path) -> None:
    """Score on test every finished run that was not yet scored with these weights."""
    from pytorch_side.evaluate.score import score

    for row in table.rows:
        for run in row.runs:
            if not (run.folder / f"{row.kind}.safetensors").is_file():
                log.info("%s: its weights are not here, it is not scored", run.folder)
            elif run.finished and run.test is None:
                score(run.folder, data, "test")


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "tables",
        nargs="*",
        type=Path,
        help="files of experiments; default: all in configs/research",
    )
    parser.add_argument(
        "--runs", type=Path, default=RUNS, help="folder of the runs (default: runs)"
    )
    parser.add_argument("--data", type=Path, help="default: $SWIN2MCU_DATA")
    parser.add_argument("--weights", type=Path, help="folder that configs call weights/")
    add_overrides(parser)
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FILE.md",
        help="docs/RESULTS.md; pages go into results/ beside it. Default: standard output",
    )
    parser.add_argument(
        "--score-test", action="store_true", help="score each finished run on test, once"
    )
    parser.add_argument("--zoo", type=Path, default=Path("tinyml/zoo"), help="default: tinyml/zoo")
    parser.add_argument(
        "--evaluated",
        type=Path,
        default=Path("docs/data"),
        help="folder of the results of evaluate audit and probe",
    )
    parser.add_argument("--report", action="store_true", help="train nothing, only write reports")
    arguments = parser.parse_args(argv)

    def command() -> None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        if arguments.report and arguments.runs != RUNS and not arguments.runs.is_dir():
            raise UserError(f"--runs {arguments.runs} is no folder: name the one that holds runs")
        chosen = arguments.tables or find_tables(RESEARCH)
        tables = {path.stem: read_table(path, arguments.runs) for path in chosen}
        for table in tables.values():
            if not arguments.report:
                sources = Sources(data_folder(arguments.data), arguments.weights)
                train_missing(table, sources, arguments.overrides)
            if arguments.score_test:
                score_finished(table, data_folder(arguments.data))
        figures = Figures(tables, arguments.runs, arguments.zoo, arguments.evaluated)
        if arguments.write:
            for path in write(arguments.write, figures):
                print(path)
        else:
            found = parts(figures, gains_of(figures)).values()
            shown = ["\n".join(lines) + "\n" for lines in found if lines]
            print("\n".join([*shown, *pages(figures).values()]), end="")

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
