"""The PC's answer to each image, computed ahead in a separate process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

from host_tools.scoring.frames import FrameKind, frame_of, frame_to_pixels
from swin2mcu.common.bound import end_with_parent
from swin2mcu.common.cli import UserError
from swin2mcu.common.input_contract import InputContract
from swin2mcu.common.pixels import load_pixels
from tinyml.runtimes.reference import Runner, open_reference

AHEAD = 6  # images prepared while the board works


@dataclass(frozen=True)
class Prepared:
    """One image: the bytes for the board and the logits the board must answer with."""

    image: bytes
    logits: tuple[int, ...]
    frame: bytes = b""  # as a camera delivers it; `image` is what a board makes of it
    photo: tuple[int, ...] = ()  # logits of the photo itself, where `logits` are the frame's


_reference: tuple[Runner, InputContract] | None = None


def _start(model: bytes, contract: InputContract) -> None:
    global _reference
    end_with_parent()
    _reference = open_reference(model), contract


def _prepare(
    path: Path, height: int, width: int, kind: FrameKind | None, crop: str
) -> Prepared | str:
    """The image, or the line that says why it cannot be read."""
    assert _reference is not None
    runner, contract = _reference

    def fed(pixels: npt.NDArray[np.uint8]) -> tuple[bytes, tuple[int, ...]]:
        image = np.ascontiguousarray(contract.stored(pixels))
        return image.tobytes(), tuple(int(v) for v in runner.run(image))

    try:
        image, logits = fed(load_pixels(path, height, width, crop))
        if kind is None:
            return Prepared(image, logits)
        frame = frame_of(path, kind)
    except UserError as error:
        return str(error)
    return Prepared(
        *fed(frame_to_pixels(frame, kind, height, width, crop == "center")), frame, logits
    )


def prepare_images(
    model: bytes,
    contract: InputContract,
    files: Sequence[Path],
    height: int,
    width: int,
    kind: FrameKind | None = None,
    crop: str = "",
) -> Iterator[Prepared | str]:
    """Each file's `Prepared`, in order, or the line that says why there is none.

    With a `kind`, of the frame that such a camera would make of the photo; `crop` is the card's.
    """
    open_reference(model)  # here too: what the other process raises would come without its text
    # Spawned: a forked copy would share our end of the serial line.
    context = get_context("spawn")
    with ProcessPoolExecutor(1, context, _start, (model, contract)) as pool:
        waiting: deque[Future[Prepared | str]] = deque()
        remaining = iter(files)
        try:
            while True:
                while len(waiting) < AHEAD and (file := next(remaining, None)) is not None:
                    waiting.append(pool.submit(_prepare, file, height, width, kind, crop))
                if not waiting:
                    return
                try:
                    prepared = waiting.popleft().result()
                except BrokenProcessPool as error:
                    raise UserError(
                        "the process that computes the PC's answers was ended: is there too little "
                        "memory? Run the same command again to go on"
                    ) from error
                yield prepared
        finally:
            for future in waiting:
                future.cancel()
