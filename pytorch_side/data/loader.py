"""Batches of training views, made in background threads while the network computes."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pytorch_side.config import Config
from pytorch_side.data.augment import ViewSettings, view_seed
from pytorch_side.data.cache import DecodedImages
from pytorch_side.data.mixup import labels_of, train_view
from pytorch_side.distillation.teacher_store import Knowledge
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import spread

AHEAD = 6  # batches made in advance: enough to ride out a busy moment of the machine
# Pillow and OpenCV let go of the interpreter while they work, so threads do; a GPU empties several.
WORKERS = max(1, min(8, (os.cpu_count() or 2) // 2))


@dataclass(frozen=True)
class Batch:
    """One step's input. Teacher fields are None where no knowledge is replayed."""

    images: Tensor  # (batch, 3, size, size) float32, (pixel - 128) / 128, channels last
    labels: Tensor  # (batch,) int64, or (batch, classes) shares where views are mixed
    files: tuple[str, ...]
    teacher_logits: Tensor | None = None  # (batch, classes)
    teacher_maps: dict[int, Tensor] = field(default_factory=dict)  # stage → (batch, h, w) in [0, 1]


class TrainBatches:
    """The train split as seeded views; an epoch's batches depend on its number only.

    With `knowledge` an epoch shows each image's next stored view and brings the teacher's answer;
    without, `config.views` seeded views in turn, or a fresh one each epoch when that is 0.
    """

    def __init__(
        self,
        images: DecodedImages,
        config: Config,
        size: int,
        knowledge: Knowledge | None = None,
        rank: int = 0,
        processes: int = 1,
        limit: int | None = None,
    ) -> None:
        """`limit`: of the train split only so many images, evenly spread over the classes.

        Raises UserError for a batch that cannot be shared out evenly among the processes.
        """
        cv2.setNumThreads(1)  # its own pool would fight the network's threads
        self.images, self.config, self.size, self.knowledge = images, config, size, knowledge
        self.rank, self.processes = rank, processes
        positions = images.folder.indices("train")
        self.train = positions
        self.positions = positions[spread(len(positions), limit)]
        self.learnt_from = images.folder.learnt_from()
        self.settings = view_settings(config)
        if config.batch % processes or (processes > 1 and len(self.positions) < config.batch):
            raise UserError(
                f"batch is {config.batch}: with {processes} processes it must be a multiple of "
                f"{processes}, and no more than the {len(self.positions)} training images"
            )
        self.steps = max(1, len(self.positions) // config.batch)
        self.waited_s = 0.0  # by the training loop, for a batch that was not ready

    def epoch(self, number: int) -> Iterator[Batch]:
        """All batches of one epoch; the last incomplete one is dropped."""
        order = np.random.default_rng([self.config.seed, number]).permutation(len(self.positions))
        local = max(1, self.config.batch // self.processes)
        rows = [
            order[step * self.config.batch :][: self.config.batch][self.rank * local :][:local]
            for step in range(self.steps)
        ]
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            waiting: deque[Future[Batch]] = deque()
            for chosen in rows:
                waiting.append(pool.submit(self._make, chosen, number))
                if len(waiting) > AHEAD:
                    yield self._next(waiting)
            while waiting:
                yield self._next(waiting)

    def _next(self, waiting: deque[Future[Batch]]) -> Batch:
        start = time.perf_counter()
        batch = waiting.popleft().result()
        self.waited_s += time.perf_counter() - start
        return batch

    def _make(self, rows: npt.NDArray[np.int64], epoch: int) -> Batch:
        folder = self.images.folder
        positions = self.positions[rows]
        files = tuple(folder.files[i] for i in positions)
        answers: dict[int, Tensor] = {}
        logits = None
        if self.knowledge:
            stored = np.array([self.knowledge.row[file] for file in files])
            # Images start at different views, so that an epoch mixes them.
            number = (epoch + stored) % self.knowledge.seeds.shape[1]
            seeds = [int(s) for s in self.knowledge.seeds[stored, number]]
            logits = torch.from_numpy(self.knowledge.logits[stored, number].astype(np.float32))
            for stage, maps in self.knowledge.maps.items():
                answers[stage] = torch.from_numpy(maps[stored, number].astype(np.float32) / 255)
        else:
            number = epoch % self.config.views if self.config.views else epoch
            seeds = [view_seed(self.config.view_seed, file, number) for file in files]
        views = [
            train_view(self.images, self.train, int(i), seed, self.settings, self.size)
            for i, seed in zip(positions, seeds, strict=True)
        ]
        labels = labels_of(views, folder.labels, len(folder.classes), self.settings.mix > 0)
        pixels = np.stack([view.pixels for view in views])
        return Batch(to_images(pixels), labels, files, logits, answers)


def view_settings(config: Config) -> ViewSettings:
    """The part of a config that decides how views look. Raises UserError for too much mixing."""
    if not 0 <= config.view_mix <= 0.5:
        raise UserError(
            f"view_mix is {config.view_mix}: 0 mixes no views, 0.5 mixes up to halves, "
            "and beyond that a view would be more of the other image than of its own"
        )
    return ViewSettings(
        config.view_area_min,
        config.view_aspect,
        config.view_colour,
        config.view_any_angle,
        config.view_mix,
    )


def to_images(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """(batch, h, w, 3) uint8 → (batch, 3, h, w) float32 in the input contract, channels last."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().sub_(128.0).div_(128.0)
