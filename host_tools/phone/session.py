"""What phones post, step by step → checked against the PC → targets in results.json.

    hello {agent, cores} → answered by {phone}, which every later post repeats
                         → timing {phone, precision, threads, times_us, batch}
                         → logits {phone, precision, threads, logits} → done {phone}
    and at any time: failed {phone, text}

Each step is merged when it arrives, so a phone that leaves half-way leaves what it measured. Each
phone has targets of its own: the second one's names end in "-phone2".
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from host_tools.inputs import Model
from host_tools.pc.timing import cost_in_us
from host_tools.phone.server import BadPost
from host_tools.results import Weights, log_target_access, merge_target, summarize_accuracy
from swin2mcu.common.cli import UserError

MAX_SAMPLES = 10_000
MAX_PHONES = 8  # of one measurement
MAX_POSTS = 32  # of one phone; its page sends ten at most
PAGE_THREADS = 4  # page.js asks for no more
LOGIT_MAX = 1e6  # of a float model; a network that works is far below
INT8_STEPS = 255.5  # an int8 model's logits are within 255 LSB; half a one for rounding


@dataclass(frozen=True)
class Expected:
    """The PC's answers to the images that the phone gets."""

    logits: Mapping[str, npt.NDArray[np.float32]]  # precision → (images, classes), real values
    output_scale: float  # of the int8 model: one LSB
    labels: Sequence[int] | None  # None where the images are noise
    data: str  # the image folder's name
    weights: Mapping[str, Weights]  # precision → the file whose weights the phone gets


@dataclass
class Phone:
    """One page that said hello."""

    hardware: str
    cores: int  # 0 where it did not say
    heard: float  # time.monotonic() of its last post
    posts: int = 0
    number: int = 0  # 1 for the first phone with a target, 0 before it has one
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    done: bool = False
    failure: str | None = None

    @property
    def over(self) -> bool:
        return self.done or self.failure is not None


@dataclass
class PhoneSession:
    """The measurement of all phones that come. `receive` is called from the server's threads."""

    model: Model
    expected: Expected
    engine: str
    say: Callable[[str], None]
    notes: Mapping[str, str] = field(default_factory=dict)  # precision → a remark for readers
    versions: Mapping[str, str] = field(default_factory=dict)
    command: str = ""  # what repeats the measurement
    computer: str | None = None  # where a PC's browser stands in for a phone: which PC
    phones: dict[str, Phone] = field(default_factory=dict)  # by the name in hello's answer
    closed: bool = False  # no post is taken any more
    error: str = ""  # why a result could not be stored
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def targets(self) -> dict[str, dict[str, Any]]:
        """What has been measured, of all phones."""
        return {k: v for phone in list(self.phones.values()) for k, v in phone.targets.items()}

    def receive(self, message: dict[str, Any]) -> dict[str, Any]:
        """One post and what it is answered with. Raises BadPost."""
        steps = {
            "timing": self._timing,
            "logits": self._logits,
            "failed": self._failed,
            "done": self._done,
        }
        kind = str(message.get("kind"))
        if kind != "hello" and kind not in steps:
            raise BadPost(f"unknown kind {kind[:40]!r}")
        with self._lock:
            if self.closed:
                raise BadPost("the measurement is over: start bench_phone.py again")
            if kind == "hello":
                return self._hello(message)
            phone = self.phones.get(str(message.get("phone")))
            if phone is None:
                raise BadPost("say hello first")
            if phone.over:
                raise BadPost("this phone's measurement is over: load the page again")
            phone.heard = time.monotonic()
            phone.posts += 1
            if phone.posts > MAX_POSTS:
                raise BadPost("too many posts")
            try:
                return steps[kind](phone, message)
            except (UserError, OSError) as error:
                self.error = str(error)
                raise BadPost(f"the PC cannot store it: {error}") from error

    def _hello(self, message: dict[str, Any]) -> dict[str, Any]:
        if len(self.phones) >= MAX_PHONES:
            raise BadPost(f"{MAX_PHONES} phones have come: start bench_phone.py again")
        given = message.get("cores")
        cores = given if type(given) is int and 0 < given < 1024 else 0
        browser = device_of(_printable(message.get("agent"), 300))
        if self.computer is None:
            hardware = f"{browser}, {cores} cores" if cores else browser
        else:
            hardware = f"{self.computer}; {browser}: a PC's browser, no phone"
        name = secrets.token_urlsafe(9)
        self.phones[name] = Phone(hardware, cores, time.monotonic())
        self.say(f"connected: {hardware}")
        return {"phone": name}

    def _timing(self, phone: Phone, message: dict[str, Any]) -> dict[str, Any]:
        precision, threads = self._asked(phone, message)
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
        phone.number = phone.number or 1 + sum(one.number > 0 for one in self.phones.values())
        name = self._target_name(phone, precision, threads)
        target: dict[str, Any] = {
            "kind": self._kind,
            "engine": self.engine,
            "precision": precision,
            "hardware": phone.hardware,
            "versions": dict(self.versions),
            "threads": threads,
            "command": self.command,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "note": "; ".join(text for text in (note, self.notes.get(precision, "")) if text),
            "model": {"macs": self.model.card.macs, "parameters": self.model.card.parameters},
            "accuracy": None,
            "cost": cost_in_us(times),
            "memory": {},
            "parity": None,
        }
        self._merge(name, target)
        phone.targets[name] = target
        self.say(f"{name}: {target['cost']['p50'] / 1000:.2f} ms (median)")
        return {}

    def _logits(self, phone: Phone, message: dict[str, Any]) -> dict[str, Any]:
        precision, threads = self._asked(phone, message)
        name = self._target_name(phone, precision, threads)
        if name not in phone.targets:
            raise BadPost("logits come after the timing")
        target = phone.targets[name]
        wanted = self.expected.logits[precision]
        given = message.get("logits")
        rows = given if isinstance(given, list) else []
        if len(rows) != len(wanted) or not all(
            isinstance(row, list) and len(row) == wanted.shape[1] and all(map(_is_number, row))
            for row in rows
        ):
            raise BadPost(f"logits must be {wanted.shape[0]} lists of {wanted.shape[1]} numbers")
        lsb = self.expected.output_scale if precision == "int8" else None
        largest = LOGIT_MAX if lsb is None else INT8_STEPS * lsb
        if not all(-largest <= value <= largest for row in rows for value in row):
            raise BadPost(f"a logit is outside what {precision} can give, ±{largest:g}")
        answers = np.asarray(rows, np.float32)
        parity = compare(answers, wanted, lsb)
        target["parity"] = parity
        if self.expected.labels is not None:
            accuracy = summarize_accuracy(
                self.expected.labels, answers.argmax(axis=1).tolist(), self.model.card.classes
            )
            target["accuracy"] = {
                "split": "test",
                **accuracy,
                "data": self.expected.data,
            }
            weights = self.expected.weights[precision]
            log_target_access(self.model.folder, weights, name, target["accuracy"])
        self._merge(name, target)
        same = parity["same_top1"] / parity["images"]
        self.say(f"{name}: top-1 equal to the PC's for {same:.1%} of {parity['images']} images")
        return {"same_top1": same}

    def _failed(self, phone: Phone, message: dict[str, Any]) -> dict[str, Any]:
        phone.failure = _printable(message.get("text"), 300)
        self.say(f"{phone.hardware} says: {phone.failure}")
        return {}

    def _done(self, phone: Phone, message: dict[str, Any]) -> dict[str, Any]:
        if not phone.targets:
            raise BadPost("nothing was measured")
        phone.done = True
        return {}

    def _asked(self, phone: Phone, message: dict[str, Any]) -> tuple[str, int]:
        """Precision and threads: only what the page measures, or anybody could create many
        targets."""
        precision, threads = message.get("precision"), message.get("threads")
        if not isinstance(precision, str) or precision not in self.expected.logits:
            raise BadPost("unknown precision")
        if type(threads) is not int or threads not in {1, min(phone.cores, PAGE_THREADS)} - {0}:
            raise BadPost(f"threads must be 1, or the phone's cores up to {PAGE_THREADS}")
        return precision, threads

    def _target_name(self, phone: Phone, precision: str, threads: int) -> str:
        suffix = "" if threads == 1 else f"-{threads}t"
        which = "" if phone.number <= 1 else f"-phone{phone.number}"
        return f"{self._kind}-browser-{precision}{suffix}{which}"

    @property
    def _kind(self) -> str:
        return "phone" if self.computer is None else "pc"

    def _merge(self, name: str, target: dict[str, Any]) -> None:
        model = self.model
        merge_target(model.folder, model.sha256, model.card.name, name, target)


def compare(
    answers: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32], lsb: float | None
) -> dict[str, Any]:
    """How the phone's logits differ from LiteRT's on the PC; in LSB where one is given."""
    worst = np.abs(answers.astype(np.float64) - wanted).max(axis=1)
    parity: dict[str, Any] = {
        "reference": "LiteRT on the PC",
        "images": len(wanted),
        "same_top1": int((answers.argmax(axis=1) == wanted.argmax(axis=1)).sum()),
    }
    if lsb is None:
        return {**parity, "max_logit": float(f"{worst.max():.3g}")}
    steps = np.rint(worst / lsb)
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
    """Neither a bool, which isinstance takes for an int, nor a text."""
    return type(value) in (int, float)


def _printable(text: Any, limit: int) -> str:
    """Text from outside, made safe for a terminal and a report."""
    kept = "".join(c for c in str(text) if c.isprintable())
    return kept[:limit] or "unknown"
