"""Several boards of one kind that hold the same model: whichever is free takes the next image."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

from host_tools.link.connection import Connection
from host_tools.link.device import Device
from host_tools.link.protocol import Info
from swin2mcu.common.cli import UserError

Item = TypeVar("Item")
Answer = TypeVar("Answer")
LEAVE_S = 1.0  # for the workers to end once the boards are given up


class Pool:
    """Owns its connections. Raises UserError unless all boards are of one kind and engine."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = list(connections)
        self._free: SimpleQueue[Connection] = SimpleQueue()
        for connection in self._connections:
            self._free.put(connection)
        kinds = {(c.info.board, c.info.engine) for c in connections}
        if len(kinds) != 1:
            self.close()
            said = ", ".join(f"{board} ({engine})" for board, engine in sorted(kinds))
            raise UserError(f"boards of different kinds cannot share the images: {said}")

    @property
    def info(self) -> Info:
        return self._connections[0].info

    def greet_all(self) -> Info:
        """Ask every board once more what it holds. Raises UserError where it is another model."""
        for connection in self._connections:
            connection.greet_again()
        return self.info

    def call(self, action: Callable[[Device], Answer]) -> Answer:
        """Do it on a board that is free, waiting for one."""
        connection = self._free.get()
        try:
            return connection.call(action)
        finally:
            self._free.put(connection)

    def map(
        self, work: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Answer]]:
        """(item, work(item)) in the items' order, as many at a time as there are boards.

        `items` is read one ahead of the boards, so that making the next item costs them no time.

        A map that ends early (an error, a Ctrl-C) gives the boards up: nobody waits any more for
        one that is lost, and this pool can only be closed.
        """
        window: deque[tuple[Item, Future[Answer]]] = deque()
        todo: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # No executor: the interpreter would wait at its end for a worker that the operating system
        # holds in a call.
        workers = [
            threading.Thread(target=_do, args=(todo,), daemon=True) for _ in self._connections
        ]
        for worker in workers:
            worker.start()
        try:
            for item in items:
                window.append((item, Future()))
                todo.put(partial(_answer, window[-1][1], work, item))
                if len(window) > len(self._connections):
                    done, future = window.popleft()
                    yield done, future.result()
            while window:
                done, future = window.popleft()
                yield done, future.result()
        except BaseException:
            self._give_up()
            raise
        finally:
            for _ in workers:
                todo.put(None)
            deadline = time.monotonic() + LEAVE_S
            for worker in workers:  # one that is still held in a call is left to it
                worker.join(max(0.0, deadline - time.monotonic()))

    def _give_up(self) -> None:
        """Wake whoever waits for a board."""
        for connection in self._connections:
            connection.give_up()

    @property
    def count(self) -> int:
        return len(self._connections)

    def stats(self) -> dict[str, float]:
        """Sums over all boards."""
        total: dict[str, float] = {}
        for connection in self._connections:
            for key, value in connection.stats().items():
                total[key] = total.get(key, 0) + value
        return total

    def injected(self) -> Counter[str]:
        """Faults that were injected into all lines, by kind."""
        return sum((connection.injected for connection in self._connections), Counter())

    def close(self) -> None:
        self._give_up()
        for connection in self._connections:
            connection.close()


def _do(todo: SimpleQueue[Callable[[], None] | None]) -> None:
    """Do what is put into the queue, in its order, up to a None."""
    while (action := todo.get()) is not None:
        action()


def _answer(future: Future[Answer], work: Callable[[Item], Answer], item: Item) -> None:
    try:
        future.set_result(work(item))
    except BaseException as error:
        future.set_exception(error)
