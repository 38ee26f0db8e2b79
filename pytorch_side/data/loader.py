"""Batches of augmented training images, made in background threads while the network computes."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pytorch_side.config import Config
from pytorch_side.data.augment import augmentation_seed
from pytorch_side.data.cache import DecodedImages
from pytorch_side.data.photos import photo_hashes, photos_digest
from pytorch_side.data.training_image import labels_of, training_image
from pytorch_side.distillation.teacher_store import TeacherCache
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import spread
from swin2mcu.common.dataset.trained import Row, trained_rows

AHEAD = 6  # batches made in advance: enough for short delays
# Threads suffice, since Pillow and OpenCV release the interpreter's lock. A GPU needs several.
WORKERS = max(1, min(8, (os.cpu_count() or 2) // 2))


@dataclass(frozen=True)
class Batch:
    """One step's input. Teacher fields are None without cached teacher outputs."""

    images: Tensor  # (batch, 3, size, size) float32, (pixel - 128) / 128, channels last
    labels: Tensor  # (batch,) int64, or (batch, classes) shares with mixup
    files: tuple[str, ...]
    teacher_logits: Tensor | None = None  # (batch, classes)
    teacher_maps: dict[int, Tensor] = field(default_factory=dict)  # stage → (batch, h, w) in [0, 1]


class TrainBatches:
    """The augmented train split; an epoch's batches depend only on its number.

    An epoch takes every image `optimizer.passes` times. With `outputs`, each pass uses the next
    cached augmentation of every image, with the teacher's outputs. Without, it cycles through
    `augment.cached` augmentations, or makes a new one each pass if that is 0. With `outputs` and
    not `distillation.consistent`, each pass makes new ones, and a photo's logits are the mean of
    its cached ones.
    """

    def __init__(
        self,
        images: DecodedImages,
        config: Config,
        size: int,
        outputs: TeacherCache | None = None,
        rank: int = 0,
        processes: int = 1,
        limit: int | None = None,
    ) -> None:
        """`limit`: use at most this many images of the train split, evenly spread over the classes.

        Raises UserError for a batch that cannot be divided evenly among the processes.
        """
        cv2.setNumThreads(1)  # its threads would compete with the network's
        self.images, self.size, self.outputs = images, size, outputs
        self.augment, self.seed = config.augment, config.seed
        self.consistent = config.distillation.consistent
        self.batch = batch = config.optimizer.batch
        self.passes = config.optimizer.passes
        self.rank, self.processes = rank, processes
        positions = images.folder.indices("train")
        self.train = positions
        self.positions = positions[spread(len(positions), limit)]
        self.train_data_digest = images.folder.train_data_digest()
        self.drawn_by = images.folder.drawn_by
        if batch % processes or (processes > 1 and len(self.positions) < batch):
            raise UserError(
                f"optimizer.batch is {batch}: with {processes} processes it must be a multiple of "
                f"{processes}, and no more than the {len(self.positions)} training images"
            )
        self.steps = max(1, len(self.positions) * self.passes // batch)
        self.waited_s = 0.0  # seconds that the training loop waited for batches

    @cached_property
    def photos_digest(self) -> str:
        """A digest of the photos that training reads, train and val; val is scored each epoch."""
        folder = self.images.folder
        return " ".join(photos_digest(folder, split) for split in ("train", "val"))

    @property
    def trained_on(self) -> list[Row]:
        """The photos that are trained on, for a run's table of them."""
        folder = self.images.folder
        return trained_rows(folder, photo_hashes(folder, "train"))

    def epoch(self, number: int) -> Iterator[Batch]:
        """All batches of one epoch; the last incomplete one is dropped."""
        count, first = len(self.positions), number * self.passes
        order = np.concatenate(
            [
                np.random.default_rng([self.seed, first + n]).permutation(count) + n * count
                for n in range(self.passes)
            ]
        )
        local = max(1, self.batch // self.processes)
        rows = [
            order[step * self.batch :][: self.batch][self.rank * local :][:local]
            for step in range(self.steps)
        ]
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            waiting: deque[Future[Batch]] = deque()
            for chosen in rows:
                waiting.append(pool.submit(self._make, chosen % count, first + chosen // count))
                if len(waiting) > AHEAD:
                    yield self._next(waiting)
            while waiting:
                yield self._next(waiting)

    def _next(self, waiting: deque[Future[Batch]]) -> Batch:
        start = time.perf_counter()
        batch = waiting.popleft().result()
        self.waited_s += time.perf_counter() - start
        return batch

    def _make(self, rows: npt.NDArray[np.int64], passes: npt.NDArray[np.int64]) -> Batch:
        """A batch of images, each in its pass, counted from the first epoch on."""
        folder = self.images.folder
        positions = self.positions[rows]
        files = tuple(folder.files[i] for i in positions)
        answers: dict[int, Tensor] = {}
        logits = None
        stored = np.array([self.outputs.row[file] for file in files] if self.outputs else [])
        if self.outputs and self.consistent:
            # Images start at different augmentations, so that an epoch mixes them.
            number = (passes + stored) % self.outputs.seeds.shape[1]
            seeds = [int(s) for s in self.outputs.seeds[stored, number]]
            logits = torch.from_numpy(self.outputs.logits[stored, number].astype(np.float32))
            for stage, maps in self.outputs.maps.items():
                answers[stage] = torch.from_numpy(maps[stored, number].astype(np.float32) / 255)
        else:
            cycle = 0 if self.outputs else self.augment.cached
            numbers = (passes % cycle if cycle else passes).tolist()
            seeds = [
                augmentation_seed(self.augment.seed, file, number)
                for file, number in zip(files, numbers, strict=True)
            ]
            if self.outputs:
                means = self.outputs.logits[stored].mean(axis=1, dtype=np.float32)
                logits = torch.from_numpy(means)
        made = [
            training_image(self.images, self.train, int(i), seed, self.augment, self.size)
            for i, seed in zip(positions, seeds, strict=True)
        ]
        labels = labels_of(made, folder.labels, len(folder.classes), self.augment.mixup > 0)
        pixels = np.stack([image.pixels for image in made])
        return Batch(to_images(pixels), labels, files, logits, answers)


def to_images(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """(batch, h, w, 3) uint8 → (batch, 3, h, w) float32 in the input contract, channels last."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().sub_(128.0).div_(128.0)
