"""The report over folders that anybody may have sent: what is bad is left out and named."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from report_zoo import target
from tiny_run import make_images, make_run

from host_tools.inputs import load_model
from host_tools.report.__main__ import main
from host_tools.report.entries import load_entries
from host_tools.report.markdown import markdown
from host_tools.report.page import page
from host_tools.report.terminal import print_entries

JSON_FILES = ("results.json", "card.json", "parity.json")
STAGE = {"name": "int8", "against": "float", "unit": "lsb", "images": 9, "top1_agreement": 0.99}
STAGE |= {"max_difference": 1.0, "limits": {"max_difference": 2}}
VALUES = [
    *(None, True, 0, -1, 1, 10**30, 10**400, 1e308, float("nan"), float("inf"), 1e-300),
    *("", "pc", "us", "x" * 20_000, "\x1b[2J", "\ud800", "[bold]x[/]", "0" * 64),
    *([], {}, [[]], [1, "x"], {"": 1}, {"a": None}, [[[[[[]]]]]]),
]


def documents(sha256: str) -> dict[str, Any]:
    targets = {
        "pc-torch-swin-large-float32": target("pc", 8e5, accuracy=None, model={"macs": 34 * 10**9}),
        "pc-torch-float32": target("pc", 4e3, model={"macs": 11_000_000}),
        "pc-torch-teacher-float32": target("pc", 9e3, note="what this student learned from: x"),
        "pc-litert-int8": target("pc", 600.0, versions={"litert": "2"}),
        "pc-litert-float32": target("pc", 200.0),
        "phone-int8": target("phone", 5e3, parity={"reference": "x", "images": 9, "max_lsb": 1}),
        "qemu-m7-aot": target(
            "board",
            2e7,
            memory={"arena_bytes": 75_000},
            parity={"reference": "tflite-micro", "images": 9, "identical": 9},
            profile=[{"step": "conv0", "operators": "CONV_2D 0", "cost": 1000}],
        ),
        "esp32s3": target("estimate", 4e5, energy={"text": "1 mJ"}),
    }
    results = {"schema": 1, "model_sha256": sha256, "name": "sent", "targets": targets}
    parity = {"split": "test", "images": 9, "split_images": 90, "stages": [STAGE]}
    return {"results.json": results, "parity.json": parity}


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A good entry, and one that the tests damage."""
    for name in ("good", "sent"):
        run = make_run(tmp_path / "zoo" / name, name)
        found = documents(load_model(str(run)).sha256)
        found["results.json"]["name"] = name
        for file, value in found.items():
            (run / file).write_text(json.dumps(value))
    return tmp_path / "zoo"


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a JSON value another one can stand."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inside:
        yield (*path, key)
        if isinstance(one, dict | list) and len(path) < 5:
            yield from places(one, (*path, key))


def damaged(value: Any, chance: random.Random, known: list[tuple[Any, ...]]) -> Any:
    """A copy with one place deleted, or with a hostile value there."""
    value = copy.deepcopy(value)
    *path, last = chance.choice(known)
    parent = value
    for key in path:
        parent = parent[key]
    if chance.random() < 0.2:
        del parent[last]
    else:
        parent[last] = chance.choice(VALUES)
    return value


def shown(zoo: Path) -> list[str]:
    """Everything that is made of the entries is made; the complaints."""
    entries, complaints = load_entries([zoo])
    assert "good" in [entry.name for entry in entries]
    page(entries, complaints, {}, {}).encode(errors="backslashreplace")
    markdown(entries)
    print_entries(entries)
    return complaints


def test_any_value_anywhere_is_shown_or_left_out(zoo: Path) -> None:
    assert shown(zoo) == []
    chance, left_out = random.Random(0), 0
    for file in JSON_FILES:
        path = zoo / "sent" / file
        whole = path.read_text()
        value = json.loads(whole)
        known = list(places(value))
        for _ in range(40):
            path.write_text(json.dumps(damaged(value, chance, known)))
            complaints = shown(zoo)
            left_out += len(complaints)
            assert all(str(zoo / "sent") in line and "\n" not in line for line in complaints)
        path.write_text(whole)
    assert left_out > 40


def files(path: Path) -> dict[str, Callable[[], object]]:
    """Ways in which a file can be none that can be read."""
    return {
        "empty": lambda: path.write_text(""),
        "cut short": lambda: path.write_text('{"schema": 1, "model'),
        "not UTF-8": lambda: path.write_bytes(b'{"name": "\xff\xfe"}'),
        "nested": lambda: path.write_text('{"a":' + "[" * 100_000),
        "long number": lambda: path.write_text('{"schema": ' + "9" * 5000 + "}"),
        "another kind": lambda: path.write_text('["results"]'),
        "a folder": path.mkdir,
        "a pipe": lambda: os.mkfifo(path),
        "a dangling link": lambda: path.symlink_to("nowhere"),
        "a link to itself": lambda: path.symlink_to(path.name),
        "large": lambda: path.write_bytes(b" " * (33 << 20)),
    }


@pytest.mark.parametrize("file", JSON_FILES)
def test_a_file_that_is_none_is_left_out_and_named(zoo: Path, file: str) -> None:
    path = zoo / "sent" / file
    whole = path.read_bytes()
    for kind, make in files(path).items():
        path.unlink()
        make()
        complaints = shown(zoo)
        # A link to nothing is no file; without a card or a parity record an entry is shown.
        absent = kind in ("a dangling link", "a link to itself")
        absent |= file != "results.json" and kind in ("a folder", "a pipe")
        if not absent:
            assert len(complaints) == 1 and str(path) in complaints[0], kind
            assert "\n" not in complaints[0] and len(complaints[0]) < 1000, kind
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.write_bytes(whole)


def test_many_targets_are_quick_or_refused(zoo: Path) -> None:
    path = zoo / "sent/results.json"
    results = json.loads(path.read_text())
    one = results["targets"]["pc-litert-int8"]
    for count, said in ((200, []), (10_000, ["has 10,000 targets"])):
        results["targets"] = {f"pc-{number}": one for number in range(count)}
        path.write_text(json.dumps(results))
        before = time.process_time()
        complaints = shown(zoo)
        assert len(complaints) == len(said)
        assert all(word in line for word, line in zip(said, complaints, strict=True))
        assert time.process_time() - before < 5


def test_a_sheet_that_is_no_picture_is_named(zoo: Path, tmp_path: Path, capsys: Any) -> None:
    sheet, out = zoo / "sent/attention.png", tmp_path / "r.html"
    Image.new("RGB", (64, 32)).save(sheet)
    whole = sheet.read_bytes()
    images = make_images(tmp_path / "images", per_class=2)
    for bad in (b"", whole[:-20], whole[:40], whole.replace(b"IDAT", b"IDAX"), whole[::-1]):
        sheet.write_bytes(bad)
        assert main([str(zoo), "--out", str(out), "--data", str(images)]) == 0
        assert "no attention maps of sent" in capsys.readouterr().err
    Image.new("RGB", (9000, 1)).save(sheet)
    assert main([str(zoo), "--out", str(out), "--data", str(images)]) == 0
