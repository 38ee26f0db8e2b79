"""Run many small trainings through the whole chain and keep the worst figures: `make soak`.

Finished cases are kept in build/soak and not run again; remove that folder to start again. When all
are finished, the figures are written to docs/data/soak.json, and from there to docs/PARITY.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from swin2mcu.common.bound import bound
from swin2mcu.common.cli import Parser, UserError, run_command, write_atomic
from swin2mcu.soak.cases import CASES, SHORT, Case
from swin2mcu.soak.tables import summarize, write_document

BUILD = Path("build/soak")
FIGURES, DOCUMENT = Path("docs/data/soak.json"), Path("docs/PARITY.md")


def run_case(case: Case, build: Path) -> str:
    """Run one case in its own process unless it is finished. Returns "" or the error."""
    folder = build / case.name
    if (folder / "figures.json").is_file():
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    threads = {name: str(case.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    with (folder / "log.txt").open("w", encoding="utf-8") as log:
        command = [sys.executable, "-m", "swin2mcu.soak.chain", case.name, str(folder)]
        with bound(command, log, subprocess.STDOUT, os.environ | threads) as running:
            status = running.wait()
    if status == 0:
        return ""
    lines = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    told = [line for line in lines if line.startswith(("broken:", "error:"))] or lines[-1:]
    return f"{case.name}: {'; '.join(told) or 'no message'} (all of it in {folder / 'log.txt'})"


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--short", action="store_true", help="two cases, and no documents")
    parser.add_argument("--build", type=Path, default=BUILD, help=f"default: {BUILD}")
    parser.add_argument("--limit", type=int, help="run at most this many cases, then stop")
    arguments = parser.parse_args(argv)

    def command() -> int:
        if arguments.limit is not None and arguments.limit < 1:
            raise UserError("--limit must be at least 1")
        chosen = SHORT if arguments.short else CASES
        waiting = [c for c in chosen if not (arguments.build / c.name / "figures.json").is_file()]
        complaints = []
        for case in waiting[: arguments.limit]:
            complaint = run_case(case, arguments.build)
            print(complaint or f"{case.name}: holds", flush=True)
            complaints += [complaint] if complaint else []
        files = [arguments.build / case.name / "figures.json" for case in chosen]
        found = [json.loads(f.read_text(encoding="utf-8")) for f in files if f.is_file()]
        if not found:
            raise UserError("no case went through the chain: see above")
        stages = {tuple(stage["name"] for stage in case["stages"]) for case in found}
        if len(stages) > 1:
            raise UserError(
                f"the cases in {arguments.build} were run by different versions: remove it, and "
                "start again"
            )
        if not arguments.short and len(found) == len(chosen):
            write_atomic(FIGURES, json.dumps(summarize(found), indent=1) + "\n")
            write_document(DOCUMENT, json.loads(FIGURES.read_text(encoding="utf-8")))
        print(f"{len(found)} of {len(chosen)} cases went through the chain and hold")
        return 1 if complaints else 0

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
