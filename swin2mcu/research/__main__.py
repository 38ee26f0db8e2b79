"""Train the configs and seeds of experiments, and write a report from the runs' own files.

    python -m swin2mcu.research configs/research/small-96.toml --write docs/RESULTS.md

Finished runs are not run again; `--report` runs nothing. `--score-test` scores finished runs on
test that were not yet scored with these weights. The published models, the gain of distillation,
the data audit and what training costs (runs/speed, by pytorch_side.speed) stand first.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from pytorch_side.config import differing, load_config
from pytorch_side.reproduce import Sources, make_foundations, train, with_weights
from swin2mcu.common.cli import Parser, run_command, write_atomic
from swin2mcu.common.paths import data_folder
from swin2mcu.research.comparison import draw_curves, section
from swin2mcu.research.cost import cost_section
from swin2mcu.research.data_audit import audit_section
from swin2mcu.research.distillation_gain import draw_gains, gain_section, gains
from swin2mcu.research.table import ExperimentSpec, read_run, read_table
from swin2mcu.research.zoo import zoo_section

log = logging.getLogger(__name__)


def train_missing(table: ExperimentSpec, sources: Sources, overrides: Sequence[str]) -> None:
    """Train or resume every row and seed that is not finished, and the runs they start from."""
    for row in table.rows:
        for seed, folder in row.folders.items():
            given = load_config(row.config, [*row.overrides, *overrides, f"seed={seed}"])
            config = with_weights(given, sources)
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


def score_finished(table: ExperimentSpec, data: Path) -> None:
    """Score on test every finished run that was not yet scored with these weights."""
    from pytorch_side.evaluate.score import score

    for row in table.rows:
        for run in row.runs:
            if run.finished and run.test is None:
                score(run.folder, data, "test")


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--data", type=Path, help="default: $SWIN2MCU_DATA")
    parser.add_argument(
        "--weights", type=Path, help="folder of the files that configs call weights/"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="default: standard output")
    parser.add_argument(
        "--score-test", action="store_true", help="score finished runs on test, once"
    )
    parser.add_argument("--zoo", type=Path, default=Path("tinyml/zoo"))
    parser.add_argument(
        "--evaluated",
        type=Path,
        default=Path("docs/data"),
        help="folder of the files of evaluate audit and probe",
    )
    parser.add_argument("--report", action="store_true", help="run nothing, report what there is")
    arguments = parser.parse_args(argv)

    def command() -> None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        tables = {path.stem: read_table(path, arguments.runs) for path in arguments.tables}
        parts = [
            "# Results",
            "",
            "Written from the runs' own files by `python -m swin2mcu.research "
            + " ".join(str(path) for path in arguments.tables)
            + " --report --write docs/RESULTS.md`; no number is typed by hand but the paper's. "
            "Choices are made on val; each score on test is logged.",
            "",
        ]
        sections, plots = [], arguments.write.parent if arguments.write else None
        for name, table in tables.items():
            if not arguments.report:
                sources = Sources(data_folder(arguments.data), arguments.weights)
                train_missing(table, sources, arguments.overrides)
            if arguments.score_test:
                score_finished(table, data_folder(arguments.data))
            plot = f"results-{name}.svg"
            if plots:
                draw_curves(table, plots / plot)
            sections.append(section(table, plot))
        every, found = list(tables.values()), gains(list(tables.values()))
        parts += zoo_section(arguments.zoo, arguments.runs, Path("configs"), every)
        parts += gain_section(found, "results-gain.svg")
        if plots and found:
            draw_gains(found, plots / "results-gain.svg")
        parts += audit_section(arguments.evaluated, arguments.zoo)
        parts += cost_section(arguments.runs / "speed")
        text = "\n".join([*parts, *sections])
        if arguments.write:
            write_atomic(arguments.write, text)
            print(arguments.write)
        else:
            print(text, end="")

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
