"""The worst mistakes of an int8 model as small pictures, each with where the student looked.

The pictures go into the report its user makes, and nowhere else.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.progress import track

from host_tools.inputs import Model, split_images
from host_tools.pc.tflite_backends import litert_runner, load_litert
from pytorch_side.config import read_saved_config
from swin2mcu.common.answer import real_logits
from swin2mcu.common.cli import UserError, status
from swin2mcu.common.damaged import DAMAGED
from swin2mcu.common.input_contract import InputContract
from swin2mcu.common.pixels import load_pixels
from tinyml.runtimes.litert import open_interpreter

SHOWN = 12
SIDE = 120  # pixels of a thumbnail
SHEET = "attention.png"  # what `python -m pytorch_side.evaluate attention` is told to write
SHEET_WIDTH = 1120


@dataclass(frozen=True)
class Picture:
    truth: str
    answer: str
    margin: float  # how far the answer's logit is above the true class's
    image: str  # data: URL
    attention: str  # data: URL


def worst_mistakes(model: Model, data: Path) -> list[Picture]:
    """Score the test split with LiteRT and return the images that are most wrong."""
    fast = load_litert(model.int8, 1, model.contract)
    wrong: list[tuple[float, Path, int, int]] = []
    images = split_images(data, model.card, model.folder)
    for path, label in track(images, "test photos", console=status, transient=True):
        try:
            pixels = load_pixels(path, model.size, model.size, model.card.split.crop)
        except UserError as error:
            status.print(f"left out: {error}")
            continue
        logits = real_logits(fast.run(fast.prepare(pixels)), model.card)
        answer = int(logits.argmax())
        if answer != label:
            wrong.append((float(logits[answer] - logits[label]), path, label, answer))
    wrong.sort(key=lambda mistake: -mistake[0])
    looking = open_interpreter(model.int8, kernels="plain", keep_tensors=True)
    pictures = []
    for margin, path, label, answer in wrong[:SHOWN]:
        pixels = load_pixels(path, model.size, model.size, model.card.split.crop)
        energy = energy_map(looking, pixels, model.contract)
        classes = model.card.classes
        pictures.append(
            Picture(
                classes[label],
                classes[answer],
                margin,
                _jpeg(Image.fromarray(pixels)),
                _jpeg(overlay(pixels, energy)),
            )
        )
    return pictures


def attention_sheet(folder: Path) -> str | None:
    """The run's picture of the teacher's and the student's attention, if there is one."""
    path = folder / SHEET
    if not path.is_file():
        return None
    try:
        with Image.open(path, formats=("PNG",)) as found:
            sheet = found.convert("RGB")
    except DAMAGED as error:
        raise UserError(f"{path} is no picture: draw it again") from error
    if sheet.width > SHEET_WIDTH:
        sheet = sheet.resize((SHEET_WIDTH, max(1, sheet.height * SHEET_WIDTH // sheet.width)))
    return _data_url(sheet)


def has_teacher(folder: Path) -> bool:
    """Whether a run's student learned from a teacher whose attention can be drawn beside its own.

    A run on labels alone has none.
    """
    if not (folder / "student.safetensors").is_file():
        return False
    try:
        config = read_saved_config(folder / "config.json")
    except UserError:
        return False
    return config.distillation.used and Path(config.teacher.init).is_file()


def energy_map(
    interpreter: Any, pixels: npt.NDArray[np.uint8], contract: InputContract
) -> npt.NDArray[np.float32]:
    """Sum of squared features at the finest grid of at most 1/16 of the image, scaled to 0…1."""
    runner = litert_runner(interpreter, contract)
    runner.run(runner.prepare(pixels))
    grid = -(-pixels.shape[0] // 16)
    chosen = None
    for tensor in interpreter.get_tensor_details():
        shape = tensor["shape"]
        # A depthwise kernel may have that shape too, with a scale for each channel.
        scale = tensor["quantization"][0]
        if len(shape) == 4 and shape[0] == 1 and shape[1] == shape[2] == grid and scale > 0:
            chosen = tensor  # in the order of execution: the last one of that grid remains
    if chosen is None:
        raise UserError("the model has no features at a sixteenth of its input's size")
    scale, zero = chosen["quantization"]
    features = (interpreter.get_tensor(chosen["index"])[0].astype(np.float32) - zero) * scale
    energy: npt.NDArray[np.float32] = (features**2).sum(axis=-1)
    energy -= energy.min()
    return energy / max(float(energy.max()), 1e-9)


def overlay(pixels: npt.NDArray[np.uint8], energy: npt.NDArray[np.float32]) -> Image.Image:
    """The picture in gray, in warm colors where the energy is high."""
    height, width, _ = pixels.shape
    smooth = Image.fromarray((energy * 255).astype(np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    share = np.asarray(smooth, np.float32)[..., None] / 255.0
    gray = pixels.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    warm = np.array([255.0, 120.0, 20.0], np.float32)
    mixed = gray * (1 - 0.65 * share) + warm * 0.65 * share
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def _jpeg(image: Image.Image) -> str:
    return _data_url(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _data_url(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
