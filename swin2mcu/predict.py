"""Classify photos with a trained model: the most likely classes, or *not sure*.

    swin2mcu predict RUN PHOTO_OR_FOLDER ... [--board BOARD | --port PORT] [--json]

Runs the int8 model on this PC, or on a board that already holds it. `-` reads one photo from
standard input. `swin2mcu calibrate` makes the probabilities meaningful.
"""

from __future__ import annotations

import argparse
import io
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from host_tools.inputs import Model, add_foreign_options, load_named
from swin2mcu.common.answer import Answer, answer_of
from swin2mcu.common.cli import Parser, UserError, one_line, run_command
from swin2mcu.common.dataset.walk import photos_in
from swin2mcu.common.pixels import cropped, open_upright, resize
from tinyml.runtimes.pc import load_pc

STANDARD_INPUT = "-"


class Outcome(NamedTuple):
    """One run of the network."""

    logits: npt.NDArray[np.int8]
    cost: float
    unit: str  # "ms" (a clock) or "instructions" (counted)


Run = Callable[[npt.NDArray[np.int8]], Outcome]


def on_pc(model: Model, photos: int, stack: ExitStack) -> tuple[str, Run]:
    """The name of this PC's engine, and a function that runs it and measures the time."""
    work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    engine, run = load_pc(model.int8, model.sha256, work, photos)

    def timed(image: npt.NDArray[np.int8]) -> Outcome:
        started = time.perf_counter()
        logits = run(image)
        return Outcome(logits, (time.perf_counter() - started) * 1000, "ms")

    return f"this PC ({engine})", timed


def on_board(
    model: Model, board: str | None, port: str | None, stack: ExitStack
) -> tuple[str, Run]:
    """The name of a board that holds the model, and a function that runs it there.

    Raises UserError if no board answers or if it holds another model.
    """
    from host_tools.boards.open import open_boards
    from host_tools.boards.table import get_board

    if board is not None:
        get_board(board)
    boards = open_boards(model, board, [port] if port else None, wait_s=10)
    stack.callback(boards.close)
    info = boards.info

    def sent(image: npt.NDArray[np.int8]) -> Outcome:
        result = boards.call(lambda device: device.infer(image.tobytes(), 1))
        cost = result.costs[0]
        logits = np.array(result.logits, dtype=np.int8)
        return Outcome(logits, cost / 1000 if info.unit == "us" else cost, _unit(info.unit))

    return f"{info.board} ({info.engine})", sent


def _unit(unit: str) -> str:
    return "ms" if unit == "us" else unit


def open_photos(names: Sequence[str]) -> Iterator[tuple[str, Path | io.BytesIO]]:
    """(name, file or stream) of each photo: named photos, photos in folders, standard input."""
    for name in names:
        if name == STANDARD_INPUT:
            if sys.stdin is None:
                raise UserError("- reads a photo from standard input, which is closed")
            yield "standard input", io.BytesIO(sys.stdin.buffer.read())
        else:
            yield from ((str(path), path) for path in photos_in([Path(name)]))


def cost_text(outcome: Outcome) -> str:
    if outcome.unit == "ms":
        return f"{outcome.cost:.3g} ms"
    return f"{outcome.cost:,.0f} {outcome.unit}"


def record_of(name: str, answer: Answer, outcome: Outcome, where: str) -> dict[str, Any]:
    return {
        "photo": name,
        "classes": [{"class": one, "probability": round(p, 4)} for one, p in answer.ranked],
        "sure": answer.sure,
        "evidence": round(answer.evidence, 4),
        "cost": {"value": outcome.cost, "unit": outcome.unit, "where": where},
        "logits": outcome.logits.tolist(),
    }


def _uncalibrated(model: Model) -> str:
    """What a user must know of a model that is not calibrated, and what they can do."""
    way = (
        "it ends with a softmax; export it without one to calibrate it"
        if model.card.gives_probabilities
        else f"see swin2mcu calibrate {shlex.quote(str(model.folder))}"
    )
    return (
        "not calibrated: the probabilities are too high or too low, and it is never 'not sure'; "
        f"{way}"
    )


def predict(model: Model, arguments: argparse.Namespace) -> int:
    """Print an answer for each photo. Returns 2 if a photo could not be read, after all others."""
    height, width, _ = model.card.input_shape
    photos = list(open_photos(arguments.photos))
    unread = 0
    with ExitStack() as stack:
        chosen = arguments.board is not None or arguments.port is not None
        where, run = (
            on_board(model, arguments.board, arguments.port, stack)
            if chosen
            else on_pc(model, len(photos), stack)
        )
        if not arguments.json:
            print(f"{model.card.name} on {where}", file=sys.stderr)
            if model.card.calibration is None:
                print(_uncalibrated(model), file=sys.stderr)
        for name, source in photos:
            try:
                photo = cropped(open_upright(source, name), height, width, model.card.split.crop)
                pixels = resize(photo, height, width)
            except UserError as error:
                print(f"error: {error}", file=sys.stderr)
                unread += 1
                continue
            outcome = run(np.ascontiguousarray(model.contract.stored(pixels)))
            answer = answer_of(outcome.logits, model.card)
            if arguments.json:
                print(json.dumps(record_of(name, answer, outcome, where)), flush=True)
            else:
                print(f"{one_line(name)}: {answer.words()}; {cost_text(outcome)}", flush=True)
    return 2 if unread else 0


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="a run's folder, a zoo entry or a .tflite")
    add_foreign_options(parser)
    parser.add_argument("photos", nargs="+", help="photos, folders of them, or - (standard input)")
    parser.add_argument("--board", help="the board that runs and holds this model, such as qemu-m7")
    parser.add_argument("--port", help="its device name or URL")
    parser.add_argument("--json", action="store_true", help="one JSON object for each photo")
    arguments = parser.parse_args(argv)
    return run_command(lambda: predict(load_named(arguments), arguments))


if __name__ == "__main__":
    raise SystemExit(main())
