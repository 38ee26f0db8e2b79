"""What a phone posts, believed only as far as it can be checked."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_run import CLASSES, make_run

from host_tools.bench_phone import wait_for
from host_tools.inputs import load_model
from host_tools.phone import assets
from host_tools.phone.server import BadPost
from host_tools.phone.session import Expected, PhoneSession, compare, device_of
from host_tools.report.entries import load_entries, rows_of
from swin2mcu.common.cli import UserError
from swin2mcu.common.test_access import read_accesses
from tinyml.format.tflite import read

IMAGES = 6
WANTED = np.random.default_rng(0).normal(size=(IMAGES, len(CLASSES))).astype(np.float32)
TIMING = {"kind": "timing", "precision": "int8", "threads": 1, "times_us": [900.0] * 9, "batch": 2}
LOGITS = {"kind": "logits", "precision": "int8", "threads": 1, "logits": WANTED.tolist()}


@dataclass
class OnePhone(PhoneSession):
    """A session whose posts are all of the phone that said hello last."""

    phone: str = ""
    fixtures: str = ""  # said hello for the tests that do not

    def receive(self, message: dict[str, Any]) -> dict[str, Any]:
        if message.get("kind") == "hello" and not any(p.posts for p in self.phones.values()):
            self.phones.pop(self.fixtures, None)
        reply = super().receive({"phone": self.phone, **message})
        self.phone = reply.get("phone", self.phone)
        return reply


@pytest.fixture
def session(tmp_path: Path) -> PhoneSession:
    labels = WANTED.argmax(axis=1).tolist()
    model = load_model(str(make_run(tmp_path / "run")))
    weights = {"int8": model.weights, "float32": ("model_float32.tflite", "f" * 64)}
    expected = Expected({"int8": WANTED, "float32": WANTED}, 0.1, labels, "leaves", weights)
    one = OnePhone(model, expected, "LiteRT.js", print)
    one.receive({"kind": "hello", "agent": "", "cores": 1})
    one.fixtures = one.phone
    return one


def stored(session: PhoneSession) -> dict[str, Any]:
    return dict(json.loads((session.model.folder / "results.json").read_text())["targets"])


def test_a_file_that_another_command_reads_is_replaced_and_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "ROOT", tmp_path)
    model = load_model(str(make_run(tmp_path / "run")))
    models, _ = assets.model_files(model)
    pixels, _ = assets.choose_images(model, None, 2)
    expected = assets.expect(model, models, pixels, None, "noise")
    graph = read(model.int8)
    output = graph.tensors[graph.outputs[0]]
    assert expected.output_scale == float(output.scales[0]) == model.card.output_scale
    (path,) = (tmp_path / "build" / "phone_page").glob("*-int8.tflite")
    with path.open("rb") as reader:
        assets.expect(model, models, pixels, None, "noise")
        assert os.fstat(reader.fileno()).st_nlink == 0, "the other command keeps its own file"
    assert path.read_bytes() == models["int8"]


def test_a_whole_measurement_is_merged(session: PhoneSession) -> None:
    session.receive({"kind": "hello", "agent": "Mozilla/5.0 (X) Chrome/150.0", "cores": 8})
    session.receive(TIMING)
    assert session.receive(LOGITS) == {"same_top1": 1.0}
    session.receive({"kind": "done"})
    wait_for(session, 1)
    target = stored(session)["phone-browser-int8"]
    assert target["kind"] == "phone" and target["cost"]["p50"] == 900.0
    assert target["hardware"] == "Chrome 150 on X, 8 cores"
    assert target["accuracy"]["top1"] == 1.0
    (look,) = read_accesses(session.model.folder)
    assert (look["target"], look["images"], look["top1"]) == ("phone-browser-int8", IMAGES, 1.0)
    assert (look["weights"], look["weights_sha256"]) == session.model.weights
    assert target["parity"]["identical"] == IMAGES and target["parity"]["max_lsb"] == 0


def test_a_look_names_the_float_file_where_that_is_scored(session: PhoneSession) -> None:
    for message in (TIMING, LOGITS):
        session.receive({**message, "precision": "float32"})
    (look,) = read_accesses(session.model.folder)
    assert (look["weights"], look["weights_sha256"]) == ("model_float32.tflite", "f" * 64)


def test_a_phone_that_leaves_half_way_leaves_its_times(session: PhoneSession) -> None:
    session.receive(TIMING)
    with pytest.raises(UserError, match="left half-way; kept: phone-browser-int8"):
        wait_for(session, 10, silence_s=0.1)
    assert stored(session)["phone-browser-int8"]["accuracy"] is None


def test_a_phone_that_cannot_is_quoted(session: PhoneSession) -> None:
    session.receive({"kind": "failed", "text": "no WebAssembly SIMD\x1b[31m"})
    with pytest.raises(UserError, match=r"no WebAssembly SIMD\[31m\); nothing was measured"):
        wait_for(session, 10)


def test_no_phone_at_all(session: PhoneSession) -> None:
    session.phones.clear()
    with pytest.raises(UserError, match="no phone has come"):
        wait_for(session, 0.1)
    with pytest.raises(UserError, match="opened the page and measured nothing"):
        wait_for(session, 0.1, opened=lambda: True)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"kind": ["timing"]},
        {**TIMING, "precision": "int4"},
        {**TIMING, "precision": ["int8"]},
        {**TIMING, "threads": 0},
        {**TIMING, "threads": "1"},
        {**TIMING, "times_us": []},
        {**TIMING, "times_us": [1.0] * 20_000},
        {**TIMING, "times_us": [float("nan")]},
        {**TIMING, "times_us": [-5]},
        {**TIMING, "times_us": [True]},
        {**TIMING, "batch": 0},
        LOGITS,  # before its timing
        {"kind": "done"},  # before anything
    ],
)
def test_what_makes_no_sense_is_refused(session: PhoneSession, message: dict[str, Any]) -> None:
    with pytest.raises(BadPost):
        session.receive(message)
    assert not (session.model.folder / "results.json").exists()


@pytest.mark.parametrize(
    "logits",
    [
        None,
        [],
        [[0.0] * 10] * 5,
        [[0.0] * 9] * 6,
        [["a"] * 10] * 6,
        [[1e999] * 10] * 6,
        [[1e39] * 10] * 6,
        [[10**4000] * 10] * 6,
        [[float("nan")] * 10] * 6,
        [[3e38] * 10] * 6,
        [[-1e16] * 10] * 6,
        [[1.1e6] * 10] * 6,
    ],
)
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_logits_that_cannot_be_are_refused(
    session: PhoneSession, logits: Any, precision: str
) -> None:
    session.receive({**TIMING, "precision": precision})
    with pytest.raises(BadPost):
        session.receive({**LOGITS, "precision": precision, "logits": logits})


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(("precision", "most"), [("int8", 25.5), ("float32", 1e6)])
def test_whatever_a_phone_may_post_can_be_reported(
    session: PhoneSession, precision: str, most: float, sign: int
) -> None:
    """The report leaves out a whole entry with a figure that nothing measures."""
    session.receive({"kind": "hello", "agent": "<b>\x1b[x]" * 60, "cores": 1023})
    for time_us in (5e-324, 5.9e8):
        times = [time_us] * 9
        timing = {**TIMING, "precision": precision, "times_us": times, "batch": 10**6}
        session.receive(timing)
        logits = [[sign * most] * len(CLASSES)] * IMAGES
        session.receive({**LOGITS, "precision": precision, "logits": logits})
        (entry,), complaints = load_entries([session.model.folder])
        assert complaints == [] and [row.name for row in rows_of(entry)] == list(session.targets)
    with pytest.raises(BadPost, match="outside what"):
        session.receive({**LOGITS, "precision": precision, "logits": [[1.1 * most] * 10] * IMAGES})


def test_the_token_is_good_for_one_measurement(session: PhoneSession) -> None:
    session.receive(TIMING)
    session.receive({"kind": "done"})
    with pytest.raises(BadPost, match="over"):
        session.receive(TIMING)


def test_every_phone_has_a_record_of_its_own(session: PhoneSession) -> None:
    """Eight at once, step by step: no record has one phone's hardware and another's time."""
    phones = [
        session.receive({"kind": "hello", "agent": f"phone {n}", "cores": 4})["phone"]
        for n in range(8)
    ]
    for number, phone in enumerate(phones):
        session.receive({**TIMING, "phone": phone, "times_us": [1000.0 + number] * 9})
    for phone in phones:
        session.receive({**LOGITS, "phone": phone})
        session.receive({"kind": "done", "phone": phone})
    wait_for(session, 1, silence_s=0)
    records = stored(session)
    assert len(records) == 8
    told = {(t["hardware"], t["cost"]["p50"], t["accuracy"]["top1"]) for t in records.values()}
    assert told == {(f"phone {n}, 4 cores", 1000.0 + n, 1.0) for n in range(8)}
    with pytest.raises(BadPost, match="over"):
        session.receive({"kind": "hello"})


def test_one_phone_that_fails_ends_it_for_no_other(session: PhoneSession) -> None:
    session.receive({"kind": "failed", "text": "no WebAssembly"})
    session.receive({"kind": "hello", "agent": "another", "cores": 2})
    session.receive(TIMING)
    session.receive({"kind": "done"})
    wait_for(session, 10)
    assert list(stored(session)) == ["phone-browser-int8"]


def test_a_stranger_can_make_up_few_targets(session: PhoneSession) -> None:
    """Whoever has the token: four of each phone, of a bounded number of phones."""
    for number in range(40):
        try:
            session.receive({"kind": "hello", "agent": f"phone {number}", "cores": 64})
        except BadPost:
            break
        for threads in range(1, 64):
            for precision in ("int8", "float32"):
                with contextlib.suppress(BadPost):
                    session.receive({**TIMING, "threads": threads, "precision": precision})
    assert len(session.phones) == 8 and len(stored(session)) <= 8 * 4
    with pytest.raises(BadPost, match="say hello first"):
        session.receive({**TIMING, "phone": "guess"})


def test_differences_are_counted_in_lsb() -> None:
    answers = WANTED.copy()
    answers[2, 3] += 0.3
    answers[4] = -answers[4]
    parity = compare(answers, WANTED, 0.1)
    assert parity["identical"] == IMAGES - 2
    assert parity["same_top1"] <= IMAGES - 1
    assert compare(answers[:4], WANTED[:4], 0.1)["max_lsb"] == 3


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (
            "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/150.0.0.0 Mobile Safari/537.36",
            "Chrome 150 on Linux; Android 16; Pixel 9",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 "
            "(KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1",
            "Safari 19 on iPhone; CPU iPhone OS 19_0 like Mac OS X",
        ),
        ("curl", "curl"),
    ],
)
def test_a_browser_is_named_in_a_few_words(agent: str, words: str) -> None:
    assert device_of(agent) == words


def test_a_pcs_browser_is_never_taken_for_a_phone(session: PhoneSession) -> None:
    session.computer, session.command = "AMD EPYC, 2 cores, Linux", "the tool --chromium"
    agent = "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/150.0 Safari/537.36"
    session.receive({"kind": "hello", "agent": agent, "cores": 2})
    session.receive(TIMING)
    (name,) = stored(session)
    target = stored(session)[name]
    assert name == "pc-browser-int8" and target["kind"] == "pc"
    assert target["hardware"].startswith("AMD EPYC") and "no phone" in target["hardware"]
    assert target["command"] == "the tool --chromium"


def test_a_browser_that_ends_on_its_own_is_told(session: PhoneSession) -> None:
    session.receive(TIMING)
    with pytest.raises(UserError, match="ended on its own; kept: phone-browser-int8"):
        wait_for(session, 10, gone=lambda: True)


def test_what_cannot_be_stored_ends_it_and_was_not_kept(session: PhoneSession) -> None:
    results = session.model.folder / "results.json"
    results.write_text(json.dumps({"schema": 1, "model_sha256": "0", "name": "x", "targets": {}}))
    with pytest.raises(BadPost, match=r"cannot store it: .* of another model"):
        session.receive(TIMING)
    session.receive({"kind": "failed", "text": "Failed to fetch"})
    with pytest.raises(UserError, match=r"of another model.*; nothing was measured"):
        wait_for(session, 10)
