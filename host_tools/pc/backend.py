"""One way to run one model on this PC: what it is called, and how it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from host_tools.pc.runner import Runner


@dataclass(frozen=True)
class Backend:
    target: str  # its name in results.json
    engine: str
    precision: str  # "int8" or "float32"
    size: int  # of its square input, in pixels
    threads: int
    packages: tuple[str, ...]  # whose versions matter
    load: Callable[[int], Runner]  # takes the number of threads
    file: Path | None = None  # what a device would store
    note: str = ""  # what a reader must know about the number
    scored: bool = True  # False: random weights, only its speed means something
    weighed: bool = True  # False: loading compiles it, so the compiler would be measured

    def versions(self) -> dict[str, str]:
        return {package: version(package) for package in self.packages}
