"""Open the boards that a command line names, and check that they answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from host_tools.boards import emulator
from host_tools.boards.choose import choose, choose_copies, connected_boards
from host_tools.boards.table import load_boards
from host_tools.inputs import Model
from host_tools.link.connection import Connection
from host_tools.link.faults import Faults
from host_tools.link.line import SerialLine
from host_tools.link.pool import Pool

DEFAULT_BAUD = 921600


def open_line(model: Model, board: str | None, port: str | None) -> tuple[SerialLine, str]:
    """The line to one board, which is to hold `model`, and its port. Raises UserError."""
    boards = load_boards()
    if port is None:
        chosen = choose(board, connected_boards(), model.argument)
        board, port = chosen.board, chosen.port
    return SerialLine(port, boards[board].baud if board in boards else DEFAULT_BAUD), port


def open_boards(
    model: Model,
    board: str | None,
    ports: Sequence[str] | None,
    wait_s: float,
    faults: tuple[float, int] = (0, 0),
    resets: int = 0,
) -> Pool:
    """The board at each port, or the chosen board; running copies of it share the work.

    `faults` (rate, seed) and `resets` are injected on each of their lines. Raises
    UserError, with every line closed again, unless all of them hold `model`.
    """
    boards = load_boards()
    baud = boards[board].baud if board in boards else DEFAULT_BAUD
    if not ports:
        chosen = choose_copies(board, connected_boards(), model.argument)
        ports, baud = [one.port for one in chosen], boards[chosen[0].board].baud
    rate, seed = faults
    connections: list[Connection] = []
    try:
        for number, port in enumerate(ports):
            reset = emulator.reset_button(port) if resets else None
            plan = Faults(rate, seed + 1000 * number, resets, reset)
            open_line = partial(SerialLine, port, baud)
            connections.append(Connection(open_line, port, model, wait_s, plan))
    except BaseException:
        for connection in connections:
            connection.close()
        raise
    return Pool(connections)
