"""Modeled cycles: what is counted, how blocks are made of it, what a block is said to take."""

from __future__ import annotations

from collections import Counter

import pytest

from host_tools.mcu import cortex_m4
from host_tools.mcu.bare_metal import CORES, build, get_core
from host_tools.mcu.blocks import Block, Instruction, disassemble, edges_of
from host_tools.mcu.cycles import modeled_cycles, schedule
from host_tools.mcu.profile import Interval, parse, profile

# Two intervals: rounds of a loop with a branch that is taken every second time, and a function that
# is reached by a register.
PROGRAM = """
#include "counter.h"
static __attribute__((noinline)) void leaf(void) { __asm__ volatile("nop\\n nop\\n nop"); }
static void (*volatile const through)(void) = leaf;
static void count(unsigned rounds) {
  start_count();
  __asm__ volatile("1: tst %0, #1\\n beq 2f\\n nop\\n nop\\n 2: subs %0, %0, #1\\n bne 1b"
                   : "+r"(rounds) : : "cc");
  through();
  print_line("%lu", (unsigned long)end_count());
}
int main(void) {
  count(1000);
  count(500);
  return 0;
}
"""


@pytest.fixture(scope="module", params=CORES)
def profiled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[int, Instruction], list[Interval], list[int]]:
    folder = tmp_path_factory.mktemp("profile")
    source, program = folder / "loop.c", folder / "loop.elf"
    source.write_text(PROGRAM)
    core = get_core(request.param)
    build(core, program, [], [source])
    status, text, intervals = profile(core, program)
    assert status == 0
    instructions = disassemble(program, f"cortex-{request.param}")
    return instructions, intervals, [int(line) for line in text.split()]


Profiled = tuple[dict[int, Instruction], list[Interval], list[int]]


def test_the_plugin_counts_as_the_timer_does(profiled: Profiled) -> None:
    _, intervals, timed = profiled
    assert len(intervals) == 2
    for interval, instructions in zip(intervals, timed, strict=True):
        assert abs(interval.counts.total() - instructions) <= 80


def test_blocks_hold_every_execution_once(profiled: Profiled) -> None:
    instructions, intervals, _ = profiled
    for interval, rounds in zip(intervals, (1000, 500), strict=True):
        edges = edges_of(instructions, interval)
        executed: Counter[int] = Counter()
        for (_, block), count in edges.items():
            for instruction in block:
                executed[instruction.address] += count
        assert executed == interval.counts
        assert all(a + instructions[a].size in instructions for a in executed)
        by_first = {
            (before[-1].mnemonic if before else "", block[0].mnemonic): count
            for (before, block), count in edges.items()
        }
        skipped = next(n for (a, b), n in by_first.items() if a.startswith("beq") and "subs" in b)
        assert skipped == rounds // 2


def test_a_record_is_read_interval_by_interval() -> None:
    first, second = parse("i 10 3\ne c 10 2\n.\ni 10 1\n.\n")
    assert first == Interval(Counter({0x10: 3}), Counter({(0xC, 0x10): 2}))
    assert second == Interval(Counter({0x10: 1}), Counter())


def block(*texts: str, at: int = 0x100) -> Block:
    return tuple(Instruction(at + 4 * i, 4, text) for i, text in enumerate(texts))


SIX = [f"smlad r{n}, r{8 + n // 3}, r{10 + n % 3}, r{n}" for n in range(6)]
MULTIPLES = block("ldrd r8, r9, [r6], #8", "ldm.w r7!, {r10, r11, r12}", *SIX)
LOADED_NEXT = ["r9", "", "r8", "r10", "r11", "r12"]  # where the last product is done with each
PAIRED = block(
    *(
        text
        for product, register in zip(SIX, LOADED_NEXT, strict=True)
        for text in (product, register and f"ldr {register}, [r6, #4]")
        if text
    )
)


def test_the_m7_pairs_loads_with_products_but_no_multiple_loads() -> None:
    loops = [(MULTIPLES, MULTIPLES), (PAIRED, PAIRED)]
    assert schedule("cortex-m7", loops) == [8.0, 6.0]


def test_a_kept_schedule_is_not_modeled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = schedule("cortex-m7", [(PAIRED, PAIRED)])
    monkeypatch.setattr("host_tools.mcu.cycles._issue_cycles", None)
    assert schedule("cortex-m7", [(PAIRED, PAIRED)]) == first


@pytest.mark.parametrize(
    ("texts", "cycles"),
    [
        (["smlad r0, r8, r10, r0"], 1),
        (["ldm.w r7!, {r10, r11, r12}"], 4),
        (["ldrd r8, r9, [r6], #8"], 3),
        (["ldr r0, [r1]", "add r0, r0, #1"], 3),
        (["ldr r0, [r1]", "ldr r2, [r1, #4]", "str r2, [r3]"], 3),
        (["push {r4, r5, lr}"], 4),
    ],
)
def test_the_m4_s_table(texts: list[str], cycles: int) -> None:
    assert cortex_m4.cycles((), block(*texts)) == cycles


def test_a_taken_branch_of_the_m4_refills_the_pipeline() -> None:
    before = block("subs r0, r0, #1", "bne #4")
    behind = block("nop", at=before[-1].address + 4)
    elsewhere = block("nop", at=0x800)
    assert cortex_m4.cycles(before, behind) == 1
    assert cortex_m4.cycles(before, elsewhere) == 2
    assert cortex_m4.cycles(block("bx lr"), elsewhere) == 4


def test_a_branch_of_two_bytes_may_jump_over_one_instruction_of_two() -> None:
    branch = (Instruction(0x100, 2, "beq.n #4"),)
    skipped = block("nop", at=0x102)
    behind = block("nop", at=0x104)
    assert cortex_m4.cycles(branch, skipped) == 1
    assert cortex_m4.cycles(branch, behind) == 2


def test_cycles_are_counts_times_costs() -> None:
    product, load = block("smlad r0, r8, r10, r0"), block("ldr r0, [r1]", at=0x104)
    once, often = Counter({(product, load): 1}), Counter({(product, load): 10})
    assert modeled_cycles("cortex-m4", [once, often]) == [2, 20]
