"""Cycles of Cortex-M4 instructions from Arm's table, with memory that has no wait states.

Arm Cortex-M4 Processor Technical Reference Manual, 100166_0001, 3.3.1 (Table 3-1) and 3.3.3 "Load/
store timings". The core issues one instruction at a time and in order, so the table is its whole
model. LLVM's model takes LDM as one cycle; Arm's table says one and one more for each register.
"""

from __future__ import annotations

import re
from itertools import pairwise

from host_tools.mcu.blocks import Block, Instruction

# P of the table, the cycles that refill the pipeline: 1 to 3, by where the branch goes to and
# whether the processor knew that early. Here: for a branch to a label, and for one to a register.
REFILL, REFILL_INDIRECT = 1, 3


def cycles(before: Block, block: Block) -> float:
    """Cycles of `block`, and of the jump that leads to it from `before`."""
    total = sum(_alone(i) for i in block)
    # LDR takes two cycles, but a load or store behind it begins in the second.
    for i, after in pairwise(block):
        if _single_load(i) and _single(after):
            total -= 1
    if before:
        last = before[-1]
        if last.jumps and _jumped(last, block[0]):
            total += REFILL_INDIRECT if _indirect(last) else REFILL
        elif not last.jumps and _single_load(last) and _single(block[0]):
            total -= 1
    return total


def _alone(i: Instruction) -> int:
    name = i.mnemonic
    if name.startswith(("ldm", "stm", "push", "pop", "vldm", "vstm", "vpush", "vpop")):
        return 1 + _registers(i.text)
    if name.startswith(("ldrd", "strd")):
        return 3
    if name.startswith(("ldr", "vldr", "tbb", "tbh")):
        return 2
    if name.startswith(("sdiv", "udiv")):
        return 12
    return 1


def _single_load(i: Instruction) -> bool:
    return i.mnemonic.startswith("ldr") and not i.mnemonic.startswith("ldrd") and not i.jumps


def _single(i: Instruction) -> bool:
    return _single_load(i) or (i.mnemonic.startswith("str") and not i.mnemonic.startswith("strd"))


def _registers(text: str) -> int:
    """The number of registers in the braces of LDM and similar; LLVM writes every register out."""
    listed = re.search(r"\{(.*)\}", text)
    return len(listed[1].split(",")) if listed else 0


def _jumped(last: Instruction, first: Instruction) -> bool:
    """Whether the block was reached by a taken branch."""
    return first.address != last.address + last.size


def _indirect(i: Instruction) -> bool:
    return i.mnemonic.startswith(("bx", "blx", "pop", "ldm", "ldr", "mov", "add", "tb"))
