"""What became of runs beyond training, as Markdown: teachers, students in int8, the zoo."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from pytorch_side.config import Config, load_config, read_saved_config
from pytorch_side.looks import last_look
from tinyml.card import sha256_of

NONE = "–"  # noqa: RUF001

# The paper's figures stand in a file of their own, the only ones that nobody measured here.
PAPER = Path(__file__).with_name("paper.json")


def teacher_section(teachers: Sequence[tuple[str, Path]]) -> list[str]:
    """Each teacher's last logged look at val and at test (looks.jsonl of its run)."""
    if not teachers:
        return []
    lines = ["", "| teacher | run | val top-1 | test top-1 |", "|---|---|---|---|"]
    for name, folder in teachers:
        weights = folder / "teacher.safetensors"
        sha256 = sha256_of(weights) if weights.is_file() else ""
        looks = [last_look(folder, split, sha256) for split in ("val", "test")]
        lines.append(_line(name, folder.name, *(_with_error(look) for look in looks)))
    return lines


def knowledge_section(folders: Sequence[Path]) -> list[str]:
    """What stored answers can tell a student that its labels do not: a line a folder.

    An answer that is right, and as sure of itself as all others, only repeats its label.
    """
    lines = []
    for folder in dict.fromkeys(folders):
        if not (folder / "knowledge.json").is_file():
            continue
        about, files = _read(folder / "knowledge.json"), _read(folder / "files.json")
        number = {name: i for i, name in enumerate(about["classes"])}
        labels = np.array([number[file.split("/")[0]] for file in files])
        logits = np.load(folder / "logits.npy")[: about["done"]].astype(np.float64)
        shares = np.exp(logits - logits.max(axis=2, keepdims=True))
        surest = (shares.max(axis=2) / shares.sum(axis=2)).ravel()
        right = logits.argmax(axis=2) == labels[: about["done"], None]
        low, middle = np.percentile(surest, [5, 50])
        cells = f"{right.mean():.2%}", f"{low:.2f}", f"{middle:.2f}"
        lines.append(_line(folder.name, str(logits.shape[1]), *cells))
    head = "| knowledge | views | right | its surest class, 5 % quantile | median |"
    return ["", head, "|---|---|---|---|---|", *lines] if lines else []


@dataclass(frozen=True)
class Int8:
    """One model's top-1 on its way into int8; None where it was not looked at."""

    name: str
    val: tuple[float | None, ...]  # float, PTQ, QAT
    float_test: dict[str, Any] | None
    int8_test: dict[str, Any] | None


def int8_section(groups: Sequence[Sequence[Path]]) -> list[str]:
    """The way into int8 of runs that were quantised; a group is one experiment's seeds."""
    found = [[one for folder in group if (one := _int8_of_run(folder))] for group in groups]
    rows = [line for group in found for line in (*map(_int8_line, group), *_mean_line(group))]
    return _int8_table(rows) if rows else []


def _int8_of_run(folder: Path) -> Int8 | None:
    card = _read(folder / "card.json")
    if not card.get("sha256"):
        return None
    return _int8(folder.name, card, look_at_test(folder, "student.safetensors"))


def _int8(name: str, card: dict[str, Any], float_test: dict[str, Any] | None) -> Int8:
    val = {s: a["top1"] for s, a in card["accuracy"].items() if a["split"] == "val"}
    stages = tuple(val.get(stage) for stage in ("float", "ptq", "qat"))
    return Int8(name, stages, float_test, card["accuracy"].get("int8"))


def _int8_table(rows: Sequence[str]) -> list[str]:
    return [
        "",
        "In int8: `ptq` has ranges alone, `qat` is fine-tuned after that; both are scored in the "
        "board's own integers.",
        "",
        "| run | float val | ptq val | qat val | float test | int8 test | int8 - float, points |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]


def _int8_line(one: Int8) -> str:
    first, last = one.float_test, one.int8_test
    gap = f"{100 * (last['top1'] - first['top1']):+.2f}" if first and last else NONE
    return _line(one.name, *map(_percent, one.val), _with_error(first), _with_error(last), gap)


def _mean_line(group: Sequence[Int8]) -> list[str]:
    """Mean ± standard deviation of the seeds' scores on test, where all were looked at."""
    ends = [
        (o.float_test["top1"], o.int8_test["top1"]) for o in group if o.float_test and o.int8_test
    ]
    if len(ends) < 2 or len(ends) < len(group):
        return []
    floats, ints = zip(*ends, strict=True)
    shown = [f"**{mean(of):.2%} ± {stdev(of):.2%}**" for of in (floats, ints)]
    gap = f"{100 * (mean(ints) - mean(floats)):+.2f}"
    return [_line(f"mean of {len(ends)} seeds ± sd", *[""] * 3, *shown, gap)]


def look_at_test(folder: Path, weights: str) -> dict[str, Any] | None:
    """The last look at test with one of a run's weight files as it is now."""
    path = folder / weights
    return last_look(folder, "test", sha256_of(path)) if path.is_file() else None


def zoo_section(zoo: Path, runs: Path, configs: Path) -> list[str]:
    """What the published models cost and score, and the paper's figures under them.

    Sizes and operations come from each entry's card.json, accuracy on test and latency from its
    results.json, its teacher from the run's config.json or, without a run, configs/<name>.toml.
    """
    rows, entries = [], []
    cards = [(_read(path), path.parent) for path in zoo.glob("*/card.json")]
    for card, folder in sorted(cards, key=lambda pair: pair[0]["macs"]):
        targets = _read(folder / "results.json").get("targets", {})
        saved = runs / folder.name / "config.json"
        given = configs / f"{folder.name}.toml"
        config = read_saved_config(saved) if saved.is_file() else load_config(given)
        float_test = _accuracy(targets, "pc-torch-float32")
        exact = card["accuracy"].get("int8") or _accuracy(targets, "pc-tflm-int8")
        entries.append(_int8_line(replace(_int8(folder.name, card, float_test), int8_test=exact)))
        latency = [_latency(targets, f"pc-litert-{kind}") for kind in ("int8", "float32")]
        rows.append(
            _line(
                folder.name,
                f"{(folder / 'model_int8.tflite').stat().st_size:,}",
                f"{card['parameters']:,}",
                f"{card['macs']:,}",
                f"{card['arena_bytes']:,}",
                " / ".join(latency),
                _with_error(float_test),
                _with_error(exact),
                _teacher(config, _accuracy(targets, "pc-torch-teacher-float32")),
            )
        )
    if not rows:
        return []
    paper = json.loads(PAPER.read_text(encoding="utf-8"))
    keys = ("name", "file", "parameters", "macs", "arena", "latency", "float", "int8", "teacher")
    return [
        "## Published models",
        "",
        "Accuracy is top-1 on test ± one standard error; latency is the median on one thread of a "
        "PC; the arena is TensorFlow Lite Micro's.",
        "",
        "| model | file, bytes | parameters | MACs | arena, bytes | LiteRT int8 / float32, ms "
        "| float test | int8 test | teacher |",
        "|---" * len(keys) + "|",
        *rows,
        *(_line(*(row.get(key, NONE) for key in keys)) for row in paper["rows"]),
        "",
        f"The last {len(paper['rows'])} rows are not measured here. {paper['note']} Source: "
        f"{paper['source']}.",
        *_int8_table(entries),
        "",
    ]


def _accuracy(targets: dict[str, Any], name: str) -> dict[str, Any] | None:
    """A target's accuracy, if it saw test."""
    found: dict[str, Any] | None = targets.get(name, {}).get("accuracy")
    return found if found and found["split"] == "test" else None


def _latency(targets: dict[str, Any], name: str) -> str:
    cost = targets.get(name, {}).get("cost", {})
    return f"{cost['p50'] / 1000:.2f}" if cost.get("unit") == "us" else NONE


def _teacher(config: Config, accuracy: dict[str, Any] | None) -> str:
    """The network a student learned from, and what it scores; a convolutional stem is said."""
    if not (config.alpha > 0 or config.beta > 0):
        return "none"
    sizes = config.teacher_arguments
    text = config.teacher.replace("swin", "Swin", 1)
    if sizes:
        text += f" {sizes['embed_dim']}, depths {'-'.join(str(d) for d in sizes['depths'])}"
    if config.teacher_stem:
        text += f", over the stages of {config.teacher_stem} to stride 16"
    return f"{text}, {config.teacher_size} px: {_with_error(accuracy)}"


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _with_error(measured: dict[str, Any] | None) -> str:
    """Top-1 with one standard error, of a binomial over the images."""
    if not measured:
        return NONE
    share = measured["top1"]
    return f"{share:.2%} ± {(share * (1 - share) / measured['images']) ** 0.5:.2%}"


def _read(path: Path) -> Any:
    if not path.is_file():
        return {}
    return json.loads(path.read_text(encoding="utf-8"))


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{share:.2%}"
