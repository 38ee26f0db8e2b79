"""One model's section of the report, from its targets to how each was measured."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

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
from host_tools.report.scores import cautions_of
from host_tools.report.tags import anchor, bar, place_class, short, table, table_row, words

NO_BREAK_HYPHEN = "\N{NON-BREAKING HYPHEN}"


def model_section(entry: Entry, pictures: Sequence[Picture], attention: str | None) -> str:
    rows = rows_of(entry)
    card = entry.card
    about = (
        f"{card.student}, input {card.input_shape[0]} by {card.input_shape[1]} pixels, "
        f"{len(card.classes)} classes."
        if card
        else "No model card beside the results."
    )
    return "".join(
        [
            f'<section><h2 id="{anchor(entry)}">{escape(entry.name)}</h2>',
            f'<p class="soft">{escape(about)}</p>',
            _targets_table(rows),
            "".join(
                f'<p class="remark">{escape(remark)}</p>'
                for remark in (*cautions_of(entry), *remarks(entry))
            ),
            _latencies(rows),
            _operators(rows),
            _parity(entry.parity),
            _confusion(entry.name, rows, card.classes if card else None),
            _attention(attention),
            _mistakes(pictures),
            _how(rows),
            "</section>",
        ]
    )


def _targets_table(rows: Sequence[Row]) -> str:
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
            f'<span class="dot {place_class(row)}" aria-hidden="true"></span>{escape(row.name)}',
            escape(row.engine),
            escape(str(row.target.get("precision", ""))),
            escape(show_top1(row, most)),
            escape(show_cost(row)) + (" (estimate)" if row.place == "estimate" else ""),
            escape(show_cost(row, "p95")) if "p95" in row.cost else "",
            "" if row.of_large is None else f"1/{1 / row.of_large:,.0f}",
            escape(show_memory(row)),
            escape(show_file(row)),
        ]
        if energy:
            cells.append(escape(str(row.target.get("energy", {}).get("text", ""))))
        lines.append(table_row(columns, cells, numeric_from=3))
    return table(columns, lines, numeric_from=3)


def _latencies(rows: Sequence[Row]) -> str:
    shown = [
        (short(row), place_class(row), [value / 1000 for value in row.cost["quantiles"]])
        for row in rows
        if row.cost.get("unit") == "us" and min(row.cost.get("quantiles") or [0]) > 0
    ]
    if not shown:
        return ""
    return (
        f"<h3>Distribution of single runs</h3><figure>{distributions(shown, 'milliseconds')}"
        "<figcaption>Box: middle half of the runs; stroke: median; line: fastest run to 95 %. "
        "Logarithmic.</figcaption></figure>"
    )


def _operators(rows: Sequence[Row]) -> str:
    parts = []
    for row in rows:
        profile = row.target.get("profile")
        if not profile:
            continue
        columns = ["Step", "Stands for", f"Cost ({row.cost.get('unit', '')})", "Share"]
        total = sum(step["cost"] for step in profile) or 1
        lines = [
            table_row(
                columns,
                [
                    escape(str(step["step"])),
                    escape(str(step.get("operators", ""))),
                    f"{step['cost']:,.0f}",
                    bar(step["cost"] / total, f"{step['cost'] / total:.1%}"),
                ],
                numeric_from=2,
                bars=True,
            )
            for step in sorted(profile, key=lambda step: -step["cost"])
        ]
        parts.append(
            f"<details><summary>{escape(row.name)}, {len(lines)} steps, dearest first</summary>"
            f"{table(columns, lines, numeric_from=2)}</details>"
        )
    return f"<h3>Cost per operator</h3>{''.join(parts)}" if parts else ""


def _parity(parity: dict[str, Any] | None) -> str:
    if not parity:
        return ""
    columns = ["Stage", "Compared with", "Images", "Same top-1", "Largest difference"]
    lines = [
        table_row(
            columns,
            [
                escape(str(stage.get("name", ""))),
                escape(str(stage.get("against") or "")),
                f"{stage.get('images', parity.get('images', 0)):,}",
                f"{stage['top1_agreement']:.2%}" if "top1_agreement" in stage else "",
                escape(f"{stage['max_difference']:.4g} {stage.get('unit', '')}")
                if "max_difference" in stage
                else "",
            ],
            numeric_from=2,
        )
        for stage in parity.get("stages", [])
    ]
    return (
        "<h3>Parity</h3><p>The same images through every form of the model, each compared with "
        f"the form it must equal.</p>{table(columns, lines, numeric_from=2)}"
    )


def _confusion(model: str, rows: Sequence[Row], classes: Sequence[str] | None) -> str:
    scored = [
        row
        for row in rows
        if row.subject == "student" and (row.target.get("accuracy") or {}).get("confusion")
    ]
    if not scored:
        return ""
    order = ("board", "PC", "phone", "estimate")
    most = most_images(rows)
    row = min(
        scored,
        key=lambda r: (
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
    head = "".join(f'<th scope="col"><span>{escape(words(name))}</span></th>' for name in names)
    lines = []
    for number, (name, counts) in enumerate(zip(names, accuracy["confusion"], strict=True)):
        total = sum(counts) or 1
        cells = "".join(
            f'<td{" class=full" if count > total / 2 else ""} style="--share:{count / total:.3f}">'
            f"{count or ''}</td>"
            for count in counts
        )
        recall = counts[number] / total
        lines.append(
            f'<tr><th scope="row">{escape(words(name))}</th>{cells}'
            f'<td style="--share:0">{recall:.0%}</td></tr>'
        )
    return (
        f"<h3>Confusion matrix</h3><p>{escape(row.name)}, {accuracy['images']:,} images {part}"
        f"of the {escape(accuracy['split'])} split. Rows: what it is; columns: what was said.</p>"
        '<div class="scroll" tabindex="0" role="region" aria-label="confusion matrix of '
        f'{escape(model)}">'
        '<table class="confusion"><thead><tr><td style="--share:0"></td>'
        f'{head}<th scope="col"><span>recall</span></th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _attention(sheet: str | None) -> str:
    if sheet is None:
        return ""
    return (
        "<h3>Where teacher and student look</h3><p>The same leaves through both networks. "
        "Brighter: more of the attention that training brought together.</p>"
        '<div class="scroll" tabindex="0" role="region" aria-label="attention maps">'
        '<img class="sheet" alt="rows of leaves: photo, then the teacher\'s and the student\'s '
        f'attention for each pair of stages" src="{sheet}"></div>'
    )


def _mistakes(pictures: Sequence[Picture]) -> str:
    if not pictures:
        return ""
    figures = "".join(
        f'<figure><img alt="leaf with {escape(words(p.truth))}" src="{p.image}">'
        f'<img alt="where the student looks" src="{p.attention}">'
        f"<figcaption><b>{escape(words(p.truth))}</b>, taken for {escape(words(p.answer))} "
        f"(by {p.margin:.1f} logits)</figcaption></figure>"
        for p in pictures
    )
    return (
        "<h3>The worst mistakes</h3><p>Test images the int8 model is most wrong about. "
        "Beside each: where the energy of the student's features lies, the map that training "
        f'holds against the teacher\'s attention.</p><div class="pictures">{figures}</div>'
    )


def _how(rows: Sequence[Row]) -> str:
    columns = ["Target", "Hardware", "Runs", "Versions", "Command", "Date", "Note"]
    lines = []
    for row in rows:
        versions = row.target.get("versions") or {}
        notes = (str(row.target.get("note") or ""), show_parity(row))
        lines.append(
            table_row(
                columns,
                [
                    escape(row.name),
                    escape(str(row.target.get("hardware", ""))),
                    f"{row.cost.get('runs', 0):,}",
                    # Some tools' answers begin with their name.
                    escape(
                        ", ".join(f"{n} {v.removeprefix(n).strip()}" for n, v in versions.items())
                    ),
                    escape(str(row.target.get("command", ""))),
                    escape(str(row.target.get("date", ""))[:10].replace("-", NO_BREAK_HYPHEN)),
                    escape("; ".join(note for note in notes if note)),
                ],
            )
        )
    return (
        "<h3>How each number was measured</h3><details><summary>Hardware, versions, commands, dates"
        f"</summary>{table(columns, lines)}</details>"
    )
