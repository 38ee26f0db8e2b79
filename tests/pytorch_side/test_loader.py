"""Batches are shared out evenly, and the time that training waits for them is counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytorch_side.config import Config
from pytorch_side.data import loader as module
from pytorch_side.data.cache import decode_images
from pytorch_side.data.loader import TrainBatches
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
