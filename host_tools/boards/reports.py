"""The table of docs/BOARDS.md that is made of the reports people sent, docs/boards/*.json.

python -m host_tools.boards.reports
"""

from __future__ import annotations

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


def main(argv: Sequence[str] | None = None) -> int:
    Parser(description=__doc__.partition("\n")[0]).parse_args(argv)
    return run_command(lambda: write_atomic(DOCS, rewrite(DOCS.read_text(), load_reports())))


def load_reports(folder: Path = REPORTS) -> list[dict[str, Any]]:
    """Every report, by its file's name. Raises UserError for one that cannot be read."""
    reports = []
    for path in sorted(folder.glob("*.json")):
        try:
            report = read_json(path)
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is no report: {error}") from error
        missing = [key for key in NEEDED if not isinstance(report, dict) or key not in report]
        if missing:
            raise UserError(f"{path} is no report of check_board.py: {missing[0]} is missing")
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
    for report in reports:
        cost, parity = report["cost"], report["checks"].get("parity", {})
        clock = f"{report['clock_hz'] / 1e6:,.0f} MHz" if report["clock_hz"] else "-"
        cells = (
            report["board"],
            report["chip"] or "-",
            clock,
            report["memory"]["name"] if report["memory"] else "-",
            f"{report['model']}, {report['engine']}",
            *(_cost(cost[key], cost["unit"]) for key in ("p50", "p95", "p99")),
            f"{parity.get('identical', 0)} of {parity.get('images', 0)}",
            report["date"][:10],
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _cost(value: float, unit: str) -> str:
    return f"{value / 1000:,.1f} ms" if unit == "us" else f"{value:,.0f} {unit}"


if __name__ == "__main__":
    raise SystemExit(main())
