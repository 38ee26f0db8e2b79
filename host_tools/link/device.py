"""A board at the other end of a line that may lose, damage or repeat bytes and reset the board."""

from __future__ import annotations

import random
import re
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial

from host_tools.inputs import Model, flash_command
from host_tools.link.line import Line
from host_tools.link.protocol import (
    ANSWER_BIT,
    DELIMITER,
    MAX_LOAD,
    PROTOCOL_VERSION,
    Decoder,
    Frame,
    Info,
    NackCode,
    ProtocolError,
    Result,
    StepCost,
    Type,
    encode,
    load_payload,
    parse_info,
    parse_profile,
    parse_result,
    printable,
    profile_payload,
    run_payload,
)
from swin2mcu.common.cli import UserError

MIN_CHUNK = 16
GROW_AFTER = 4  # good chunks in a row until they double again
MIN_TIMEOUT_S = 0.25
MAX_TIMEOUT_S = 8.0
FIRST_TIMEOUT_S = {Type.RUN: 4.0, Type.PROFILE: 4.0}
PATIENCE_S = 20.0  # without one answer
# A run of a large model on an emulated board takes its time.
RUN_PATIENCE_S = 180.0
RUNS_S = 20.0  # one Run takes no longer if it has several runs: a board has a watchdog
MAX_OTHERS = 3  # preparations of one frame that may differ from the PC's before an error
MAX_RELOADS = 50  # of one image: a board that resets more often than that does not work
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")  # of a board or an engine
MAX_STEPS = 512  # as in firmware/lib/session


class DeviceSilent(Exception):
    """No usable answer within the time that is allowed."""


class GivenUp(Exception):
    """The command ends early and nobody waits for this answer any more."""


@dataclass
class LinkStats:
    """What went over the line. `payload_bytes` are image bytes, each counted once."""

    bytes_sent: int = 0
    bytes_received: int = 0
    payload_bytes: int = 0
    resends: int = 0
    reloads: int = 0  # images loaded again because the board had forgotten them
    transfer_s: float = 0.0

    def as_dict(self) -> dict[str, float]:
        return {key: round(value, 3) for key, value in asdict(self).items()}


class Device:
    """Requests and their answers over one line. Only one request is open at a time.

    Once `given_up` is set, requests raise GivenUp.
    """

    def __init__(
        self,
        line: Line,
        clock: Callable[[], float] = time.monotonic,
        given_up: threading.Event | None = None,
    ) -> None:
        self.line = line
        self._given_up = given_up or threading.Event()
        self.stats = LinkStats()
        self._clock = clock
        self._decoder = Decoder()
        # A stored answer of an earlier host is not mistaken for ours.
        self._seq = random.randrange(256)
        self._chunk = MAX_LOAD
        self._good_chunks = 0
        self._usual_s: dict[int, float] = {}  # how long an answer to each type takes
        self._run_s = RUNS_S  # how long one run takes; at first only one is asked for

    def hello(self, patience_s: float = 5.0) -> Info:
        """Ask the board for its Info. Raises DeviceSilent, UserError for another protocol
        version."""
        self._send(DELIMITER)  # ends whatever an earlier program left half sent
        info = parse_info(self.request(Type.HELLO, patience_s=patience_s).payload)
        if info.protocol_version != PROTOCOL_VERSION:
            raise UserError(
                f"the board speaks protocol version {info.protocol_version}, this program "
                f"{PROTOCOL_VERSION}: flash it again with `python host_tools/flash.py MODEL`"
            )
        return info

    def infer(self, image: bytes, runs: int = 1) -> Result:
        """Load an int8 image (NHWC) and run it `runs` times; the logits are those of the first run.

        Raises DeviceSilent, LineLost, ProtocolError, UserError when the board refuses or never
        keeps an image.
        """
        return self._in_parts(partial(self._infer, image), runs)

    def _in_parts(self, infer: Callable[[int], Result], runs: int) -> Result:
        """As many runs at a time as fit into RUNS_S, with the image loaded for each part again."""
        result = None
        while result is None or len(result.costs) < runs:
            done = 0 if result is None else len(result.costs)
            count = max(1, min(runs - done, int(RUNS_S / self._run_s)))
            part = infer(count)
            if len(part.costs) != count:
                raise ProtocolError("a Result of other lengths than asked for")
            result = replace(result, costs=result.costs + part.costs) if result else part
        return result

    def _infer(self, image: bytes, runs: int) -> Result:
        crc = zlib.crc32(image)
        last_reload = self.stats.reloads + MAX_RELOADS
        while self.stats.reloads < last_reload:
            if not self.load(image):
                continue
            if (result := self._run(runs)) and result.input_crc == crc:
                self.stats.payload_bytes += len(image)
                return result
            self.stats.reloads += 1  # reset between Load and Run
        raise UserError(f"the board lost an image {MAX_RELOADS} times: does it keep resetting?")

    def infer_frame(self, kind: bytes, frame: bytes, prepared: bytes, runs: int = 1) -> Result:
        """Send a camera's frame, which the board itself makes into its input, and run that.

        `kind` is frame_payload's. `prepared` is the int8 input that the PC makes of the same frame.

        Raises DeviceSilent, LineLost, ProtocolError, UserError when the board refuses such a frame
        or makes another input of it.
        """
        return self._in_parts(partial(self._infer_frame, kind, frame, prepared), runs)

    def _infer_frame(self, kind: bytes, frame: bytes, prepared: bytes, runs: int) -> Result:
        crc = zlib.crc32(prepared)
        others = 0
        last_reload = self.stats.reloads + MAX_RELOADS
        while self.stats.reloads < last_reload:
            self.request(Type.FRAME, kind)
            if not self.load(frame, Type.PART):
                continue
            if result := self._run(runs):
                if result.input_crc == crc:
                    self.stats.payload_bytes += len(frame)
                    return result
                others += 1
                if others == MAX_OTHERS:
                    raise UserError(
                        "the board makes another input of a camera's frame than the PC: its "
                        "firmware/lib/vision and host_tools/scoring/frames.py disagree"
                    )
            self.stats.reloads += 1
        raise UserError(f"the board lost a frame {MAX_RELOADS} times: does it keep resetting?")

    def _run(self, runs: int) -> Result | None:
        """Run what was loaded; None where the board lost it, by a reset."""
        started = self._clock()
        answer = self.request(
            Type.RUN, run_payload(runs), RUN_PATIENCE_S, expected=(NackCode.NOT_LOADED,)
        )
        if answer.type != Type.RESULT:
            return None
        # With the way there and back, and with what was lost on it: rather too long.
        self._run_s = max((self._clock() - started) / runs, 1e-6)
        return parse_result(answer.payload)

    def profile(self) -> list[StepCost]:
        """Run the model once and say what each step of it cost.

        Raises DeviceSilent, LineLost, UserError where the board resets again and again: after a
        reset it has no costs for the steps that were not asked for yet.
        """
        for _ in range(MAX_RELOADS):
            boot = self.hello().boot
            steps = self._profile()
            if self.hello().boot == boot:
                return steps
        raise UserError(f"the board lost a profile {MAX_RELOADS} times: does it keep resetting?")

    def _profile(self) -> list[StepCost]:
        steps: list[StepCost] = []
        while True:
            answer = self.request(Type.PROFILE, profile_payload(len(steps)), RUN_PATIENCE_S)
            count, first, more = parse_profile(answer.payload)
            if first != len(steps) or not more or count > MAX_STEPS:
                raise ProtocolError("a Profile with other steps than asked for")
            steps += more
            if len(steps) >= count:
                return steps

    def echo(self, data: bytes) -> bytes:
        return self.request(Type.ECHO, data).payload

    def request(
        self,
        type_: Type,
        payload: bytes = b"",
        patience_s: float = 0,
        expected: tuple[NackCode, ...] = (),
    ) -> Frame:
        """Send until an answer comes: the one to this request, or a Nack whose code is `expected`.

        The same seq each time, so that the board does nothing twice. Raises DeviceSilent after
        `patience_s` (0: PATIENCE_S), UserError for any other Nack.
        """
        patience_s = patience_s or PATIENCE_S
        self._next_seq()
        frame = encode(type_, self._seq, payload)
        deadline = self._clock() + patience_s
        timeout = self._timeout_s(type_)
        while True:
            answer, timed_out = self._exchange(type_, frame, min(timeout, patience_s))
            if answer is not None:
                return self._checked(answer, expected)
            if self._clock() >= deadline:
                raise DeviceSilent(f"no answer to {type_.name} for {patience_s:g} s")
            if timed_out:
                timeout = min(2 * timeout, MAX_TIMEOUT_S)
            self._resend()

    def load(self, image: bytes, type_: Type = Type.LOAD) -> bool:
        """Send an image or a frame; False if the board forgot what it had of it on the way.

        A chunk that fails is sent again in smaller pieces: on a very bad line only short frames
        arrive whole.
        """
        started = last_success = self._clock()
        timeout = self._timeout_s(type_)
        offset = 0
        while offset < len(image):
            chunk = image[offset : offset + self._chunk]
            self._next_seq()
            frame = encode(type_, self._seq, load_payload(offset, chunk))
            answer, timed_out = self._exchange(type_, frame, timeout)
            now = self._clock()
            if answer is None:
                if now - last_success > PATIENCE_S:
                    raise DeviceSilent(f"no answer to {type_.name} for {PATIENCE_S:g} s")
                if timed_out:
                    timeout = min(2 * timeout, MAX_TIMEOUT_S)
                self._chunk = max(MIN_CHUNK, self._chunk // 2)
                self._good_chunks = 0
                self._resend()
                continue
            answer = self._checked(answer, (NackCode.OUT_OF_ORDER,))
            last_success = now
            timeout = self._timeout_s(type_)
            if answer.type == Type.NACK:  # reset in the middle of the image
                self.stats.reloads += 1
                self.stats.transfer_s += self._clock() - started
                return False
            offset += len(chunk)
            self._good_chunks += 1
            if self._good_chunks >= GROW_AFTER:
                self._chunk = min(MAX_LOAD, 2 * self._chunk)
                self._good_chunks = 0
        self.stats.transfer_s += self._clock() - started
        return True

    def _exchange(self, type_: Type, frame: bytes, timeout_s: float) -> tuple[Frame | None, bool]:
        """One try: (the answer or None, whether None means that the time was up)."""
        started = self._clock()
        self._send(frame)
        while self._clock() - started < timeout_s:
            if self._given_up.is_set():
                raise GivenUp
            data = self.line.read()
            self.stats.bytes_received += len(data)
            for answer in self._decoder.feed(data):
                if answer is None or answer.type == Type.LOG:
                    return None, False  # a damaged answer, or a board that has restarted
                if answer.type == Type.NACK and answer.payload[:1] == bytes((NackCode.BAD_FRAME,)):
                    return None, False
                if answer.seq == self._seq and answer.type in (type_ | ANSWER_BIT, Type.NACK):
                    took = self._clock() - started
                    usual = self._usual_s.get(type_, took)
                    self._usual_s[type_] = 0.8 * usual + 0.2 * took
                    return answer, False
        return None, True

    def _checked(self, answer: Frame, expected: tuple[NackCode, ...]) -> Frame:
        if answer.type != Type.NACK or (answer.payload and answer.payload[0] in expected):
            return answer
        code = answer.payload[0] if answer.payload else 0
        why = printable(answer.payload[1:])
        name = NackCode(code).name if code in list(NackCode) else f"code {code}"
        raise UserError(f"the board refuses: {name.lower().replace('_', ' ')} {why}".rstrip())

    def _timeout_s(self, type_: Type) -> float:
        if type_ not in self._usual_s:
            return FIRST_TIMEOUT_S.get(type_, 2 * MIN_TIMEOUT_S)
        return min(max(MIN_TIMEOUT_S, 6 * self._usual_s[type_]), MAX_TIMEOUT_S)

    def _resend(self) -> None:
        self.stats.resends += 1
        self._send(
            DELIMITER
        )  # ends the damaged frame, or the board would take this one for its rest

    def _next_seq(self) -> None:
        self._seq = (self._seq + 1) % 256

    def _send(self, data: bytes) -> None:
        self.line.write(data)
        self.stats.bytes_sent += len(data)


def check_info(info: Info, model: Model) -> None:
    """Raises UserError unless the board holds the model, ready to run."""
    if not (NAME.fullmatch(info.board) and NAME.fullmatch(info.engine)):  # they name files
        raise UserError(
            f"the board calls itself {info.board!r} with the engine {info.engine!r}: flash it again"
        )
    if info.error:
        raise UserError(f"{info.board}'s engine does not start: {info.error}")
    if not model.sha256.startswith(info.sha256_prefix):
        raise UserError(
            f"{info.board} holds another model (sha256 {info.sha256_prefix}…, the card says "
            f"{model.sha256[: len(info.sha256_prefix)]}…): flash it with "
            f"{flash_command(model.argument, info.board)}"
        )
    shape, classes = model.card.input_shape, len(model.card.classes)
    if (info.height, info.width, info.channels) != shape or info.class_count != classes:
        raise UserError(f"{info.board} and the card disagree on the model's shape: flash it again")
