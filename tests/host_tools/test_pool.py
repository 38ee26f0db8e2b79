"""Boards that share the images: each image once, answers in order, a failure is the caller's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from host_tools.boards.choose import choose_copies
from host_tools.boards.table import Connected
from host_tools.link import connection, device
from host_tools.link.connection import Connection
from host_tools.link.line import POLL_S, LineLost
from host_tools.link.pool import Pool
from swin2mcu.common.cli import UserError


@dataclass
class Kind:
    board: str = "qemu-m7"
    engine: str = "aot"


class FakeConnection:
    def __init__(self, name: str, board: str = "qemu-m7") -> None:
        self.name, self.info, self.busy, self.calls, self.closed = (
            name,
            Kind(board),
            False,
            0,
            False,
        )

    def call(self, action: Any) -> Any:
        assert not self.busy, "two calls at once on one line"
        self.busy = True
        self.calls += 1
        try:
            return action(self.name)
        finally:
            self.busy = False

    def stats(self) -> dict[str, float]:
        return {"bytes_sent": 100, "payload_bytes": 90, "resends": 1}

    def give_up(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def test_answers_come_in_order_and_boards_work_at_the_same_time() -> None:
    boards = [FakeConnection("a"), FakeConnection("b")]
    pool = Pool(boards)  # type: ignore[arg-type]
    meeting = threading.Barrier(2, timeout=10)  # only two calls at the same time get past it

    def work(item: int) -> int:
        def action(_: Any) -> int:
            meeting.wait()
            time.sleep(0.002 * (item % 3))
            return item * item

        return pool.call(action)

    assert list(pool.map(work, range(20))) == [(i, i * i) for i in range(20)]
    assert sum(board.calls for board in boards) == 20


def test_a_failure_ends_the_map_with_its_error() -> None:
    pool = Pool([FakeConnection("a")])  # type: ignore[list-item]
    seen = []

    def work(item: int) -> int:
        if item == 3:
            raise UserError("the board is gone")
        return item

    with pytest.raises(UserError, match="gone"):
        for item, _ in pool.map(work, range(10)):
            seen.append(item)
    assert seen == [0, 1, 2]


class LostLine:
    """A board that is gone after its greeting, and its port with it."""

    def read(self) -> bytes:
        raise LineLost("the cable was pulled")

    def write(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


class SilentLine(LostLine):
    def read(self) -> bytes:
        time.sleep(POLL_S)
        return b""


class DeafLine(LostLine):
    """The operating system keeps the thread that writes."""

    def write(self, data: bytes) -> None:
        threading.Event().wait()


def open_once(line: type[LostLine]) -> Callable[[], LostLine]:
    lines = [line()]

    def open_line() -> LostLine:
        if not lines:
            raise UserError("there is no port")
        return lines.pop()

    return open_line


@pytest.mark.parametrize("line", [LostLine, SilentLine, DeafLine])
@pytest.mark.parametrize("how", [KeyboardInterrupt, UserError, GeneratorExit])
def test_a_map_that_ends_early_leaves_lost_boards_at_once(
    monkeypatch: pytest.MonkeyPatch, line: type[LostLine], how: type[BaseException]
) -> None:
    """Each board would be waited for by a minute and more."""
    monkeypatch.setattr(Connection, "_greet", lambda *_: Kind())
    monkeypatch.setattr(connection, "RETRY_S", 60.0)
    monkeypatch.setattr(device, "RUN_PATIENCE_S", 60.0)
    boards = [Connection(open_once(line), name, None, 60.0) for name in "ab"]  # type: ignore[arg-type]
    pool = Pool(boards)
    begun = threading.active_count()

    def items() -> Iterator[int]:
        yield from range(2)
        deadline = time.monotonic() + 10
        while not pool._free.empty() and time.monotonic() < deadline:
            time.sleep(0.01)
        raise how

    def work(item: int) -> None:
        pool.call(lambda board: board.infer(b"image"))

    started = time.monotonic()
    with pytest.raises(how):
        list(pool.map(work, items()))
    pool.close()
    assert time.monotonic() - started < 5
    assert line is DeafLine or threading.active_count() <= begun


def test_items_are_read_only_as_far_as_boards_need_them() -> None:
    pool = Pool([FakeConnection("a")])  # type: ignore[list-item]
    read = []

    def items() -> Any:
        for i in range(100):
            read.append(i)
            yield i

    answers = pool.map(lambda item: item, items())
    next(answers)
    assert len(read) <= 3
    answers.close()  # type: ignore[attr-defined]


def test_statistics_are_sums() -> None:
    pool = Pool([FakeConnection("a"), FakeConnection("b")])  # type: ignore[list-item]
    stats = pool.stats()
    assert stats == {"bytes_sent": 200, "payload_bytes": 180, "resends": 2}


def test_boards_of_different_kinds_are_refused_and_closed() -> None:
    boards = [FakeConnection("a"), FakeConnection("b", "qemu-m4")]
    with pytest.raises(UserError, match="different kinds"):
        Pool(boards)  # type: ignore[arg-type]
    assert all(board.closed for board in boards)


def test_copies_of_an_emulated_board_are_taken_together() -> None:
    m7 = [Connected("qemu-m7", f"socket://127.0.0.1:{port}") for port in (1, 2)]
    m4 = Connected("qemu-m4", "socket://127.0.0.1:3")
    assert choose_copies(None, m7) == m7
    assert choose_copies("qemu-m4", [*m7, m4]) == [m4]
    with pytest.raises(UserError, match="several boards"):
        choose_copies(None, [*m7, m4])
