"""A published teacher opens, its scores are logged, and others can go on from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pytorch_side.config import Config, differing, load_config, read_saved_config, with_values
from pytorch_side.distillation.fill_cache import load_teacher
from pytorch_side.evaluate.score import score
from pytorch_side.nets.models import make_teacher
from pytorch_side.nets.weights import read_weights
from pytorch_side.reproduce import config_path
from swin2mcu.common.cli import UserError
from swin2mcu.common.paths import TEACHERS

ENTRIES = sorted(path.parent for path in TEACHERS.glob("*/config.json"))


def test_a_teacher_is_published() -> None:
    assert ENTRIES


@pytest.fixture(params=ENTRIES, ids=lambda path: path.name)
def entry(request: pytest.FixtureRequest) -> tuple[Path, Config]:
    folder: Path = request.param
    weights = {"teacher.init": str(folder / "teacher.safetensors")}
    return folder, with_values(read_saved_config(folder / "config.json"), weights)


def test_its_files_are_small_and_whole(entry: tuple[Path, Config]) -> None:
    folder, config = entry
    classes = json.loads(read_weights(folder / "teacher.safetensors")[1]["classes"])
    teacher = load_teacher(config, tuple(classes))
    assert max(path.stat().st_size for path in folder.iterdir()) <= 8 << 20
    size = config.teacher.size
    with torch.inference_mode():
        logits = teacher(torch.rand(2, 3, size, size) * 2 - 1)
    assert logits.shape == (2, len(classes)) and bool(logits.isfinite().all())


def test_its_config_is_the_one_that_trains_it(entry: tuple[Path, Config]) -> None:
    folder, config = entry
    given = load_config(config_path(folder.name))
    assert [name for name in differing(given, config) if name != "teacher.init"] == []


def test_its_scores_are_logged_once_each(entry: tuple[Path, Config]) -> None:
    lines = [json.loads(line) for line in (entry[0] / "test_access.jsonl").read_text().splitlines()]
    scored = [(line["split"], line.get("target")) for line in lines]
    assert ("val", None) in scored and ("test", None) in scored
    assert len(scored) == len(set(scored)), "test is touched once"
    assert len({line["weights_sha256"] for line in lines}) == 1


def test_no_score_is_added_and_none_is_computed_in_vain(entry: tuple[Path, Config]) -> None:
    with pytest.raises(UserError, match=r"its log of scores is closed: copy the folder to runs/"):
        score(entry[0], Path("no photos"), "val")


def test_other_classes_go_on_from_it(entry: tuple[Path, Config]) -> None:
    _, config = entry
    torch.manual_seed(0)
    other = make_teacher(config.teacher, 3)
    own = make_teacher(config.teacher, 10)
    assert other.get_classifier().out_features == 3
    layers = other.state_dict(), own.state_dict()
    same = [name for name in layers[0] if not name.startswith("head.")]
    assert len(same) > 100 and all(torch.equal(layers[0][n], layers[1][n]) for n in same)
