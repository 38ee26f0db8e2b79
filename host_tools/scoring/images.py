"""Sends every image to the boards, compares each answer with the PC's and journals it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from host_tools.inputs import Model
from host_tools.link.device import Device
from host_tools.link.pool import Pool
from host_tools.link.protocol import ProtocolError, frame_payload
from host_tools.scoring.frames import FrameKind
from host_tools.scoring.journal import Journal
from host_tools.scoring.reference import Prepared, prepare_images


@dataclass(frozen=True)
class Image:
    """One image of the split; `file` is its path below the data folder."""

    path: Path
    label: int
    file: str


@dataclass(frozen=True)
class Answer:
    """A board's answer to an image, and how long the transfer took."""

    logits: tuple[int, ...]
    costs: tuple[int, ...]
    transfer_s: float


def score_images(
    boards: Pool,
    journal: Journal,
    model: Model,
    images: Sequence[Image],
    repeat: int,
    warm_up: int,
    console: Console,
    kind: FrameKind | None = None,
) -> int:
    """Run every image that the journal lacks; returns how many those were.

    One that cannot be read is named and journaled as corrupt.
    """
    height, width, channels = model.card.input_shape
    todo = [image for image in images if image.file not in journal.entries]
    if todo and warm_up:
        gray = bytes(height * width * channels)
        boards.call(lambda device: device.infer(gray, warm_up))

    def infer(one: Prepared | str) -> Answer | None:
        return (
            None
            if isinstance(one, str)
            else boards.call(lambda d: answer(d, one, repeat, kind, crop))
        )

    crop = model.card.split.crop
    prepared = prepare_images(
        model.int8.read_bytes(),
        model.contract,
        [one.path for one in todo],
        height,
        width,
        kind,
        crop,
    )
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task("", total=len(images), completed=len(journal.entries))
        tally = Tally(time.monotonic())
        for image, (one, answered) in zip(todo, boards.map(infer, prepared), strict=True):
            entry: dict[str, Any] = {"image": image.file, "label": image.label}
            if isinstance(one, str) or answered is None:
                journal.add({**entry, "corrupt": one})
                console.print(f"left out: {one}")
            else:
                entry |= {"reference": one.logits, **asdict(answered)}
                journal.add(entry | ({"photo": one.photo} if kind else {}))
                tally.add(answered.logits, one.logits, image.label)
            resends = int(boards.stats()["resends"])
            progress.update(task, advance=1, description=tally.say(resends))
    return len(todo)


def answer(
    device: Device, image: Prepared, repeat: int, kind: FrameKind | None = None, crop: str = ""
) -> Answer:
    """One image on one board. Raises ProtocolError where the answer is not one to it."""
    before = device.stats.transfer_s
    if kind is None:
        result = device.infer(image.image, repeat)
    else:
        payload = frame_payload(kind.format, kind.width, kind.height, crop == "center")
        result = device.infer_frame(payload, image.frame, image.image, repeat)
    if len(result.logits) != len(image.logits):
        raise ProtocolError("a Result of other lengths than asked for")
    return Answer(result.logits, result.costs, device.stats.transfer_s - before)


@dataclass
class Tally:
    """What the progress bar says of the images so far."""

    started: float
    done: int = 0
    correct: int = 0
    differing: int = 0

    def add(self, logits: Sequence[int], reference: Sequence[int], label: int) -> None:
        self.done += 1
        self.correct += argmax(logits) == label
        self.differing += tuple(logits) != tuple(reference)

    def say(self, resends: int) -> str:
        done = self.done or 1
        rate = self.done / (time.monotonic() - self.started)
        text = f"top-1 {self.correct / done:.1%}, {rate:.2f} images/s"
        if self.differing:
            text += f", {self.differing} differ from the PC"
        return f"{text}, {resends} resends" if resends else text


def argmax(logits: Sequence[int]) -> int:
    """The first of the largest, as everywhere in this project."""
    return max(range(len(logits)), key=lambda i: (logits[i], -i))
