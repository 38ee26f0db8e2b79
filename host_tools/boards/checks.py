"""Checks of a board: the PC's bytes, bad requests refused, the same bytes on a bad line."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from host_tools.inputs import Model
from host_tools.link.device import Device
from host_tools.link.faults import Faults
from host_tools.link.line import Line
from host_tools.link.protocol import NackCode, Type, load_payload, run_payload
from tinyml.runtimes.reference import open_reference, reference_name

FAULT_RATE = 0.001  # per byte: an image of 96 pixels gets some thirty
FAULT_IMAGES = 2
FAULT_ROUNDS = 10  # at most, until there was a fault
RESETS = 2


@dataclass(frozen=True)
class Outcome:
    """One check: whether it passed, a sentence about it, and its figures."""

    name: str
    passed: bool
    said: str
    facts: dict[str, Any] = field(default_factory=dict)


def made_up_images(shape: tuple[int, ...], count: int) -> Iterator[npt.NDArray[np.int8]]:
    """Black, white, then noise and smooth gradients in turn; the same ones each time."""
    height, width, channels = shape
    random = np.random.default_rng(0)
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    for number in range(count):
        if number < 2:
            yield np.full(shape, (-128, 127)[number], np.int8)
        elif number % 2:
            corners = random.uniform(-128, 127, (3, channels))
            smooth = corners[0] + down[..., None] * corners[1] + across[..., None] * corners[2]
            yield np.clip(smooth, -128, 127).astype(np.int8)
        else:
            yield random.integers(-128, 128, shape).astype(np.int8)


def check_parity(
    device: Device, model: Model, images: int, repeat: int
) -> tuple[Outcome, list[int]]:
    """Every logit byte against the reference's on this PC, and what each run cost."""
    int8 = model.int8.read_bytes()
    reference = open_reference(int8)
    identical = 0
    costs: list[int] = []
    for image in made_up_images(model.card.input_shape, images):
        result = device.infer(image.tobytes(), repeat)
        costs += result.costs
        identical += list(result.logits) == reference.run(image).ravel().tolist()
    said = f"{identical} of {images} images byte-identical to {reference_name(int8)} on the PC"
    facts = {"images": images, "identical": identical}
    return Outcome("parity", identical == images, said, facts), costs


def check_refusals(device: Device) -> Outcome:
    """Requests that make no sense are refused with the right code, and change nothing."""
    info = device.hello()
    requests = {
        "run without an image": (Type.RUN, run_payload(1), NackCode.NOT_LOADED),
        "load behind a gap": (Type.LOAD, load_payload(64, b"x"), NackCode.OUT_OF_ORDER),
        "load past the end": (
            Type.LOAD,
            load_payload(info.input_bytes, b"x"),
            NackCode.BAD_PAYLOAD,
        ),
        "no runs": (Type.RUN, struct.pack("<H", 0), NackCode.BAD_PAYLOAD),
        "a step that does not exist": (
            Type.PROFILE,
            struct.pack("<H", info.step_count),
            NackCode.BAD_PAYLOAD,
        ),
    }
    device.request(Type.LOAD, load_payload(0, b"x"))  # forgets a whole image, if there was one
    wrong = []
    for name, (type_, payload, code) in requests.items():
        answer = device.request(type_, payload, expected=tuple(NackCode))
        if answer.type != Type.NACK or answer.payload[:1] != bytes((code,)):
            wrong.append(name)
    echoed = device.echo(bytes(range(256)) * 4)
    if echoed != bytes(range(256)) * 4:
        wrong.append("echo")
    said = (
        f"wrong answers to: {', '.join(wrong)}"
        if wrong
        else f"{len(requests)} bad requests refused"
    )
    return Outcome("refusals", not wrong, said, {"requests": len(requests)})


def check_faults(line: Line, model: Model, reset: Callable[[], None] | None = None) -> Outcome:
    """With line faults or resets, the logits must be those of a clean line."""
    images = list(made_up_images(model.card.input_shape, 2 + FAULT_IMAGES))[2:]
    clean = [Device(line).infer(image.tobytes()).logits for image in images]
    faults = Faults(0, 0, RESETS, reset, 10) if reset else Faults(FAULT_RATE, 0)
    device = Device(faults.on(line))
    same, rounds = True, 0
    # A small image takes few messages: it is sent again until something was injected.
    while same and rounds < FAULT_ROUNDS and not faults.injected:
        same = [device.infer(image.tobytes()).logits for image in images] == clean
        rounds += 1
    injected = dict(sorted(faults.injected.items()))
    name = "resets" if reset else "faults"
    count = sum(injected.values())
    sent = rounds * len(images)
    said = f"{count} {name} on {sent} images, {'the same' if same else 'OTHER'} logits"
    return Outcome(name, same and count > 0, said, {"injected": injected})
