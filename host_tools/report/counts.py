"""Instructions of published models on emulated boards: only firmware/counts.json holds them.

`make bench-mcu` counts them anew when kernels change, so a published results.json holds none.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

from host_tools.results import Results, summarize_cost
from swin2mcu.common.paths import FIRMWARE

COUNTS = FIRMWARE / "counts.json"


@cache
def counts() -> dict[tuple[str, str], dict[str, Any]]:
    """(published model's name, target's name) → its line of counts.json."""
    lines = json.loads(COUNTS.read_text(encoding="utf-8"))
    return {
        (line["model"], f"qemu-{line['core']}-{line['engine']}"): line
        for line in lines
        if line["weights"] == "trained"
    }


def without_counts(name: str, targets: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """A model's targets, to be published: without the counts that counts.json holds."""
    return {
        target: {**value, "cost": None, "profile": []} if (name, target) in counts() else value
        for target, value in targets.items()
    }


def with_counts(results: Results) -> Results:
    """Published results, completed with the counts of counts.json."""
    targets = dict(results.targets)
    for target, value in targets.items():
        line = counts().get((results.name, target))
        if line is not None and "cost" in value and value["cost"] is None:
            steps = ("step", "operators")
            profile = [
                {**{key: one[key] for key in steps}, "cost": one["instructions"]}
                for one in line["per_operator"]
            ]
            cost = summarize_cost([line["instructions"]], "instructions")
            targets[target] = {**value, "cost": cost, "profile": profile}
    return replace(results, targets=targets)
