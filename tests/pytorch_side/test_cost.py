"""Replaying stored knowledge costs a student's epoch next to nothing."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pytorch_side.batches import TrainBatches
from pytorch_side.cache import decode_images
from pytorch_side.config import Config
from pytorch_side.data import scan_folder
from pytorch_side.distill import WatchedStudent
from pytorch_side.knowledge_store import Knowledge
from pytorch_side.losses import hybrid_loss
from pytorch_side.models import make_student

CONFIG = Config(batch=48, alpha=0.3, beta=0.1, views=4, attention_pairs=((3, 2), (5, 3)))
IMAGES, CLASSES = 240, 10


@pytest.mark.slow
def test_an_epoch_with_knowledge_costs_at_most_15_percent_more(tmp_path: Path) -> None:
    """Processor time of the published student's steps, with and without; the best of several."""
    draw = np.random.default_rng(0)
    for label in range(CLASSES):
        (tmp_path / f"images/{label}").mkdir(parents=True)
        for number in range(IMAGES // CLASSES):
            pixels = draw.integers(0, 256, (192, 192, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"images/{label}/{number}.png")
    images = decode_images(scan_folder(tmp_path / "images"))
    files = [images.folder.files[i] for i in images.folder.indices("train")]
    shape = (len(files), CONFIG.views)
    knowledge = Knowledge(
        {file: i for i, file in enumerate(files)},
        draw.integers(0, 2**63, shape).astype(np.uint64),
        draw.normal(size=(*shape, CLASSES)).astype(np.float16),
        {
            stage: draw.integers(0, 256, (*shape, g, g)).astype(np.uint8)
            for stage, g in ((2, 8), (3, 4))
        },
        {2: 192, 3: 384},
        {},
    )
    student = make_student(CONFIG, CLASSES)
    plain = (WatchedStudent(student, (), {}), TrainBatches(images, CONFIG, 96))
    taught = (
        WatchedStudent(student, CONFIG.attention_pairs, knowledge.channels),
        TrainBatches(images, CONFIG, 96, knowledge),
    )
    costs: dict[str, list[float]] = {"plain": [], "taught": []}
    for epoch in range(6):
        costs["plain"].append(epoch_cost(*plain, Config(), epoch))
        costs["taught"].append(epoch_cost(*taught, CONFIG, epoch))
    ratio = min(costs["taught"]) / min(costs["plain"])
    print(f"an epoch on stored knowledge costs {ratio:.3f} of one without a teacher")
    assert ratio <= 1.15


def epoch_cost(model: WatchedStudent, batches: TrainBatches, config: Config, epoch: int) -> float:
    """Seconds of processor time for one epoch of views, forward, loss, backward and step."""
    model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters())
    started = time.process_time()
    for batch in batches.epoch(epoch):
        logits, maps, _ = model(batch.images)
        pairs = {pair: (m, batch.teacher_maps[pair[1]]) for pair, m in maps.items()}
        hybrid_loss(logits, batch.labels, config, batch.teacher_logits, pairs)["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    return time.process_time() - started
