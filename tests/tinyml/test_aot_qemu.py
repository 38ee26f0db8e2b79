"""Random graphs on emulated Cortex-M4, M7 and M55, each with its own kernels, and on Xtensa."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "firmware"))
from aot_runner import compile_bytes, images_for, reference, write_model
from kernels.run_xtensa import build_xtensa, run_xtensa
from random_graphs import RandomGraph, seeded

from host_tools.mcu.bare_metal import CORES, build, get_core, kernel_sources, run

_MAIN = """
#include <string.h>
#include "counter.h"
typedef struct {
  int seed; int8_t* (*input)(void); const int8_t* (*output)(void); void (*run)(void);
  const int8_t* image; unsigned image_bytes; const int8_t* answer; unsigned answer_bytes;
} Case;
%s
static const Case cases[] = {%s};
int main(void) {
  int wrong = 0;
  for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
    const Case* c = &cases[i];
    memcpy(c->input(), c->image, c->image_bytes);
    c->run();
    if (memcmp(c->output(), c->answer, c->answer_bytes) != 0) {
      print_line("seed %%d differs", c->seed);
      ++wrong;
    }
  }
  print_line("%%d graphs, %%d wrong", (int)(sizeof(cases) / sizeof(cases[0])), wrong);
  return wrong != 0;
}
"""


def write_graphs(folder: Path, contract: str, first: int, wanted: int) -> tuple[list[Path], Path]:
    """`wanted` graphs as C files, and the main() that runs them all."""
    files, declarations, cases = [], [], []
    for number in range(wanted):
        seed = first + number
        model = RandomGraph(seeded(seed)).build()
        compiled = compile_bytes(model, contract)
        (image,) = images_for(model, 1, seed)
        (answer,) = reference(model, [image])
        files.append(write_model(folder, number, compiled))
        declarations += [
            f"int8_t* m{number}_model_input(void);",
            f"const int8_t* m{number}_model_output(void);",
            f"void m{number}_model_run(void);",
            _array(f"image{number}", image),
            _array(f"answer{number}", answer),
        ]
        cases.append(
            f"{{{seed}, m{number}_model_input, m{number}_model_output, m{number}_model_run, "
            f"image{number}, {image.size}, answer{number}, {answer.size}}}"
        )
    main = folder / "main.c"
    main.write_text(_MAIN % ("\n".join(declarations), ",\n".join(cases)))
    return files, main


def graphs_on_core(folder: Path, name: str, first: int, wanted: int) -> tuple[int, str]:
    """Builds `wanted` graphs into one program and runs it: exit status and text."""
    core, program = get_core(name), folder / "graphs.elf"
    files, main = write_graphs(folder, core.contract, first, wanted)
    build(core, program, [*files, *kernel_sources(core.kernels)], [main], ["-O1"])
    return run(core, program)


def _array(name: str, values: np.ndarray) -> str:
    numbers = ",".join(map(str, values.ravel().tolist()))
    return f"static const int8_t {name}[] = {{{numbers}}};"


# Thirty fit into the smallest code memory.
@pytest.mark.parametrize("first", [2000, pytest.param(3000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("core", CORES)
def test_random_graphs_on_an_emulated_core(core: str, first: int, tmp_path: Path) -> None:
    status, text = graphs_on_core(tmp_path, core, first, 30)
    assert status == 0 and "30 graphs, 0 wrong" in text, text


@pytest.mark.parametrize("first", [2000, pytest.param(3000, marks=pytest.mark.slow)])
def test_random_graphs_on_the_emulated_xtensa_core(first: int, tmp_path: Path) -> None:
    program = tmp_path / "graphs.elf"
    files, main = write_graphs(tmp_path, "portable", first, 30)
    build_xtensa(program, [*files, *kernel_sources("portable"), main])
    status, text = run_xtensa(program)
    assert status == 0 and "30 graphs, 0 wrong" in text, text
