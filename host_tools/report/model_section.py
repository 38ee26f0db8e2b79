"""One model's section of the report, from its targets to how each was measured."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from host_tools.report.curves import training_figures
from host_tools.report.entries import (
    Entry,
    Row,
    most_images,
    remarks,
    rows_of,
    show_cost,
    show_file,
    show_memory,
    show_parity,
    show_top1,
)
from host_tools.report.pictures import Picture
from host_tools.report.plots import distributions
from host_tools.report.render import Markup, Table, render
from host_tools.report.scores import cautions_of
from host_tools.report.tags import anchor, bar, dot, place_class, short, words
from swin2mcu.common.card import Card
from swin2mcu.common.cli import UserError

NO_BREAK_HYPHEN = "\N{NON-BREAKING HYPHEN}"


def model_section(entry: Entry, pictures: Sequence[Picture], attention: str | None) -> Markup:
    """The section as HTML; `attention` is a data: URL."""
    rows = rows_of(entry)
    card = entry.card
    said = [*cautions_of(entry), *remarks(entry)]
    try:
        training = training_figures(entry.folder)
    except UserError as error:
        training = []
        said.append(f"no curves of its training: {error}")
    about = (
        f"{card.student}, input {card.input_shape[0]} by {card.input_shape[1]} pixels, "
        f"{len(card.classes)} classes.{f' Trained for {card.training}.' if card.training else ''}"
        if card
        else "No model card beside the results."
    )
    return render(
        "model.html",
        anchor=anchor(entry),
        name=entry.name,
        about=about,
        calibration=_calibration(card, entry.folder) if card else "",
        targets=_targets(rows),
        remarks=said,
        latencies=_latencies(rows),
        operators=_operators(rows),
        training=training,
        parity=_parity(entry.parity),
        confusion=_confusion(rows, card.classes if card else None),
        attention=attention,
        pictures=pictures,
        how=_how(rows),
    )


def _calibration(card: Card, folder: Path) -> str:
    """What *not sure* means for this model, by the two numbers that every target uses."""
    fitted = card.calibration
    if fitted is None:
        return (
            "Not calibrated: it never answers “not sure”, and its probabilities are the softmax's. "
            f"Fit both with swin2mcu calibrate {shlex.quote(str(folder))}."
        )
    return (
        f"It answers “not sure” where the evidence is below {fitted.threshold:.2f}; that leaves "
        f"{fitted.coverage:.1%} of {fitted.images:,} val photos answered. Its probabilities are "
        f"fitted on the same photos (temperature {fitted.temperature:.3f})."
    )


def _targets(rows: Sequence[Row]) -> Table:
    energy = any("energy" in row.target for row in rows)
    most = most_images(rows)
    columns = [
        "Target",
        "Engine",
        "Precision",
        "Top-1",
        "Median",
        "p95",
        "of Swin-L",
        "Memory",
        "Model file",
    ]
    if energy:
        columns.append("Energy")
    lines = []
    for row in rows:
        cells = [
            dot(row),
            row.engine,
            str(row.target.get("precision", "")),
            show_top1(row, most),
            show_cost(row) + (" (estimate)" if row.place == "estimate" else ""),
            show_cost(row, "p95") if "p95" in row.cost else "",
            "" if row.of_large is None else f"1/{1 / row.of_large:,.0f}",
            show_memory(row),
            show_file(row),
        ]
        if energy:
            cells.append(str(row.target.get("energy", {}).get("text", "")))
        lines.append(cells)
    return Table(columns, lines, numeric_from=3)


def _latencies(rows: Sequence[Row]) -> Markup | None:
    shown = [
        (short(row), place_class(row), [value / 1000 for value in row.cost["quantiles"]])
        for row in rows
        if row.cost.get("unit") == "us" and min(row.cost.get("quantiles") or [0]) > 0
    ]
    return distributions(shown, "milliseconds") if shown else None


def _operators(rows: Sequence[Row]) -> list[tuple[str, Table]]:
    """(target, its steps) of every target that was counted step by step."""
    found = []
    for row in rows:
        profile = row.target.get("profile")
        if not profile:
            continue
        columns = ["Step", "Stands for", f"Cost ({row.cost.get('unit', '')})", "Share"]
        total = sum(step["cost"] for step in profile) or 1
        lines = [
            [
                str(step["step"]),
                str(step.get("operators", "")),
                f"{step['cost']:,.0f}",
                bar(step["cost"] / total, f"{step['cost'] / total:.1%}"),
            ]
            for step in sorted(profile, key=lambda step: -step["cost"])
        ]
        found.append((row.name, Table(columns, lines, numeric_from=2, bars=True)))
    return found


def _parity(parity: dict[str, Any] | None) -> Table | None:
    if not parity:
        return None
    columns = ["Stage", "Compared with", "Images", "Same top-1", "Largest difference"]
    lines = [
        [
            str(stage.get("name", "")),
            str(stage.get("against") or ""),
            f"{stage.get('images', parity.get('images', 0)):,}",
            f"{stage['top1_agreement']:.2%}" if "top1_agreement" in stage else "",
            f"{stage['max_difference']:.4g} {stage.get('unit', '')}"
            if "max_difference" in stage
            else "",
        ]
        for stage in parity.get("stages", [])
    ]
    return Table(columns, lines, numeric_from=2)


def _confusion(rows: Sequence[Row], classes: Sequence[str] | None) -> dict[str, Any] | None:
    scored = [
        row
        for row in rows
        if row.subject == "student" and (row.target.get("accuracy") or {}).get("confusion")
    ]
    if not scored:
        return None
    order = ("board", "PC", "phone", "estimate")
    most = most_images(rows)
    row = min(
        scored,
        key=lambda r: (
            bool(r.target.get("frames")),
            r.target["accuracy"]["images"] < most,
            order.index(r.place),
            r.target.get("precision") != "int8",
        ),
    )
    accuracy = row.target["accuracy"]
    part = "" if accuracy["images"] == most else f"only, where others saw {most:,}, "
    size = len(accuracy["confusion"])
    names = list(classes or accuracy.get("per_class_recall", ()))[:size]
    names += [f"class {number}" for number in range(len(names), size)]
    counts = accuracy["confusion"]
    recalls = [f"{line[i] / (sum(line) or 1):.0%}" for i, line in enumerate(counts)]
    names = [words(name) for name in names]
    return {
        "about": f"{row.name}, {accuracy['images']:,} images {part}of the "
        f"{accuracy['split']} split.",
        "names": names,
        "lines": list(zip(names, counts, recalls, strict=True)),
    }


def _how(rows: Sequence[Row]) -> Table:
    columns = ["Target", "Hardware", "Runs", "Versions", "Command", "Date", "Note"]
    lines = []
    for row in rows:
        versions = row.target.get("versions") or {}
        notes = (str(row.target.get("note") or ""), show_parity(row))
        lines.append(
            [
                row.name,
                str(row.target.get("hardware", "")),
                f"{row.cost.get('runs', 0):,}",
                # Some tools' answers begin with their name.
                ", ".join(f"{n} {v.removeprefix(n).strip()}" for n, v in versions.items()),
                str(row.target.get("command", "")),
                str(row.target.get("date", ""))[:10].replace("-", NO_BREAK_HYPHEN),
                "; ".join(note for note in notes if note),
            ]
        )
    return Table(columns, lines)
