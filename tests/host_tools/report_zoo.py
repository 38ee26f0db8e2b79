"""Two published models with made-up results, for the tests of the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tiny_run import CLASSES, make_run

from host_tools.inputs import load_model
from host_tools.report.entries import Row, load_entries, rows_of

CONFUSION = [[9 if row == column else 0 for column in range(10)] for row in range(10)]
FOREIGN = '<img src="http://nowhere.test/x">'
FLOAT_PARITY = {"reference": "the PC", "images": 200, "same_top1": 199, "max_logit": 0.0012}
ACCURACY = {
    "split": "test",
    "images": 90,
    "top1": 0.9,
    "confusion": CONFUSION,
    "per_class_recall": dict.fromkeys(CLASSES, 1.0),
    "data": "leaves",
}


def target(kind: str, p50: float, **more: Any) -> dict[str, Any]:
    unit = "instructions" if kind == "board" else "us"
    cost = {"unit": unit, "p50": p50, "p95": 2 * p50, "p99": 3 * p50, "min": p50, "mean": p50}
    return {
        "kind": kind,
        "engine": "engine",
        "precision": "int8",
        "hardware": "hardware",
        "versions": {},
        "threads": 1,
        "command": "command",
        "date": "2026-01-01T00:00:00+00:00",
        "session": "one",
        "accuracy": ACCURACY,
        "cost": {**cost, "runs": 50, "quantiles": [p50 * (1 + i / 10) for i in range(21)]},
        "memory": {},
        "parity": None,
        **more,
    }


def make_zoo(folder: Path) -> Path:
    """Two models: one measured everywhere, its name is an attack; the other on the PC alone."""
    nasty = "<script>fetch('http://nowhere.test/')</script>"
    targets = {
        "pc-torch-swin-large-float32": target(
            "pc", 800_000.0, accuracy=None, precision="float32", model={"macs": 34_000_000_000}
        ),
        "pc-torch-float32": target("pc", 4_000.0, model={"macs": 11_000_000}, precision="float32"),
        "pc-litert-int8": target("pc", 600.0),
        "pc-litert-float32": target("pc", 200.0, precision="float32"),
        "pc-litert-float32-2t": target("pc", 150.0, threads=2),
        "phone-browser-int8": target("phone", 5_000.0, engine=FOREIGN, parity=FLOAT_PARITY),
        "qemu-m7-aot": target(
            "board",
            24_300_000.0,
            hardware="Cortex-M7 (emulated)",
            memory={"arena_bytes": 75_000},
            profile=[{"step": "conv0", "operators": "CONV_2D 0", "cost": 1000}],
        ),
        "esp32s3": target("estimate", 400_000.0, note="from 6 cycles per MAC"),
    }
    stage = {"name": "int8", "against": "float", "images": 9, "top1_agreement": 0.99}
    for number, chosen in enumerate((targets, {"pc-litert-int8": target("pc", 900.0)})):
        run = make_run(folder / f"model-{number}", f"model-{number}")
        results = {"schema": 1, "model_sha256": load_model(str(run)).sha256, "targets": chosen}
        results["name"] = nasty if number == 0 else "plain"
        (run / "results.json").write_text(json.dumps(results))
        (run / "parity.json").write_text(json.dumps({"stages": [stage]}))
    return folder


def rewrite(run: Path, targets: dict[str, Any]) -> None:
    results = json.loads((run / "results.json").read_text())
    (run / "results.json").write_text(json.dumps({**results, "targets": targets}))


def rows(zoo: Path) -> dict[str, Row]:
    entries, _ = load_entries([zoo])
    return {row.name: row for row in rows_of(entries[0])}
