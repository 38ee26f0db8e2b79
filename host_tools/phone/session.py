"""What a phone posts, step by step → checked against the PC → targets in results.json.

    hello {agent, cores} → timing {precision, threads, times_us, batch}
                         → logits {precision, threads, logits} → done {}
    and at any time: failed {text}

Each step is merged when it arrives, so a phone that leaves half-way leaves what it measured.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from host_tools.inputs import Model, Weights
from host_tools.pc.timing import cost_in_us
from host_tools.phone.server import BadPost
from host_tools.results import log_target_access, merge_target, summarize_accuracy

MAX_SAMPLES = 10_000
MAX_THREADS = 64


@dataclass(frozen=True)
class Expected:
    """What the PC made of the images that the phone is asked about."""

    logits: Mapping[str, npt.NDArray[np.float32]]  # precision → (images, classes), real values
    output_scale: float  # of the int8 model: one LSB
    labels: Sequence[int] | None  # None where the images are noise
    data: str  # the image folder's name
    weights: Mapping[str, Weights]  # precision → the file whose weights the phone gets


@dataclass
class PhoneSession:
    """One phone's measurement. `receive` is called from the server's threads."""

    model: Model
    expected: Expected
    engine: str
    say: Callable[[str], None]
    notes: Mapping[str, str] = field(default_factory=dict)  # precision → what its reader must know
    versions: Mapping[str, str] = field(default_factory=dict)
    computer: str | None = None  # where a PC's browser stands in for a phone: which PC
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    finished: threading.Event = field(default_factory=threading.Event)
    failure: str | None = None
    heard: float | None = None  # time.monotonic() of the last post
    _hardware: str = "unknown phone"
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def receive(self, message: dict[str, Any]) -> dict[str, Any]:
        steps = {
            "hello": self._hello,
            "timing": self._timing,
            "logits": self._logits,
            "failed": self._failed,
            "done": self._done,
        }
        step = steps.get(str(message.get("kind")))
        if step is None:
            raise BadPost(f"unknown kind {str(message.get('kind'))[:40]!r}")
        with self._lock:
            if self.finished.is_set():
                raise BadPost("the measurement is over: start bench_phone.py again")
            self.heard = time.monotonic()
            return step(message)

    def _hello(self, message: dict[str, Any]) -> dict[str, Any]:
        cores = message.get("cores")
        cores_text = f", {cores} cores" if isinstance(cores, int) and 0 < cores < 1024 else ""
        browser = device_of(_printable(message.get("agent"), 300))
        if self.computer is None:
            self._hardware = f"{browser}{cores_text}"
        else:
            self._hardware = f"{self.computer}; {browser}: a PC's browser, no phone"
        self.say(f"connected: {self._hardware}")
        return {}

    def _timing(self, message: dict[str, Any]) -> dict[str, Any]:
        name, precision, threads = self._target_of(message)
        times = message.get("times_us")
        if not isinstance(times, list) or not 1 <= len(times) <= MAX_SAMPLES:
            raise BadPost("times_us must be a list of times")
        if not all(_is_number(value) and 0 < value < 6e8 for value in times):
            raise BadPost("times_us holds something that is no time")
        batch = message.get("batch")
        if not isinstance(batch, int) or not 1 <= batch <= 1_000_000:
            raise BadPost("batch must be a count of runs")
        note = (
            f"each sample is the mean of {batch} runs: a browser's clock is coarse"
            if batch > 1
            else ""
        )
        self.targets[name] = {
            "kind": self._kind,
            "engine": self.engine,
            "precision": precision,
            "hardware": self._hardware,
            "versions": dict(self.versions),
            "threads": threads,
            "command": f"bench_phone.py {self.model.card.name}"
            + ("" if self.computer is None else " --chromium"),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "note": "; ".join(text for text in (note, self.notes.get(precision, "")) if text),
            "model": {"macs": self.model.card.macs, "parameters": self.model.card.parameters},
            "accuracy": None,
            "cost": cost_in_us(times),
            "memory": {},
            "parity": None,
        }
        self._merge(name)
        self.say(f"{name}: {self.targets[name]['cost']['p50'] / 1000:.2f} ms (median)")
        return {}

    def _logits(self, message: dict[str, Any]) -> dict[str, Any]:
        name, precision, _ = self._target_of(message)
        if name not in self.targets:
            raise BadPost("logits come after the timing")
        wanted = self.expected.logits[precision]
        given = message.get("logits")
        rows = given if isinstance(given, list) else []
        if len(rows) != len(wanted) or not all(
            isinstance(row, list) and len(row) == wanted.shape[1] and all(map(_is_number, row))
            for row in rows
        ):
            raise BadPost(f"logits must be {wanted.shape[0]} lists of {wanted.shape[1]} numbers")
        answers = np.asarray(rows, np.float32)
        parity = compare(
            answers, wanted, self.expected.output_scale if precision == "int8" else None
        )
        self.targets[name]["parity"] = parity
        if self.expected.labels is not None:
            accuracy = summarize_accuracy(
                self.expected.labels, answers.argmax(axis=1).tolist(), self.model.card.classes
            )
            self.targets[name]["accuracy"] = {
                "split": "test",
                **accuracy,
                "data": self.expected.data,
            }
            self._log_access(name, precision)
        self._merge(name)
        same = parity["same_top1"] / parity["images"]
        self.say(f"{name}: top-1 equal to the PC's for {same:.1%} of {parity['images']} images")
        return {"same_top1": same}

    def _failed(self, message: dict[str, Any]) -> dict[str, Any]:
        self.failure = _printable(message.get("text"), 300)
        self.say(f"the phone says: {self.failure}")
        return {}

    def _done(self, message: dict[str, Any]) -> dict[str, Any]:
        if not self.targets:
            raise BadPost("nothing was measured")
        self.finished.set()
        return {}

    def _target_of(self, message: dict[str, Any]) -> tuple[str, str, int]:
        precision, threads = message.get("precision"), message.get("threads")
        if not isinstance(precision, str) or precision not in self.expected.logits:
            raise BadPost("unknown precision")
        if not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
            raise BadPost("threads must be a small number")
        suffix = "" if threads == 1 else f"-{threads}t"
        return f"{self._kind}-browser-{precision}{suffix}", precision, threads

    @property
    def _kind(self) -> str:
        return "phone" if self.computer is None else "pc"

    def _log_access(self, name: str, precision: str) -> None:
        weights, accuracy = self.expected.weights[precision], self.targets[name]["accuracy"]
        log_target_access(self.model.folder, weights, name, accuracy)

    def _merge(self, name: str) -> None:
        model = self.model
        merge_target(model.folder, model.sha256, model.card.name, name, self.targets[name])


def compare(
    answers: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32], lsb: float | None
) -> dict[str, Any]:
    """How the phone's logits differ from LiteRT's on the PC; in LSB where one is given."""
    worst = np.abs(answers - wanted).max(axis=1)
    parity: dict[str, Any] = {
        "reference": "LiteRT on the PC",
        "images": len(wanted),
        "same_top1": int((answers.argmax(axis=1) == wanted.argmax(axis=1)).sum()),
    }
    if lsb is None:
        return {**parity, "max_logit": float(f"{worst.max():.3g}")}
    steps = np.rint(worst / lsb).astype(int)
    return {**parity, "identical": int((steps == 0).sum()), "max_lsb": int(steps.max())}


def device_of(agent: str) -> str:
    """A browser's long User-Agent in a few words: browser, version, system and (Android) model."""
    system = re.search(r"\(([^)]*)\)", agent)
    browser = None
    for name in (
        "Firefox",
        "SamsungBrowser",
        "EdgA",
        "CriOS",
        "HeadlessChrome",
        "Chrome",
        "Version",
    ):
        if browser is None:
            browser = re.search(rf"{name}/(\d+)", agent)
    if system is None or browser is None:
        return agent[:120]
    label = "Safari" if browser[0].startswith("Version") else browser[0].partition("/")[0]
    return f"{label} {browser[1]} on {system[1][:80]}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _printable(text: Any, limit: int) -> str:
    """What a stranger sent, fit for a terminal and a report."""
    kept = "".join(c for c in str(text) if c.isprintable())
    return kept[:limit] or "unknown"
