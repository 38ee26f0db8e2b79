"""Instructions of generated C on the ESP32-S3's vector kernels.

Those of the assembly are counted by the interpreter of firmware/interpreter, which executes the .S
files. The few steps in C are estimated by what the portable kernels take on the emulated Xtensa
core, a related core (counts_xtensa.json). The C that calls the assembly is not counted, nor is a
channel that stands out and is computed in C beside it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.progress import track
from rich.table import Table

from host_tools.mcu.committed import has_grown, load_counts
from host_tools.mcu.count_model import CountedModel, check_logits, made_up_image
from host_tools.mcu.interpreted import VARIANT, build_interpreted, run_interpreted
from host_tools.mcu.xtensa import load_xtensa
from swin2mcu.common.card import sha256_of
from swin2mcu.common.cli import plain_console, status, write_atomic
from swin2mcu.common.paths import FIRMWARE
from tinyml.aot.compiler import compile_graph
from tinyml.format.tflite import read

COUNTS = FIRMWARE / "counts_esp32s3.json"
MAIN = """
#include <stdio.h>
#include "model.h"
#include "stubs.h"
int main(void) {
  const uint32_t bytes = (uint32_t)model_input_height * model_input_width * model_input_channels;
  for (uint32_t i = 0; i < bytes; ++i) model_input()[i] = (int8_t)(i * 37 + i / 251 * 11);
  for (int i = 0; i < model_step_count; ++i) {
    const uint64_t before = xtensa_instructions();
    model_steps[i].run();
    const uint64_t taken = xtensa_instructions() - before;
    printf("step\\t%s\\t%llu\\n", model_steps[i].name, (unsigned long long)taken);
  }
  for (int i = 0; i < model_class_count; ++i) printf("logit\\t%d\\n", model_output()[i]);
  return 0;
}
"""


@dataclass(frozen=True)
class Esp32s3Count:
    """One inference of one model, on one core."""

    model: str
    core: str
    instructions: int  # of the assembly, counted
    estimated_c_instructions: int | None  # None where the related core was not counted
    macs: int
    arena_bytes: int
    per_step: dict[str, int]  # of the assembly


def count_on_esp32s3(model: CountedModel) -> Esp32s3Count:
    """Raises UserError if the logits are not those of TFLite Micro."""
    graph = read(model.path)
    compiled = compile_graph(graph, sha256_of(model.path), VARIANT)
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model_data.h").write_text(compiled.source.model_data_h)
        (folder / "model.c").write_text(compiled.source.model_c)
        (folder / "main.c").write_text(MAIN)
        sources = [folder / "model.c", folder / "main.c"]
        build_interpreted(folder / "count", sources, [f"-I{FIRMWARE / 'lib' / 'engine'}"])
        lines = [line.split("\t") for line in run_interpreted(folder / "count").splitlines()]
    steps = {line[1]: int(line[2]) for line in lines if line[0] == "step"}
    logits = [int(line[1]) for line in lines if line[0] == "logit"]
    shape = tuple(int(n) for n in graph.tensors[graph.inputs[0]].shape[1:])
    check_logits(model, "esp32s3", logits, made_up_image(shape))
    return Esp32s3Count(
        model=model.name,
        core="esp32s3",
        instructions=sum(steps.values()),
        estimated_c_instructions=estimate_c(model.name, steps, load_xtensa()),
        macs=compiled.macs,
        arena_bytes=compiled.arena_bytes,
        per_step=steps,
    )


def estimate_c(model: str, steps: dict[str, int], sister: Sequence[dict[str, Any]]) -> int | None:
    """What the steps without assembly take on the related core; None if it runs other steps."""
    for entry in sister:
        if entry["model"] == model:
            known: dict[str, int] = entry["per_step"]
            if any(name not in known for name in steps):
                return None
            return sum(known[name] for name, taken in steps.items() if taken == 0)
    return None


def count_all_on_esp32s3(models: Sequence[CountedModel]) -> list[Esp32s3Count]:
    counting = track(models, "counting on esp32s3", console=status, transient=True)
    return [count_on_esp32s3(model) for model in counting]


def esp32s3_table(counts: Sequence[Esp32s3Count]) -> list[str]:
    lines = [
        "| model | assembly, counted | per MAC | C, an estimate | together | arena |",
        "|---|---|---|---|---|---|",
    ]
    for count in counts:
        c = count.estimated_c_instructions
        lines.append(
            f"| {count.model} | {count.instructions:,} | {count.instructions / count.macs:.2f} "
            f"| {'-' if c is None else f'{c / 1e6:.2f} M'} "
            f"| {'-' if c is None else f'{(count.instructions + c) / 1e6:.2f} M'} "
            f"| {count.arena_bytes:,} |"
        )
    return lines


def print_esp32s3(counts: Sequence[Esp32s3Count]) -> None:
    table = Table(title="One inference on the ESP32-S3's vector kernels")
    heads, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in esp32s3_table(counts)
    )
    for head in heads:
        table.add_column(head, justify="left" if head == "model" else "right")
    for row in rows:
        table.add_row(*row)
    plain_console(width=120).print(table)


def save_esp32s3(counts: Sequence[Esp32s3Count], path: Path = COUNTS) -> None:
    write_atomic(path, json.dumps([asdict(count) for count in counts], indent=1) + "\n")


def grown_on_esp32s3(counts: Sequence[Esp32s3Count], path: Path = COUNTS) -> list[str]:
    """A line for each count that is more than 2 % above the committed one."""
    known = {entry["model"]: entry["instructions"] for entry in load_counts(path)}
    return [
        f"{count.model} on esp32s3: {known[count.model]:,} -> {count.instructions:,} GREW"
        for count in counts
        if count.model in known and has_grown(known[count.model], count.instructions)
    ]
