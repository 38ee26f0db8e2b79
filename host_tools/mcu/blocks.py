"""Basic blocks of a program, and how often each followed another."""

from __future__ import annotations

import re
import subprocess
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from host_tools.mcu.profile import Interval
from swin2mcu.common.cli import UserError

LLVM = 19
BRANCH = re.compile(r"(b|bl|blx|bx|b(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)|cbn?z|tb[bh])"
                    r"(\.n|\.w)?$|(wlstp|letp)(\.\d+)?$|(wls|le)$")  # fmt: skip


@dataclass(frozen=True)
class Instruction:
    address: int
    size: int  # bytes, 2 or 4
    text: str  # as LLVM reads it: targets of branches are replaced by an offset

    @property
    def mnemonic(self) -> str:
        return self.text.split()[0]

    @property
    def jumps(self) -> bool:
        """Whether it may jump, so that another instruction than the one behind it runs next."""
        writes_pc = re.search(r"^(pop|ldm)\S*.*\bpc\b|^(ldr|mov|add)\S*\s+pc\b", self.text)
        return bool(BRANCH.match(self.mnemonic) or writes_pc)


Block = tuple[Instruction, ...]
Edge = tuple[Block, Block]  # a block, and the one that ran before it: (before, block)


def disassemble(program: Path, mcpu: str) -> dict[int, Instruction]:
    """Address → instruction, in order of addresses."""
    tool = f"llvm-objdump-{LLVM}"
    command = [tool, "-d", f"--mcpu={mcpu}", str(program)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise UserError(f"{tool} is not installed: apt install llvm-{LLVM}") from error
    instructions = {}
    for line in done.stdout.splitlines():
        found = re.match(r"\s*([0-9a-f]+): ([0-9a-f ]+)\t(\S.*)", line)
        if not found:
            continue
        text = re.sub(r"\s*(@|<).*", "", found[3]).replace("\t", " ").strip()
        if BRANCH.match(text.split()[0]):
            offset = "#-4" if text.startswith("le") else "#4"
            text = re.sub(r"0x[0-9a-f]+$", offset, text)
        address, size = int(found[1], 16), len(found[2].replace(" ", "")) // 2
        instructions[address] = Instruction(address, size, text)
    return instructions


def edges_of(instructions: dict[int, Instruction], interval: Interval) -> Counter[Edge]:
    """(block before, block) → how often the second ran directly after the first. Before the very
    first block stands an empty one.

    QEMU's translation blocks overlap and may be cut anywhere, so blocks are built again: one begins
    at each target of a jump and behind every instruction that may jump.
    """
    order = list(instructions)
    following = dict(pairwise(order))
    begins = {to for last, to in interval.jumps if _is_jump(instructions, following, last, to)}
    begins |= {following[a] for a in interval.counts if a in following and instructions[a].jumps}
    before = {after: address for address, after in following.items()}
    begins |= {a for a in interval.counts if before.get(a) not in interval.counts}
    blocks: dict[int, Block] = {}
    ends: dict[int, int] = {}  # the last instruction of a block → its first one
    for first in begins & interval.counts.keys():
        run = [instructions[first]]
        while not run[-1].jumps:
            after = following.get(run[-1].address)
            if after is None or after in begins or after not in interval.counts:
                break
            run.append(instructions[after])
        blocks[first] = tuple(run)
        ends[run[-1].address] = first
    edges: Counter[Edge] = Counter()
    arrived: defaultdict[int, int] = defaultdict(int)
    for (last, to), count in interval.jumps.items():
        if to in blocks and _is_jump(instructions, following, last, to):
            edges[blocks[ends[last]] if last in ends else (), blocks[to]] += count
            arrived[to] += count
    for first, block in blocks.items():  # the rest came from the block that lies before
        rest = interval.counts[first] - arrived[first]
        if rest > 0:
            ended = ends.get(before.get(first, -1))
            edges[blocks[ended] if ended is not None else (), block] += rest
    return edges


def _is_jump(
    instructions: dict[int, Instruction], following: dict[int, int], last: int, to: int
) -> bool:
    return last in instructions and (instructions[last].jumps or following.get(last) != to)
