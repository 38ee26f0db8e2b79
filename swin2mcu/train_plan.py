"""The settings of `swin2mcu train`, chosen by number of photos, board and available weights."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path

from host_tools.boards.needs import fit, need_of
from host_tools.boards.table import get_board
from swin2mcu.common.cli import UserError
from tinyml.aot.compiler import compile_graph
from tinyml.format.tflite import parse

SIZES = (160, 128, 96)  # pixels; the sizes of the published small students, and one between
WIDE, HALF = "tf_mobilenetv3_small_100", "mobilenetv3_small_050"  # students, the better one first
# A student from ImageNet weights needs this many steps, however few photos there are: with seven
# photos per class it still gains on val between 20 and 60 epochs of nine steps.
STEPS_MIN, EPOCHS_MIN, EPOCHS_MAX = 900, 15, 120
SWIN_STAGES = (2, 2, 18, 2)  # the depths of timm's Swins, if a config does not give others
STEPS_RANDOM = 3  # times as many steps if the weights start random
BATCH_MIN, BATCH_MAX = 8, 64
# The teacher answers several augmentations of each photo, once. Few photos take many epochs: with
# few augmentations the student would learn them by heart.
VIEWS_MIN, VIEW_EPOCHS = 6, 7  # augmentations of a photo, and epochs with each of them
RATE, RATE_BATCH = 1.5e-3, 96  # of AdamW; the rate is proportional to the root of the batch


@dataclass(frozen=True)
class Plan:
    """Settings of `pytorch_side.distill` that differ from its defaults, with a reason for each."""

    settings: dict[str, object]
    reasons: list[str]


def plan_training(
    images: int,
    student: tuple[str, int],
    init: str,
    teacher: Path | None,
    epochs: int | None,
    seed: int,
    unlabeled: int = 0,
) -> Plan:
    """Batch and epochs for the photos of an epoch, at least STEPS_MIN optimizer steps.

    `images` have a label, `unlabeled` more photos have none. `student`: its name and its input's
    size, as student_for gives them. Raises UserError for weights that are not there.
    """
    labeled, images = images, images + unlabeled
    batch = batch_for(images)
    steps = max(1, images // batch)  # the last, incomplete batch of an epoch is dropped
    wanted = STEPS_MIN * (STEPS_RANDOM if init == "random" else 1)
    chosen = epochs or min(max(ceil(wanted / steps), EPOCHS_MIN), EPOCHS_MAX)
    name, size = student
    settings: dict[str, object] = {
        "seed": seed,
        **({"student.name": name} if name != WIDE else {}),
        "student.size": size,
        "optimizer.batch": batch,
        "optimizer.epochs": chosen,
        "optimizer.learning_rate": round(RATE * sqrt(batch / RATE_BATCH), 6),
        "optimizer.warmup_epochs": min(2.0, chosen / 10),
    }
    reasons = [
        f"student: {name} at {size} px",
        f"budget: {chosen} epochs of {images:,} photos in batches of {batch}, "
        f"{chosen * steps:,} steps",
    ]
    if unlabeled:
        reasons.append(f"photos: {labeled:,} have a label, the teacher answers all of them")
    settings |= _start(name, init, reasons)
    # What the teacher knows counts more where the labels say little.
    much = init == "random" or unlabeled > 0
    settings |= _teacher(teacher, init, (0.7, 0.3) if much else (0.3, 0.1), chosen, reasons)
    return Plan(settings, reasons)


def batch_for(images: int) -> int:
    """A power of two near a tenth of the photos: small sets need many steps per epoch."""
    batch = BATCH_MIN
    while batch < BATCH_MAX and batch * 2 * 10 <= images:
        batch *= 2
    return batch


def _start(student: str, init: str, reasons: list[str]) -> dict[str, object]:
    if init == "random":
        reasons.append("start: random weights")
        return {}
    # The narrow student has no ImageNet weights of its own.
    wide: dict[str, object] = {"student.selected_from": WIDE} if student == HALF else {}
    whose = f"evenly chosen channels of {WIDE}: " if wide else ""
    if init == "imagenet":
        reasons.append(f"start: {whose}ImageNet weights, downloaded by timm")
        return {**wide, "student.pretrained": "true"}
    if not Path(init).is_file():
        raise UserError(f"--init {init} is neither imagenet, random nor a file")
    if wide and (own := _student_in(Path(init))) and own[0] == student:
        wide, whose = {}, ""
    reasons.append(f"start: {whose}{init}; layers whose shapes differ start random")
    return {**wide, "student.init": init}


def _student_in(weights: Path) -> tuple[str, int] | None:
    """The name and size of a finished student; None for other weights, and where is no file."""
    if not weights.is_file():
        return None
    from pytorch_side.nets.weights import read_weights, student_of  # loads torch

    metadata = read_weights(weights)[1]
    return student_of(metadata, weights)[:2] if "student" in metadata else None


def _teacher(
    teacher: Path | None,
    init: str,
    weights: tuple[float, float],
    epochs: int,
    reasons: list[str],
) -> dict[str, object]:
    """Settings of a teacher; `weights` are alpha and beta of the loss."""
    if teacher is None:
        why = (
            "a student of random weights may gain from one, named by --teacher"
            if init == "random"
            else "with ImageNet weights one pays where few photos have a label, and many have none"
        )
        reasons.append(f"teacher: none: {why} (docs/RESULTS.md)")
        return {}
    config = teacher.parent / "config.json"
    if not teacher.is_file() or not config.is_file():
        raise UserError(f"--teacher {teacher} is not the teacher.safetensors of a run")
    # Imported late: msgspec comes with the training packages.
    from pytorch_side.config import flat, read_saved_config

    saved = flat(read_saved_config(config))
    described = {
        key: value
        for key, value in saved.items()
        if key.startswith("teacher.") and key not in ("teacher.init", "teacher.stem_init")
    }
    reasons.append(f"teacher: {teacher}, by its logits and its attention")
    alpha, beta = weights
    stages = len(saved["teacher.arguments"].get("depths", SWIN_STAGES))
    return {
        **described,
        "distillation.attention_pairs": attention_pairs(stages),
        "teacher.init": str(teacher),
        "teacher.pretrained": "false",
        "distillation.alpha": alpha,
        "distillation.beta": beta,
        "augment.cached": views_for(epochs, VIEWS_MIN),
    }


def views_for(epochs: int, least: int) -> int:
    """How many augmentations of a photo a teacher answers, for a training of `epochs`."""
    return max(least, round(epochs / VIEW_EPOCHS))


def attention_pairs(stages: int) -> list[list[int]]:
    """[student stage, teacher stage]: MobileNetV3's at stride 16 and 32 with a Swin's last two."""
    return [[3, stages - 2], [5, stages - 1]] if stages > 1 else [[5, 0]]


def student_for(board_name: str | None, classes: int, init: str) -> tuple[str, int]:
    """A student that fits the board and the largest of SIZES that it fits with.

    Without a board it is the finished student that `init` names, at its size, or else small-96's,
    which fits most boards. Raises UserError where none fits.
    `classes` matters little: it only changes the size of the classifier, which has 1,024 inputs.
    """
    if board_name is None:
        return _student_in(Path(init)) or (WIDE, SIZES[-1])
    from tinyml.format import mobilenet_graphs  # loads LiteRT's schema

    board = get_board(board_name)
    for name, make in ((WIDE, mobilenet_graphs.small), (HALF, mobilenet_graphs.tiny)):
        for size in SIZES:
            graph = parse(make(size))
            need = need_of(graph, compile_graph(graph, "0" * 64, board.core))
            room = fit(need, board)
            if not room.shortages and room.flash_need + 1024 * classes <= room.flash_have:
                return name, size
    raise UserError(f"no student of {' or '.join(map(str, SIZES))} px fits {board_name}")
