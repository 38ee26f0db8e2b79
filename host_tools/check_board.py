"""Check a connected board of any kind and write one report of it: parity, faults, what it costs.

    python host_tools/check_board.py [RUN_OR_ZOO] [--port PORT] [--images 20] [--out FILE]

The board must hold the model already (`python host_tools/flash.py`). The images are generated, so
no data set is needed. Every logit byte is compared with TFLite Micro's on the PC.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import pstdev
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from host_tools.boards import emulator
from host_tools.boards.checks import Outcome, check_faults, check_parity, check_refusals
from host_tools.boards.chip import describe_chip
from host_tools.boards.open import open_line
from host_tools.boards.table import get_board, load_boards
from host_tools.inputs import Model, add_model, load_model
from host_tools.link.connection import first_hello
from host_tools.link.device import Device, DeviceSilent, check_info
from host_tools.link.line import LineLost
from host_tools.link.protocol import Info, ProtocolError, StepCost, max_run_count
from host_tools.results import summarize_cost
from host_tools.scoring.record import flashed_facts
from swin2mcu.common.cli import Parser, UserError, run_command, status, write_atomic

SCHEMA = 1
REPORT = Path("board-report.json")
MAX_IMAGES = 1000


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0])
    add_model(parser)
    parser.add_argument("--board", help="default: the one that is connected or running")
    parser.add_argument("--port", help="a device name or a URL, such as socket://127.0.0.1:5000")
    parser.add_argument("--images", type=int, default=20, help="generated images (default: 20)")
    parser.add_argument("--repeat", type=int, default=1, help="timed runs of each image")
    parser.add_argument("--out", type=Path, default=REPORT, help=f"default: {REPORT}")
    arguments = parser.parse_args(argv)
    return run_command(lambda: _check(arguments))


def _check(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.images <= MAX_IMAGES:
        raise UserError(f"--images must lie between 1 and {MAX_IMAGES}")
    if arguments.board is not None:
        get_board(arguments.board)
    model = load_model(arguments.model)
    most = max_run_count(len(model.card.classes))
    if not 1 <= arguments.repeat <= most:
        raise UserError(f"--repeat must lie between 1 and {most}")
    line, port = open_line(model, arguments.board, arguments.port)
    try:
        device = Device(line)
        info = first_hello(device, port)
        check_info(info, model)
        status.print(f"{info.board} at {port}: parity")
        parity, costs = check_parity(device, model, arguments.images, arguments.repeat)
        status.print(f"{info.board} at {port}: refusals and faults")
        outcomes = [parity, check_refusals(device), check_faults(line, model)]
        if emulated := emulator.find_resettable(port):
            reset = partial(emulator.reset, emulated)
            outcomes.append(check_faults(line, model, reset=reset))
        profile = device.profile()
        info = device.hello()
    except (DeviceSilent, LineLost, ProtocolError) as error:
        raise UserError(f"the exchange with the board at {port} broke off: {error}") from error
    finally:
        line.close()
    report = make_report(model, info, outcomes, costs, profile)
    write_atomic(arguments.out, json.dumps(report, indent=1) + "\n")
    print_report(report)
    status.print(f"written to {arguments.out}; docs/BOARDS.md says how to send it")
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def make_report(
    model: Model,
    info: Info,
    outcomes: Sequence[Outcome],
    costs: Sequence[int],
    profile: Sequence[StepCost],
) -> dict[str, Any]:
    board = load_boards().get(info.board)
    flashed = flashed_facts(info, model)
    return {
        "schema": SCHEMA,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "board": info.board,
        "hardware": board.hardware if board else info.board,
        "emulated": board.emulated if board else False,
        "chip": describe_chip(info.board, info.chip_id),
        "clock_hz": info.clock_hz or None,
        "memory": flashed.get("places"),
        "engine": info.engine,
        "model": model.card.name,
        "model_sha256": model.sha256,
        "macs": model.card.macs,
        "arena_bytes": info.arena_bytes,
        "stack_bytes": info.stack_bytes or None,
        "cost": {**summarize_cost(costs, info.unit), "jitter": round(pstdev(costs), 1)},
        "per_step": [
            {"step": step.step, "operators": step.operators, "cost": step.cost} for step in profile
        ],
        "checks": {
            one.name: {"passed": one.passed, "said": one.said, **one.facts} for one in outcomes
        },
        "versions": {
            "swin2mcu": version("swin2mcu"),
            "python": platform.python_version(),
            "system": platform.system(),
            **flashed.get("versions", {}),
        },
    }


def print_report(report: dict[str, Any]) -> None:
    cost = report["cost"]
    for name, check in report["checks"].items():
        print(f"{'passed' if check['passed'] else 'FAILED'}  {name}: {check['said']}")
    print(
        f"{report['board']} ({report['engine']}, {report['chip'] or 'chip not known'}): "
        f"{report['model']} takes {cost['unit']} p50 {cost['p50']:,} p95 {cost['p95']:,} "
        f"p99 {cost['p99']:,}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
