"""The table of docs/BOARDS.md that is made of the reports people sent, docs/boards/*.json.

python -m host_tools.boards.reports
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swin2mcu.common.cli import Parser, UserError, run_command, write_atomic
from swin2mcu.common.documents import replace_part
from swin2mcu.common.json_file import read_json
from swin2mcu.common.paths import ROOT

DOCS = ROOT / "docs" / "BOARDS.md"
REPORTS = ROOT / "docs" / "boards"
NONE = "No report yet: nobody has sent one."
NEEDED = ("board", "chip", "clock_hz", "memory", "engine", "model", "cost", "checks", "date")
TEXT = re.compile(r"[\w .,:()/+-]{1,60}")  # nothing that means something in a Markdown table


def main(argv: Sequence[str] | None = None) -> int:
    Parser(description=__doc__.partition("\n")[0]).parse_args(argv)
    return run_command(lambda: write_atomic(DOCS, rewrite(DOCS.read_text(), load_reports())))


def load_reports(folder: Path = REPORTS) -> list[dict[str, Any]]:
    """Every report of a real board, by its file's name.

    Strangers send them: raises UserError for one that cannot be read or holds no cells of a table.
    """
    reports = []
    for path in sorted(folder.glob("*.json")):
        try:
            report = read_json(path)
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is no report: {error}") from error
        missing = [key for key in NEEDED if not isinstance(report, dict) or key not in report]
        if missing:
            raise UserError(f"{path} is no report of check_board.py: {missing[0]} is missing")
        if report.get("emulated"):
            raise UserError(f"{path} is the report of an emulated board, which tells no time")
        try:
            _cells(report)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{path} is no report of check_board.py: {error!r}") from error
        reports.append(report)
    return reports


def rewrite(text: str, reports: Sequence[dict[str, Any]]) -> str:
    """`text` with a new table of reports. Raises UserError where it has no markers for one."""
    return replace_part(text, "reports", _lines(reports))


def _lines(reports: Sequence[dict[str, Any]]) -> list[str]:
    if not reports:
        return [NONE]
    titles = "board, chip, clock, memory, model and engine, p50, p95, p99, images identical, date"
    lines = [f"| {titles.replace(', ', ' | ')} |", "|---" * (titles.count(",") + 1) + "|"]
    lines += [f"| {' | '.join(_cells(report))} |" for report in reports]
    return lines


def _cells(report: dict[str, Any]) -> list[str]:
    """A row of the table. Raises KeyError, TypeError, ValueError and AttributeError."""
    cost, parity = report["cost"], report["checks"].get("parity", {})
    cells = [
        report["board"],
        report["chip"] or "-",
        f"{report['clock_hz'] / 1e6:,.0f} MHz" if report["clock_hz"] else "-",
        report["memory"]["name"] if report["memory"] else "-",
        f"{report['model']}, {report['engine']}",
        *(_cost(cost[key], cost["unit"]) for key in ("p50", "p95", "p99")),
        f"{parity.get('identical', 0)} of {parity.get('images', 0)}",
        report["date"][:10],
    ]
    if bad := [cell for cell in cells if not TEXT.fullmatch(cell)]:
        raise ValueError(f"{bad[0]!r} is no text for a table")
    return cells


def _cost(value: float, unit: str) -> str:
    return f"{value / 1000:,.1f} ms" if unit == "us" else f"{value:,.0f} {unit}"


if __name__ == "__main__":
    raise SystemExit(main())
