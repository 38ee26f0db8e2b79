"""Train a MobileNetV3 student: on labels alone, or with a Swin's logits and attention beside them.

    python -m pytorch_side.distill --config configs/small-96.toml --out runs/small-96

With `alpha` or `beta` above 0 the teacher is asked once for all (see knowledge.py) before training.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pytorch_side.command import said_of_val, training_command
from pytorch_side.config import Config
from pytorch_side.data.cache import decode_images
from pytorch_side.data.loader import Batch, TrainBatches
from pytorch_side.distillation.attention import energy_map
from pytorch_side.distillation.hint import Followed, guide_of, with_guide
from pytorch_side.distillation.losses import hybrid_loss
from pytorch_side.distillation.teacher_cache import expectation, make_knowledge
from pytorch_side.distillation.teacher_store import open_knowledge
from pytorch_side.nets.models import Pairs, make_student, projections, stage_width, student_features
from pytorch_side.nets.weights import save_weights
from pytorch_side.train import Losses, fit, make_accelerator, top1
from swin2mcu.common.dataset import ImageFolder, load_split_pixels


class WatchedStudent(nn.Module):
    """A student that also returns its attention maps, and the projections that only training needs.

    Adaptive alignment: a learned 1x1 projection brings a student stage to the channel count of the
    teacher's before its energy is taken. Without `alignment` the stage's own energy is taken.
    """

    def __init__(
        self,
        student: nn.Module,
        pairs: Pairs,
        channels: dict[int, int],
        guide_pairs: Pairs = (),
        guide_channels: dict[int, int] | None = None,
    ) -> None:
        """`channels` holds the width of each teacher stage; empty means no alignment.

        Raises UserError for a stage that the student has not.
        """
        super().__init__()
        for own, _ in pairs:
            stage_width(student, own)  # raises
        self.student, self.pairs, self.guide_pairs = student, pairs, guide_pairs
        width = partial(stage_width, student)
        self.projections = projections(width, pairs if channels else (), channels)
        self.followers = projections(width, guide_pairs, guide_channels or {})

    def forward(self, images: Tensor) -> tuple[Tensor, dict[tuple[int, int], Tensor], Followed]:
        """Images → logits, a map (batch, h, w) for each pair, and what is held to the guide's."""
        stages = tuple(own for own, _ in (*self.pairs, *self.guide_pairs))
        logits, features = student_features(self.student, images, stages)
        maps = {}
        for own, theirs in self.pairs:
            name = f"{own}-{theirs}"
            x = features[own]
            maps[own, theirs] = energy_map(
                self.projections[name](x) if name in self.projections else x
            )
        followed = {
            (own, theirs): self.followers[f"{own}-{theirs}"](features[own])
            for own, theirs in self.guide_pairs
        }
        return logits, maps, followed


def distill(config: Config, folder: ImageFolder, run: Path) -> dict[str, Any]:
    """Train the student that `config` describes into `run`; returns the last row of the log."""
    accelerator = make_accelerator()
    images = decode_images(folder)
    taught = config.alpha > 0 or config.beta > 0
    knowledge = None
    if taught:
        place = Path(config.knowledge) if config.knowledge else run / "knowledge"
        with accelerator.main_process_first():
            if accelerator.is_main_process:
                knowledge = make_knowledge(images, config, place)
            else:
                knowledge = open_knowledge(place, expectation(config, images))
    torch.manual_seed(config.seed)  # after a teacher, which draws numbers where it is made
    student = make_student(config, len(folder.classes))
    pairs = config.attention_pairs if config.beta > 0 else ()
    channels = knowledge.channels if knowledge and config.alignment else {}
    guide = guide_of(config)
    followed = (guide.pairs, guide.channels) if guide else ((), None)
    model = WatchedStudent(student, pairs, channels, *followed)
    pixels, labels, _, _ = load_split_pixels(folder, "val", config.student_size)

    def loss_of_batch(watched: nn.Module, batch: Batch) -> Losses:
        logits, maps, followed = watched(batch.images)
        both = {pair: (m, batch.teacher_maps[pair[1]]) for pair, m in maps.items()}
        losses = hybrid_loss(logits, batch.labels, config, batch.teacher_logits, both)
        return with_guide(losses, guide, followed, batch.images, config.guide_weight)

    def save(watched: nn.Module) -> None:
        metadata = {
            "student": config.student,
            "size": config.student_size,
            "classes": list(folder.classes),
        }
        save_weights(watched.student, run / "student.safetensors", metadata)

    batches = TrainBatches(
        images,
        config,
        config.student_size,
        knowledge,
        accelerator.process_index,
        accelerator.num_processes,
    )
    return fit(
        model,
        batches,
        loss_of_batch,
        lambda watched: {"val_top1": top1(watched.student, pixels, labels)},
        save,
        config,
        run,
        accelerator,
    )


def main(argv: Sequence[str] | None = None) -> int:
    def work(config: Config, images: ImageFolder, run: Path) -> str:
        row = distill(config, images, run)
        return f"{run}/student.safetensors: {said_of_val(float(row['val_top1']), images)}"

    return training_command(__doc__, "runs/student", work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
