"""A run folder of an older version, tests/old_run, is still read by every tool.

Its config.json is flat, its log.csv has a `guide` column, its cached teacher outputs lie in
knowledge/, and its checkpoint.pt is of a tiny network (below) after two of four epochs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from host_tools.report.__main__ import main as report
from host_tools.results import load_results
from pytorch_side.config import Config, read_saved_config, to_dict, with_values
from pytorch_side.data.loader import Batch
from pytorch_side.distillation.cache_identity import cache_folder
from pytorch_side.distillation.teacher_store import open_teacher_cache
from pytorch_side.train import Losses, train_loop
from swin2mcu.common.card import load_card
from swin2mcu.common.cli import UserError
from swin2mcu.common.test_access import read_accesses
from swin2mcu.research.distillation_gain import gains
from swin2mcu.research.table import ExperimentSpec, Row, read_run
from swin2mcu.research.teachers import teacher_cache_section

OLD = Path(__file__).parent / "old_run"


def test_its_config_is_translated() -> None:
    wanted = {
        "student.name": "tf_mobilenetv3_small_minimal_100",
        "student.size": 32,
        "teacher.name": "swin",
        "teacher.arguments": {
            "patch_size": 4,
            "window_size": 4,
            "embed_dim": 8,
            "depths": [1, 2],
            "num_heads": [1, 2],
        },
        "teacher.size": 32,
        "teacher.init": "runs/teacher/teacher.safetensors",
        "augment.cached": 2,
        "optimizer.epochs": 2,
        "optimizer.batch": 6,
        "distillation.alpha": 0.5,
        "distillation.beta": 0.1,
        "distillation.attention_pairs": [[1, 0], [2, 1]],
        "distillation.cache": "runs/old/knowledge",
        "hint.init": "runs/stem/student.safetensors",
        "hint.pairs": [[1, 1]],
    }
    assert read_saved_config(OLD / "config.json") == with_values(Config(), wanted)


def test_its_files_are_read() -> None:
    card = load_card(OLD / "card.json")
    assert (card.name, card.classes) == ("old", ("class_0", "class_1"))
    assert set(load_results(OLD / "results.json").targets) == {"pc-torch-float32", "pc-litert-int8"}
    assert [look["split"] for look in read_accesses(OLD)] == 3 * ["test"]


def test_its_report_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report([str(OLD), "--out", str(tmp_path / "report.html")]) == 0
    assert "pc-torch-float32" in capsys.readouterr().out
    assert "pc-litert-int8" in (tmp_path / "report.html").read_text()


def test_research_compares_it_with_a_run_of_today(tmp_path: Path) -> None:
    run = read_run(OLD, "student")
    assert run and run.finished and (run.val, run.epochs) == (0.5, 2)
    control = tmp_path / "labels"
    control.mkdir()
    config = with_values(run.config, {"distillation.alpha": 0.0, "distillation.beta": 0.0})
    (control / "config.json").write_text(json.dumps(to_dict(config)))
    shutil.copy(OLD / "log.csv", control)
    rows = tuple(
        Row(folder.name, tmp_path, (), {0: folder}, "student") for folder in (control, OLD)
    )
    (gain,) = gains([ExperimentSpec("t", "", "student", "labels", rows, ())])
    assert (gain.name, gain.points) == (f"old_run ({run.config.student.name}, 32 px)", 0.0)


def test_its_cached_teacher_outputs_are_opened(tmp_path: Path) -> None:
    about = json.loads((OLD / "knowledge/knowledge.json").read_text())
    outputs = open_teacher_cache(OLD / "knowledge", {"teacher": about["teacher"]})
    assert outputs.logits.shape == (14, 2, 2) and set(outputs.maps) == {0, 1}
    assert teacher_cache_section([OLD / "knowledge"])[-1].startswith("| knowledge | 2 |")
    # The folder that a run of no named cache makes or finds.
    assert cache_folder(Config(), OLD) == OLD / "knowledge"
    assert cache_folder(Config(), tmp_path) == tmp_path / "teacher_cache"


class TinyNet(nn.Module):
    """What checkpoint.pt holds, by today's names."""

    def __init__(self) -> None:
        super().__init__()
        self.student = nn.Linear(48, 2)
        self.regressors = nn.ModuleDict({"1-1": nn.Linear(48, 2)})

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        flat = images.flatten(1)
        return self.student(flat), self.regressors["1-1"](flat)


class NoiseBatches:
    """The four batches an epoch that it was trained on; `first` is the first epoch allowed."""

    steps, waited_s, train_data_digest, photos_digest = 4, 0.0, "leaves", "of leaves"
    trained_on = (("0" * 64, 9, "a.png"),)
    drawn_by = "photo"

    def __init__(self, first: int) -> None:
        self.first = first

    def epoch(self, number: int) -> Iterator[Batch]:
        assert number >= self.first
        for step in range(self.steps):
            draw = torch.Generator().manual_seed(100 * number + step)
            images = torch.randn(8, 3, 4, 4, generator=draw)
            yield Batch(images, (images.mean(dim=(1, 2, 3)) > 0).long(), ("a.png",) * 8)


def losses(model: nn.Module, batch: Batch) -> Losses:
    logits, followed = model(batch.images)
    hint = (followed**2).mean()
    return {"loss": nn.functional.cross_entropy(logits, batch.labels) + hint, "hint": hint}


def test_its_checkpoint_is_resumed(tmp_path: Path) -> None:
    config = with_values(
        Config(),
        {
            "augment.color": 0.1,
            "hint.init": "runs/stem/student.safetensors",
            "hint.weight": 1.0,
            "optimizer.epochs": 4,
            "optimizer.warmup_epochs": 1,
            "optimizer.learning_rate": 0.01,
            "optimizer.ema": 0.9,
        },
    )
    ends = []
    for name, first in (("whole", 0), ("resumed", 2)):
        run = tmp_path / name
        run.mkdir()
        if first:
            shutil.copy(OLD / "checkpoint.pt", run)
        torch.manual_seed(5)
        model = TinyNet()
        torch.manual_seed(config.seed)
        row = train_loop(
            model,
            NoiseBatches(first),  # type: ignore[arg-type]
            losses,
            lambda _: {"val_top1": 0.5},
            lambda _: None,
            config,
            run,
        )
        assert (int(row["epoch"]), "hint" in row, "guide" in row) == (4, True, False)
        ends.append(model.state_dict())
    for name, value in ends[0].items():
        assert torch.allclose(value, ends[1][name], atol=1e-5), name
    header, *rows = (tmp_path / "resumed/log.csv").read_text().splitlines()
    assert "hint" in header.split(",") and len(rows) == 4
    others = NoiseBatches(0)
    others.train_data_digest = "roots"
    shutil.copy(OLD / "checkpoint.pt", tmp_path)
    with pytest.raises(UserError, match="belongs to other images"):
        train_loop(TinyNet(), others, losses, lambda _: {}, lambda _: None, config, tmp_path)  # type: ignore[arg-type]
