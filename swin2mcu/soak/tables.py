"""The soak's figures, as a record and as the tables of docs/PARITY.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swin2mcu.common.cli import write_atomic
from swin2mcu.common.documents import replace_part

FIGURES = ("max_difference", "relative_max", "relative_rms", "decided_agreement", "top1_lost")


def summarize(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """The worst value of each figure of each stage and each operator, over all cases."""
    stages: dict[str, dict[str, Any]] = {}
    for case in cases:
        for stage in case["stages"]:
            if not stage["against"]:
                continue
            worst = stages.setdefault(
                stage["name"],
                {"against": stage["against"], "unit": stage["unit"], "limits": {}},
            )
            worst["limits"] |= stage["limits"]  # a network that learned nothing has others
            # Networks trained for seconds are rarely confident: report the number of images.
            worst["decided_images"] = worst.get("decided_images", 0) + stage["decided_images"]
            for figure in FIGURES:
                choose = min if figure == "decided_agreement" else max
                value = float(f"{stage[figure]:.3g}")
                worst[figure] = choose(worst.get(figure, value), value)
    operators: dict[str, dict[str, int]] = {}
    for case in cases:
        for name, entry in case["operators"].items():
            worst = operators.setdefault(name, {"max_lsb": 0, "max_lsb_exact": 0})
            for figure in worst:
                worst[figure] = max(worst[figure], entry[figure])
    boards = [case["board"] for case in cases]
    return {
        "cases": [case["case"] for case in cases],
        "board_images": sum(board["images"] for board in boards),
        "board_identical": sum(board["identical"] for board in boards),
        "stages": stages,
        "operators": operators,
    }


def tables(record: dict[str, Any]) -> str:
    """Markdown of a record that `summarize` made."""
    lines = [
        f"{len(record['cases'])} trainings went through the chain to a board, which answered "
        f"{record['board_identical']} of {record['board_images']} images with the PC's bytes. "
        "The worst of all cases:",
        "",
        "| stage | against | largest difference | of the scale | rms of the scale "
        "| agreement where decided | accuracy surely lost | must keep |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, s in record["stages"].items():
        limits = ", ".join(f"{figure} {limit:g}" for figure, limit in s["limits"].items())
        lines.append(
            f"| {name} | {s['against']} | {s['max_difference']:.3g} {s['unit']} | "
            f"{s['relative_max']:.1e} | {s['relative_rms']:.1e} | "
            f"{s['decided_agreement']:.1%} of {s['decided_images']} | "
            f"{max(s['top1_lost'], 0.0):.1%} | {limits} |"
        )
    lines += [
        "",
        "| LiteRT's operator | off float arithmetic | off exact integers |",
        "|---|---|---|",
        *(
            f"| {name} | {o['max_lsb']} LSB | {o['max_lsb_exact']} LSB |"
            for name, o in record["operators"].items()
        ),
        "",
        "<details><summary>The cases: student, input size, classes, seed, photos, threads, "
        "board</summary>",
        "",
        *(f"- {name}" for name in record["cases"]),
        "",
        "</details>",
    ]
    return "\n".join(lines)


def write_document(path: Path, record: dict[str, Any]) -> None:
    """Put the tables between the document's markers. Raises UserError if it has none."""
    text = path.read_text(encoding="utf-8")
    write_atomic(path, replace_part(text, "soak", tables(record).splitlines()))
