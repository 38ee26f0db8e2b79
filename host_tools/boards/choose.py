"""Choose a board: the one that is named, else the only one there is."""

from __future__ import annotations

from collections.abc import Sequence

from host_tools.boards.emulator import connected as emulated_boards
from host_tools.boards.table import Connected, load_boards, usb_boards
from host_tools.inputs import flash_command
from swin2mcu.common.cli import UserError


def connected_boards() -> list[Connected]:
    """Boards on USB and emulated boards that run."""
    return [*usb_boards(), *emulated_boards()]


def emulated_names() -> list[str]:
    return [board.name for board in load_boards().values() if board.emulated]


def choose_copies(
    board: str | None, present: Sequence[Connected], model: str | None = None
) -> list[Connected]:
    """The chosen board; if it is emulated, every running copy of it.

    Raises UserError as `choose` does.
    """
    fitting = [one for one in present if board in (None, one.board)]
    names = {one.board for one in fitting}
    if len(names) == 1 and names <= set(emulated_names()):
        return fitting
    return [choose(board, present, model)]


def choose(board: str | None, present: Sequence[Connected], model: str | None = None) -> Connected:
    """Raises UserError, saying what to do with `model`, unless exactly one board fits."""
    fitting = [one for one in present if board in (None, one.board)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        ports = ", ".join(f"{one.board} at {one.port}" for one in fitting)
        raise UserError(f"several boards are connected: choose one by --board or --port ({ports})")
    emulated = emulated_names()
    if board is not None:
        if board not in load_boards():
            raise UserError(f"there is no board {board}: choose one of {', '.join(load_boards())}")
        if board in emulated:
            raise UserError(f"{board} does not run: start it with {flash_command(model, board)}")
        raise UserError(f"no {board} is connected: plug it in, or name its port with --port")
    raise UserError(
        "no board is connected: plug one in, name its --port, or start an emulated one with "
        f"{flash_command(model)} ({', '.join(emulated)})"
    )
