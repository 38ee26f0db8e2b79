"""The published models as Markdown: cost and accuracy."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from host_tools.results import described_teacher
from pytorch_side.config import Config, load_config, read_saved_config
from pytorch_side.nets.describe import describe_teacher
from swin2mcu.common.paths import PAPER
from swin2mcu.research.int8 import (
    int8_line,
    int8_table,
    of_card,
)
from swin2mcu.research.teachers import published_teachers
from swin2mcu.research.text import NONE, line, read_json, table, with_error

TEACHER = "pc-torch-teacher-float32"
RUN = re.compile(r"([^/]+)/(student|teacher)\.safetensors")
EXACT = ("pc-tflm-int8", "pc-aot-int8", "qemu-m7-aot")  # targets with the board's own integers


def models_lines(zoo: Path, runs: Path, configs: Path) -> list[str]:
    """Cost and accuracy of the published models, followed by the paper's figures.

    Sizes and operations come from each entry's card.json, accuracy on test and latency from its
    results.json. Its teacher is what was scored as such. Without a score it comes from the
    config.json of the run and of the teacher's run, or from configs/<name>.toml without a run.
    """
    rows, models = [], entries(zoo)
    pcs = list(dict.fromkeys(_pc(_scores(card, folder)[0]) for card, folder in models))
    for card, folder in models:
        targets, float_test, exact = _scores(card, folder)
        latency = [_latency(targets, f"pc-litert-{kind}") for kind in ("int8", "float32")]
        # Times of different PCs are not compared: each names its PC.
        where = f" ({pcs.index(_pc(targets)) + 1})" if len(pcs) > 1 else ""
        scored = described_teacher(targets.get(TEACHER, {}))
        teacher = scored or _teacher(folder.name, runs, configs)
        if teacher:
            teacher += f": {with_error(_accuracy(targets, TEACHER))}"
        rows.append(
            line(
                folder.name,
                f"{(folder / 'model_int8.tflite').stat().st_size:,}",
                f"{card['parameters']:,}",
                f"{card['macs']:,}",
                f"{card['arena_bytes']:,}",
                " / ".join(latency) + where,
                with_error(float_test),
                with_error(exact),
                teacher or "none",
            )
        )
    if not rows:
        return []
    paper = read_json(PAPER)
    keys = ("name", "file", "parameters", "macs", "arena", "latency", "float", "int8", "teacher")
    rows += [line(*(row.get(key, NONE) for key in keys)) for row in paper["rows"]]
    numbered = (f"{number}: {pc}" for number, pc in enumerate(pcs, 1))
    machines = ", ".join(numbered if len(pcs) > 1 else pcs)
    return [
        "Accuracy is top-1 on test ± one standard error; latency is the median on one thread of a "
        f"PC ({machines}); the arena is TensorFlow Lite Micro's on this PC.",
        *table(
            "model | file, bytes | parameters | MACs | arena, bytes | LiteRT int8 / float32, ms "
            "| float test | int8 test | its teacher, with its float test",
            rows,
        ),
        "",
        f"The last {len(paper['rows'])} rows are not measured here. {paper['note']} Source: "
        f"{paper['source']}.",
    ]


def published_section(zoo: Path, teachers: Path) -> list[str]:
    """The published models before and after int8, and teachers; [] if no model is published."""
    lines = list(int8_lines(zoo).values())
    head = "# Published models before and after int8, and teachers"
    return [head, *int8_table(lines), *published_teachers(teachers)] if lines else []


def int8_lines(zoo: Path) -> dict[str, str]:
    """Each published model's line of a table of int8 accuracy, by its name."""
    lines = {}
    for card, folder in entries(zoo):
        _, float_test, exact = _scores(card, folder)
        found = replace(of_card(folder.name, card, float_test), int8_test=exact)
        lines[folder.name] = int8_line(found)
    return lines


def entries(zoo: Path) -> list[tuple[dict[str, Any], Path]]:
    """Each published model's card and folder, sorted by multiply-accumulates."""
    cards = [(read_json(path), path.parent) for path in zoo.glob("*/card.json")]
    return sorted(cards, key=lambda pair: pair[0]["macs"])


def _scores(
    card: dict[str, Any], folder: Path
) -> tuple[dict[str, Any], dict[str, Any] | None, dict[str, Any] | None]:
    """A published model's measured targets, and its accuracy on test in float and in int8."""
    targets = read_json(folder / "results.json").get("targets", {})
    exact = card["accuracy"].get("int8") or exact_accuracy(targets)
    return targets, _accuracy(targets, "pc-torch-float32"), exact


def _config(name: str, runs: Path, configs: Path) -> Config | None:
    """A run's config or, if the run is missing, the config file that it is trained with."""
    saved, given = runs / name / "config.json", configs / f"{name}.toml"
    if saved.is_file():
        return read_saved_config(saved)
    return load_config(given) if given.is_file() else None


def exact_accuracy(targets: dict[str, Any]) -> dict[str, Any] | None:
    """The accuracy on test in the board's own integers, of the target that scored most images.

    They all compute the same bytes, but a slow one has no time for all images.
    """
    measured = [found for name in EXACT if (found := _accuracy(targets, name))]
    return max(measured, key=lambda found: int(found["images"]), default=None)


def _accuracy(targets: dict[str, Any], name: str) -> dict[str, Any] | None:
    """A target's accuracy, if measured on test."""
    found: dict[str, Any] | None = targets.get(name, {}).get("accuracy")
    return found if found and found["split"] == "test" else None


def _latency(targets: dict[str, Any], name: str) -> str:
    cost = targets.get(name, {}).get("cost", {})
    return f"{cost['p50'] / 1000:.2f}" if cost.get("unit") == "us" else NONE


def _pc(targets: dict[str, Any]) -> str:
    return str(targets.get("pc-litert-int8", {}).get("hardware", "unknown"))


def _teacher(name: str, runs: Path, configs: Path) -> str:
    """A student's teacher; "" for labels alone."""
    config = _config(name, runs, configs)
    if not (config and config.distillation.used):
        return ""
    made_by = RUN.search(config.teacher.init)
    return describe_teacher(config, _config(made_by[1], runs, configs) if made_by else None)
