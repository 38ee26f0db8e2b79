"""Modeled cycles: what a processor's documented timing gives for the blocks that ran.

Cortex-M7 and M55 are modeled by LLVM's scheduling models (llvm-mca of a pinned version), the
Cortex-M4 by Arm's table. A block is modeled behind the block that ran before it, because
instructions also pair up and wait across the border of two blocks. The models have no caches, no
wait states, no refills after a wrongly predicted branch, and no interconnect. So modeled cycles are
shown beside measured ones, but are no measurement.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from host_tools.mcu import cortex_m4
from host_tools.mcu.blocks import LLVM, Block, Edge
from host_tools.mcu.profile import BUILD
from swin2mcu.common.cli import UserError, write_atomic

# A block that follows itself is repeated until its cycles are those of a loop.
REPEATED, SETTLED = 8, 4


def modeled_cycles(mcpu: str, intervals: Sequence[Counter[Edge]]) -> list[float]:
    """Cycles of each interval (see blocks.edges_of) on the processor that LLVM calls `mcpu`."""
    edges = list(dict.fromkeys(edge for interval in intervals for edge in interval))
    if mcpu == "cortex-m4":
        each = [cortex_m4.cycles(*edge) for edge in edges]
    else:
        each = schedule(mcpu, edges)
    cost = dict(zip(edges, each, strict=True))
    return [sum(count * cost[edge] for edge, count in i.items()) for i in intervals]


def schedule(mcpu: str, edges: Sequence[Edge]) -> list[float]:
    """The cycles that the second block of each edge takes, by llvm-mca; kept in build/."""
    pieces = [_piece(before, block) for before, block in edges]
    names = [hashlib.sha256(f"{LLVM} {mcpu}\n{piece}".encode()).hexdigest() for piece in pieces]
    store = BUILD / f"llvm-mca-{LLVM}-{mcpu}.json"
    issued = _load(store)
    missing = {n: piece for n, piece in zip(names, pieces, strict=True) if n not in issued}
    if missing:
        issued |= _issue_cycles(mcpu, missing)
        BUILD.mkdir(parents=True, exist_ok=True)
        write_atomic(store, json.dumps(issued))
    return [_cost(mcpu, *edge, issued[name]) for edge, name in zip(edges, names, strict=True)]


def _load(store: Path) -> dict[str, list[int]]:
    return json.loads(store.read_text()) if store.exists() else {}


def _piece(before: Block, block: Block) -> str:
    """The instructions to be modeled for a block behind another one."""
    blocks = [block] * REPEATED if before == block else [before, block]
    return "\n".join(i.text for b in blocks for i in b)


def _cost(mcpu: str, before: Block, block: Block, issued: list[int]) -> float:
    count = _modeled(mcpu, block)
    if not count:
        return 0
    if before == block:
        return (issued[-1] - issued[SETTLED * count - 1]) / (REPEATED - SETTLED)
    ahead = _modeled(mcpu, before) if before else 0
    if len(issued) != ahead + count:
        raise RuntimeError(f"llvm-mca models another number of instructions of {block} on {mcpu}")
    return issued[-1] - (issued[ahead - 1] if ahead else -1)


def _modeled(mcpu: str, block: Block) -> int:
    """LLVM's models leave out what they have no timing for: the Cortex-M7's model leaves out IT,
    as if the processor folded it into the instruction before it; the M55's the low-overhead
    loops."""
    left_out = "[dw]ls(tp)?$|le(tp)?$" if mcpu == "cortex-m55" else "it[te]*$"
    return sum(not re.match(left_out, i.mnemonic.partition(".")[0]) for i in block)


def _issue_cycles(mcpu: str, pieces: dict[str, str]) -> dict[str, list[int]]:
    """For each piece the cycle in which each of its instructions is issued."""
    regions = (
        f"# LLVM-MCA-BEGIN {name}\n{piece}\n# LLVM-MCA-END\n" for name, piece in pieces.items()
    )
    tool = f"llvm-mca-{LLVM}"
    triple = "thumbv8.1m.main-none-eabi" if mcpu == "cortex-m55" else "thumbv7em-none-eabi"
    command = [
        tool, f"-mtriple={triple}", f"-mcpu={mcpu}", "-iterations=1", "-json",
        "-timeline", "-timeline-max-iterations=0", "-timeline-max-cycles=0",
        "-instruction-info=0", "-resource-pressure=0", "-summary-view=0",
        "-call-latency=1", "-skip-unsupported-instructions=lack-sched",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, input="".join(regions), capture_output=True, text=True)
    except FileNotFoundError as error:
        raise UserError(f"{tool} is not installed: apt install llvm-{LLVM}") from error
    if done.returncode:
        raise RuntimeError(f"{tool} refuses a block: {done.stderr[:2000]}")
    return {
        region["Name"]: [info["CycleIssued"] for info in region["TimelineView"]["TimelineInfo"]]
        for region in json.loads(done.stdout)["CodeRegions"]
    }
