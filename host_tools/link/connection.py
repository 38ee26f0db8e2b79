"""A device that survives an unplugged cable or a lost board: it waits and continues."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from host_tools.inputs import Model, flash_command
from host_tools.link.device import RUNS_S, Device, DeviceSilent, GivenUp, LinkStats, check_info
from host_tools.link.faults import Faults
from host_tools.link.line import Line, LineLost
from host_tools.link.protocol import Info, ProtocolError
from swin2mcu.common.cli import UserError, status

STILL_RUNS_S = RUNS_S + 5.0  # until a board answers whose command was interrupted
RETRY_S = 0.3
MAX_LOSSES = 20  # of the line in one call: it comes back each time, but the call never succeeds
MAX_SILENCES = 3  # in a row: no more waiting for a board that is there but does not answer
Answer = TypeVar("Answer")
log = logging.getLogger(__name__)


class Connection:
    """Opens the line, checks that the board holds `model`, and repeats a call that lost the line.

    What a call does must be harmless to repeat. Raises UserError if the board does not come back
    within `wait_s`.
    """

    def __init__(
        self,
        open_line: Callable[[], Line],
        port: str,
        model: Model,
        wait_s: float,
        faults: Faults | None = None,
    ) -> None:
        self._open_line = open_line
        self._faults = faults or Faults(0, 0)
        self._port = port
        self._model = model
        self._wait_s = wait_s
        self._past: list[LinkStats] = []
        self.reconnects = 0
        self._given_up = threading.Event()
        self._device = Device(self._faults.on(open_line()), given_up=self._given_up)
        try:
            self.info = self._greet(partial(first_hello, self._device, port))
        except DeviceSilent as error:
            self.close()
            raise UserError(
                f"no answer from {port}: is it the right port, has another program opened it, and "
                f"is the firmware on the board? {flash_command(model.argument)} puts it there"
            ) from error
        except LineLost as error:
            raise UserError(f"the line was lost at once: {error}") from error
        except BaseException:
            self.close()
            raise

    def call(self, action: Callable[[Device], Answer]) -> Answer:
        """Raises GivenUp, with the line closed, once another thread has given the board up."""
        try:
            return self._call(action)
        except GivenUp:
            self.close()  # by the thread that uses it
            raise

    def give_up(self) -> None:
        """End a call that another thread is in, and refuse further ones."""
        self._given_up.set()

    def _call(self, action: Callable[[Device], Answer]) -> Answer:
        silences = losses = 0
        while True:
            try:
                return action(self._device)
            except LineLost as error:
                log.info("%s", error)
                losses += 1
                if losses >= MAX_LOSSES:
                    raise UserError(
                        f"{self._port} was lost {losses} times in one call ({error}): the journal "
                        "is kept, check the cable and run the same command again"
                    ) from error
            except DeviceSilent as error:
                silences += 1
                if silences >= MAX_SILENCES:
                    raise UserError(
                        f"{self.info.board} does not answer any more ({error}): the journal is "
                        "kept, reset the board and run the same command again"
                    ) from error
            except ProtocolError as error:
                raise UserError(f"{self.info.board} sends {error}: flash it again") from error
            self._reconnect()

    def greet_again(self) -> None:
        """Raises UserError unless the board still holds the model."""
        self.info = self.call(lambda device: self._greet(device.hello))

    def _greet(self, hello: Callable[[], Info]) -> Info:
        try:
            info = hello()
        except ProtocolError as error:
            raise UserError(f"the program at {self._port} sends {error}: flash it again") from error
        check_info(info, self._model)
        return info

    def _reconnect(self) -> None:
        self.close()
        self._past.append(self._device.stats)
        self.reconnects += 1
        deadline = time.monotonic() + self._wait_s
        told = False
        while True:
            if self._given_up.is_set():
                raise GivenUp
            try:
                line = self._open_line()
            except UserError as error:  # not there yet
                reason: Exception = error
            else:
                self._device = Device(self._faults.on(line), given_up=self._given_up)
                try:
                    self.info = self._greet(self._device.hello)
                    return
                except (LineLost, DeviceSilent) as error:
                    self.close()
                    reason = error
            if time.monotonic() > deadline:
                raise UserError(
                    f"{self._port} did not come back within {self._wait_s:g} s ({reason}): the "
                    "journal is kept, run the same command again"
                )
            if not told:
                told = True
                status.print(
                    f"{self._port} is lost: waiting up to {self._wait_s:g} s for it to come back"
                )
            self._given_up.wait(RETRY_S)

    def stats(self) -> dict[str, float]:
        """Sums over every line that was opened."""
        total: dict[str, float] = {}
        for stats in [*self._past, self._device.stats]:
            for key, value in stats.as_dict().items():
                total[key] = total.get(key, 0) + value
        total["reconnects"] = self.reconnects
        return total

    @property
    def injected(self) -> Counter[str]:
        """Faults that were injected, by kind."""
        return self._faults.injected

    def close(self) -> None:
        self._device.line.close()


def first_hello(device: Device, port: str) -> Info:
    """Greet a board that may still run for an earlier command. Raises as `Device.hello` does."""
    try:
        return device.hello()
    except DeviceSilent:
        status.print(
            f"no answer from {port} yet: a board that still runs for an interrupted command "
            f"answers within {STILL_RUNS_S:.0f} s"
        )
        return device.hello(STILL_RUNS_S)
