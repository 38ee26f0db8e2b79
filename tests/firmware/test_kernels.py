"""Each variant of the kernels gives the bytes of a slow, plain reference."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from kernels.run_qemu import build_host, build_pie, run_on, sources_of
from kernels.run_xtensa import BOARD, build_xtensa, run_xtensa

from host_tools.mcu.bare_metal import KERNELS, kernel_sources

ROUNDS = 150  # random cases of each of the eight kernels


@pytest.mark.parametrize("variant", ["portable", "vector"])
def test_kernels_on_the_pc_under_sanitizers(variant: str, tmp_path: Path) -> None:
    program = tmp_path / "kernels"
    build_host(program, rounds=2000, variant=variant)
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("variant", "core"),
    [
        ("portable", "m7"),
        ("dsp", "m4"),
        ("dsp", "m7"),
        ("dsp_m7", "m7"),
        ("portable", "m55"),
        ("helium", "m55"),
    ],
)
def test_kernels_on_an_emulated_core(variant: str, core: str) -> None:
    status, text = run_on(variant, core, ROUNDS)
    assert status == 0, text
    assert text.count(": ok") == 8, text


def test_portable_kernels_on_the_emulated_xtensa_core(tmp_path: Path) -> None:
    program = tmp_path / "kernels.elf"
    sources = [*kernel_sources("portable"), *sources_of("portable", "test_main.c")]
    build_xtensa(program, sources, [f"-DROUNDS={ROUNDS}"])
    status, text = run_xtensa(program)
    assert status == 0, text
    assert text.count(": ok") == 8, text


FAULT = """
#include "counter.h"
static __attribute__((section(".noinit"))) volatile int boots;
int main(void) {
  boots = boots + 1;
  print_line("boot %d", boots);
  if (boots == 1) __asm__ volatile("ill");
  return boots != 2;
}
"""


def test_a_fault_on_the_emulated_xtensa_core_is_a_reset(tmp_path: Path) -> None:
    source, program = tmp_path / "fault.c", tmp_path / "fault.elf"
    source.write_text(FAULT)
    build_xtensa(program, [source])
    status, text = run_xtensa(program, timeout_s=60)
    assert (status, text.split("\n")) == (0, ["boot 1", "boot 2", ""])


ARITHMETIC = r"""
#include <stdio.h>
#include "arithmetic.c"
static uint64_t state = 1;
static uint64_t next(void) {  // xorshift, of a random width so that small and large numbers meet
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return state >> (state & 63);
}
int main(void) {
  for (int i = 0; i < 1000000; ++i) {
    const uint64_t a = next(), b = i & 1 ? next() : 0 - next();
    const uint32_t x = (uint32_t)a, y = (uint32_t)b;
    int ok = __umulsidi3(x, y) == (uint64_t)x * y;
    ok &= (uint64_t)__muldi3((int64_t)a, (int64_t)b) == a * b;
    if (y) ok &= __udivsi3(x, y) == x / y && __umodsi3(x, y) == x % y;
    if (y && !(x == 1u << 31 && y == UINT32_MAX)) {
      ok &= __divsi3((int32_t)x, (int32_t)y) == (int32_t)x / (int32_t)y;
    }
    if (b && !(a == 1ull << 63 && b == UINT64_MAX)) {
      ok &= __divdi3((int64_t)a, (int64_t)b) == (int64_t)a / (int64_t)b;
    }
    if (!ok) return printf("%llx %llx\n", (unsigned long long)a, (unsigned long long)b), 1;
  }
  return 0;
}
"""


def test_the_arithmetic_that_a_compiler_lacks_is_right(tmp_path: Path) -> None:
    """The functions' own names are the compiler's here, so they get others."""
    source = tmp_path / "main.c"
    source.write_text(ARITHMETIC)
    names = ("umulsidi3", "muldi3", "udivsi3", "umodsi3", "divsi3", "divdi3")
    renamed = [f"-D__{name}=our_{name}" for name in names]
    program = tmp_path / "arithmetic"
    command = ["gcc", "-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all", *renamed]
    subprocess.run([*command, f"-I{BOARD}", str(source), "-o", str(program)], check=True)
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def pie_kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("pie") / "kernels"
    build_pie(program, 6 * ROUNDS)  # few depthwise cases are sixteen channels that lanes can hold
    return program


def test_pie_kernels_in_the_interpreter(pie_kernels: Path) -> None:
    done = subprocess.run([pie_kernels], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": ok") == 8


@pytest.mark.parametrize(
    ("file", "line", "planted"),
    [
        ("conv.S", "  addx2 a12, a11, a12\n", ""),  # rounding of negative sums
        ("conv.S", "  ee.ld.accx.ip a9, 0\n", "  ee.zero.accx\n"),  # of deep rows
        ("conv_lanes.S", "  four_inputs 12, 13, 14, 15\n", "  four_inputs 12, 13, 14, 14\n"),
        ("conv_lanes.S", "  beqz a4, 5f\n", ""),  # whether eight more inputs follow
        ("depthwise.S", "  ssai 28\n", "  ssai 27\n"),
        ("depthwise.S", "  sext a12, a12, 7\n", "  sext a12, a12, 8\n"),
        ("rounding.S", "  ee.vmulas.s8.qacc q7, q6\n", ""),  # 128 before a digit is read
        ("rounding.S", "  ee.vcmp.gt.s8 q2, q0, q2\n", "  ee.vcmp.lt.s8 q2, q0, q2\n"),
        ("rounding.S", "  ee.vmulas.s8.qacc q3, q6\n", ""),  # a third digit
        ("rounding.S", "  ee.xorq q0, q0, q6\n", ""),  # the table's
        ("lanes.S", "  ee.vadds.s8 q1, q1, q2\n", ""),  # of the sums
        ("elementwise_lanes.S", "  store_lanes a4\n", ""),  # the gate's
        ("elementwise_lanes.S", "  ee.zero.qacc\n", ""),  # the sum's
        ("elementwise.S", "  sext a15, a15, 7\n", ""),  # the gate's
        ("elementwise.S", "  slli a11, a11, 22\n", "  slli a11, a11, 21\n"),  # the sum's inputs
        ("elementwise.S", "  and a11, a11, a8\n", ""),  # the mean's
    ],
)
def test_a_fault_in_the_assembly_is_noticed(
    file: str, line: str, planted: str, pie_kernels: Path, tmp_path: Path
) -> None:
    shutil.copytree(KERNELS / "pie", tmp_path / "pie")
    source = tmp_path / "pie" / file
    assert line in source.read_text()
    source.write_text(source.read_text().replace(line, planted))
    environment = os.environ | {"PIE_SOURCE_FOLDER": str(tmp_path / "pie")}
    done = subprocess.run([pie_kernels], capture_output=True, text=True, env=environment)
    assert "FAILED" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "file", "line", "planted"),
    [
        # windows that begin at an odd column; rows outside the image; the next tile's last row
        ("dsp_m7", "dsp/depthwise_tiles.inc", "lsl r7, r9, #16", "lsl r7, r9, #15"),
        ("dsp_m7", "dsp/depthwise_tiles.inc", "smlad r\\sum, r10, r11, r\\sum", ""),
        ("dsp_m7", "dsp/depthwise_tiles.inc", "sub r1, r1, #8", "sub r1, r1, #16"),
        # the shift of a pair's second row; the second batch's column; a word of two lines
        ("dsp_m7", "dsp/pairs.h", "rsb r5, r5, #0", "mvn r5, r5"),
        ("dsp_m7", "dsp/widen.c", "moveq lr, #3", "moveq lr, #2"),
        ("dsp_m7", "dsp/widen.c", "bfi r10, r9, #0, #8", "bfi r10, r9, #0, #7"),
        ("dsp_m7", "dsp/pixel.h", "add r2, r1, r8, lsl #3", "add r2, r1, r8, lsl #2"),
        ("dsp_m7", "dsp/gate.c", "strb r9, [r1, #2]", "strb r9, [r1, #1]"),
        # rounding of negative sums; the second pixel's weights; odd channels of a plane
        ("helium", "helium/fours.c", "vadd.i32 q3, q3, q2", ""),
        ("helium", "helium/shallow.c", "vmladava.s8 r4, q0, q5", "vmladava.s8 r4, q0, q7"),
        ("helium", "helium/depthwise.c", "vshr.u16 q1, q1, #8", "vshr.u16 q1, q1, #7"),
    ],
)
def test_a_fault_in_a_cortex_m_s_assembly_is_noticed(
    variant: str, file: str, line: str, planted: str, tmp_path: Path
) -> None:
    kernels = tmp_path / "kernels"
    shutil.copytree(KERNELS, kernels)
    source = kernels / file
    assert line in source.read_text()
    source.write_text(source.read_text().replace(line, planted, 1))
    status, text = run_on(variant, "m55" if variant == "helium" else "m7", ROUNDS, kernels=kernels)
    assert status != 0 and "FAILED" in text, text
