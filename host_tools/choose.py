"""Which board is meant: the one that is named, else the only one there is."""

from __future__ import annotations

from collections.abc import Sequence

from host_tools.boards import Connected, load_boards, usb_boards
from host_tools.emulator import connected as emulated_boards
from tinyml.cli import UserError


def connected_boards() -> list[Connected]:
    """Boards on USB and emulated boards that run."""
    return [*usb_boards(), *emulated_boards()]


def choose(board: str | None, present: Sequence[Connected]) -> Connected:
    """Raises UserError, saying what to do, unless exactly one board fits."""
    fitting = [one for one in present if board in (None, one.board)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        ports = ", ".join(f"{one.board} at {one.port}" for one in fitting)
        raise UserError(f"several boards are connected: choose one by --board or --port ({ports})")
    emulated = [b.name for b in load_boards().values() if b.emulated]
    if board is not None:
        if board not in load_boards():
            raise UserError(f"there is no board {board}: choose one of {', '.join(load_boards())}")
        if board in emulated:
            raise UserError(
                f"{board} does not run: start it with `python host_tools/flash.py --board {board}`"
            )
        raise UserError(f"no {board} is connected: plug it in, or name its port with --port")
    raise UserError(
        "no board is connected: plug one in, name its --port, or start an emulated one with "
        f"`python host_tools/flash.py --board NAME` ({', '.join(emulated)})"
    )
