"""Rows, ratios and remarks: an instruction count is no time, and a ratio needs equal conditions."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
from report_zoo import rewrite, rows

from host_tools.report.entries import load_entries, missing, remarks, show_cost
from swin2mcu.common.cli import UserError
from swin2mcu.common.paths import ZOO


def test_instructions_are_never_milliseconds(zoo: Path) -> None:
    row = rows(zoo)["qemu-m7-aot"]
    assert row.milliseconds is None
    assert show_cost(row) == "24.3 M instructions"
    assert any("not a time" in remark for remark in remarks(load_entries([zoo])[0][0]))


def test_commands_that_are_shown_can_be_typed(zoo: Path) -> None:
    folder = zoo / "my leaves"
    shutil.copytree(zoo / "model-0", folder)
    results = json.loads((folder / "results.json").read_text())
    results["targets"] = {k: v for k, v in results["targets"].items() if v["kind"] != "phone"}
    (folder / "results.json").write_text(json.dumps(results))
    (shown,) = missing(load_entries([folder])[0][0])
    assert shlex.split(shown.partition(": ")[2])[2:] == [str(folder)]


def test_ratios_are_of_one_run_and_as_many_threads(zoo: Path) -> None:
    found = rows(zoo)
    assert found["pc-litert-int8"].of_large == 600 / 800_000
    for name in ("pc-litert-float32-2t", "phone-browser-int8", "qemu-m7-aot"):
        assert found[name].of_large is None, name
    path = zoo / "model-0" / "results.json"
    results = json.loads(path.read_text())
    results["targets"]["pc-litert-int8"]["session"] = "another day"
    path.write_text(json.dumps(results))
    assert rows(zoo)["pc-litert-int8"].of_large is None


def test_on_a_busy_machine_ratios_are_of_cpu_time(zoo: Path) -> None:
    path = zoo / "model-0" / "results.json"
    results = json.loads(path.read_text())
    for name, cpu_us in (("pc-torch-swin-large-float32", 400_000.0), ("pc-litert-int8", 600.0)):
        results["targets"][name]["cost"]["cpu_p50"] = cpu_us
    path.write_text(json.dumps(results))
    assert rows(zoo)["pc-litert-int8"].of_large == 600 / 400_000
    said = " ".join(remarks(load_entries([zoo])[0][0]))
    assert "The machine was busy: Swin-L took 2.0 times its CPU time" in said


def test_what_could_be_misread_is_said(zoo: Path) -> None:
    said = " ".join(remarks(load_entries([zoo])[0][0]))
    assert "1/200 of Swin-L's time and 1/3,091 of its multiply-accumulates" in said
    assert "pc-litert-int8: int8 is 3.0 times slower than float32" in said
    results = json.loads((zoo / "model-0" / "results.json").read_text())["targets"]
    for key in ("session", "hardware"):
        apart = {**results["pc-litert-int8"], key: "another"}
        rewrite(zoo / "model-0", {**results, "pc-litert-int8": apart})
        assert "times slower" not in " ".join(remarks(load_entries([zoo])[0][0])), key


def test_a_card_that_its_model_contradicts_leaves_the_entry_out(tmp_path: Path) -> None:
    folder = tmp_path / "small-96"
    shutil.copytree(ZOO / "small-96", folder)
    load_entries([folder / "results.json"])
    card = json.loads((folder / "card.json").read_text())
    card["classes"] = card["classes"][:-1]
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match=r"names 9 classes, and .* has 10 outputs"):
        load_entries([folder / "results.json"])
