"""The table that bench_pc.py ends with, and the sentences that keep it from being misread."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.table import Table

SWIN_LARGE = "pc-torch-swin-large-float32"
STUDENT_TORCH = "pc-torch-float32"
Targets = dict[str, dict[str, Any]]


def print_table(targets: Targets) -> None:
    """Print the targets of one run to stdout."""
    # Piped into a file there is no terminal to take the width from.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    table = Table(box=None, pad_edge=False)
    table.add_column("target", no_wrap=True)
    for column in (
        "threads",
        "p50 ms",
        "p95 ms",
        "min ms",
        "of Swin-L",
        "top-1",
        "images",
        "peak MB",
    ):
        table.add_column(column, justify="right")
    for name, target in targets.items():
        cost, accuracy, memory = target["cost"], target["accuracy"], target["memory"]
        suffix = "" if target["threads"] == 1 else f"-{target['threads']}t"
        large = targets.get(SWIN_LARGE + suffix)
        table.add_row(
            name,
            str(target["threads"]),
            *(f"{cost[key] / 1000:.3f}" for key in ("p50", "p95", "min")),
            f"1/{large['cost']['p50'] / cost['p50']:.0f}" if large and large is not target else "",
            f"{accuracy['top1']:.2%}" if accuracy else "-",
            str(accuracy["images"]) if accuracy else "-",
            f"{memory['peak_rss_bytes'] / 1e6:.0f}" if "peak_rss_bytes" in memory else "-",
        )
    console.print(table)
    for sentence in sentences(targets):
        console.print(sentence, soft_wrap=True)


def sentences(targets: Targets) -> list[str]:
    """What a reader of these numbers has to know, as plain sentences."""
    said = []
    large, student = targets.get(SWIN_LARGE), targets.get(STUDENT_TORCH)
    if large and student:
        runtime = large["cost"]["p50"] / student["cost"]["p50"]
        macs = large["model"]["macs"] / student["model"]["macs"]
        said.append(
            f"Within PyTorch the student takes 1/{runtime:.0f} of Swin-L's time, and 1/{macs:.0f} "
            "of its multiply-accumulates; what the table shows beyond that is the runtime's share."
        )
    for name, target in targets.items():
        other = targets.get(name.replace("-int8", "-float32"))
        if "-int8" in name and other and target["cost"]["p50"] > other["cost"]["p50"]:
            factor = target["cost"]["p50"] / other["cost"]["p50"]
            said.append(
                f"On this machine {name} is {factor:.1f} times slower than its float32 twin: int8 "
                "saves memory here, not time."
            )
    return said
