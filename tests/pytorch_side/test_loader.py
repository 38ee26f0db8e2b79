"""Batches are shared out evenly, and the time that training waits for them is counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pytorch_side.config import Config
from pytorch_side.data import loader as module
from pytorch_side.data.cache import decode_images
from pytorch_side.data.loader import Batch, TrainBatches
from pytorch_side.data.training_image import training_image
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import scan_folder


def test_processes_share_a_batch_without_a_rest(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config]
) -> None:
    images, config = (
        decode_images(scan_folder(make_folder(images=12))),
        tiny_config({"augment.cached": 0}),
    )
    whole = [batch.files for batch in TrainBatches(images, config, 32).epoch(3)]
    shares = [
        [batch.files for batch in TrainBatches(images, config, 32, None, rank, 3).epoch(3)]
        for rank in range(3)
    ]
    assert [sum(parts, ()) for parts in zip(*shares, strict=True)] == whole
    assert {len(files) for files in whole} == {6}


@pytest.mark.parametrize("batch", [10, 2, 300])
def test_a_batch_that_processes_cannot_share_is_refused(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config], batch: int
) -> None:
    images = decode_images(scan_folder(make_folder(images=12)))
    with pytest.raises(UserError, match=f"batch is {batch}: with 3 processes"):
        TrainBatches(images, tiny_config({"optimizer.batch": batch}), 32, processes=3)
    TrainBatches(images, tiny_config({"optimizer.batch": batch}), 32)  # alone it need not be shared


@pytest.mark.parametrize("cached", [0, 4])
def test_an_epoch_of_several_passes_has_the_batches_of_as_many_epochs(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config], cached: int
) -> None:
    images = decode_images(scan_folder(make_folder(images=12)))

    count = len(images.folder.indices("train"))

    def batches(passes: int, number: int) -> list[Batch]:
        settings = {"optimizer.passes": passes, "optimizer.batch": count}
        config = tiny_config({**settings, "augment.cached": cached})
        return list(TrainBatches(images, config, 32).epoch(number))

    once = [batch for number in (3, 4, 5) for batch in batches(1, number)]
    together = batches(3, 1)  # passes 3, 4 and 5
    assert [batch.files for batch in together] == [batch.files for batch in once]
    for one, other in zip(together, once, strict=True):
        assert torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)
    pictures = {batch.images.numpy().tobytes() for batch in together}
    assert len(pictures) == len(together), "a pass has augmentations of its own"


def test_passes_over_few_images_fill_batches_together(
    make_folder: Callable[..., Path], tiny_config: Callable[..., Config]
) -> None:
    images = decode_images(scan_folder(make_folder(images=12)))
    count = len(images.folder.indices("train"))
    config = tiny_config({"optimizer.passes": 3, "optimizer.batch": count + 1})
    files = [file for batch in TrainBatches(images, config, 32).epoch(0) for file in batch.files]
    assert len(files) == 2 * (count + 1)
    assert {files.count(file) for file in files} <= {2, 3}


@pytest.mark.parametrize("slow", ["images", "network"])
def test_waiting_is_for_batches_that_are_not_ready(
    make_folder: Callable[..., Path],
    tiny_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    slow: str,
) -> None:
    images = decode_images(scan_folder(make_folder(images=12)))

    def late(*arguments: object) -> object:
        time.sleep(0.03)
        return training_image(*arguments)  # type: ignore[arg-type]

    if slow == "images":
        monkeypatch.setattr(module, "training_image", late)
    batches = TrainBatches(images, tiny_config({"augment.cached": 0}), 32)
    started = time.perf_counter()
    for _ in batches.epoch(0):
        if slow == "network":
            time.sleep(0.3)
    share = batches.waited_s / (time.perf_counter() - started)
    assert share > 0.8 if slow == "images" else share < 0.5
