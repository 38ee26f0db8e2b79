"""What a test needs of a board that runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from host_tools.boards import emulator
from host_tools.boards.table import get_board


@dataclass
class RunningBoard:
    run: Path
    data: Path
    elf: Path
    state: Path
    port: str

    def restart(self) -> None:
        """The same board at the same port, as if its reset button had been pressed."""
        number = int(self.port.rpartition(":")[2])
        emulator.start(get_board("host"), self.elf, self.state, number)
