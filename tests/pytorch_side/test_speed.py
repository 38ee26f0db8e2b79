"""The ways of training are all timed, for either network, and so are epochs on cached outputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pytorch_side.config import Config, with_values
from pytorch_side.data.cache import decode_images
from pytorch_side.distillation.teacher_store import TeacherCache
from pytorch_side.evaluate import training_speed
from pytorch_side.evaluate.training_speed import teacher_cache_cost
from pytorch_side.speed import main
from swin2mcu.common.dataset import scan_folder

TINY = """student = { name = "tf_mobilenetv3_small_minimal_100", size = 32 }
optimizer.batch = 2
[teacher]
name = "swin"
size = 32
arguments = { window_size = 4, embed_dim = 8, depths = [1, 1], num_heads = [1, 2] }
"""


@pytest.mark.parametrize("option", [[], ["--teacher"]])
def test_every_way_is_timed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    config, out = tmp_path / "tiny.toml", tmp_path / "speed/tiny.json"
    config.write_text(TINY)
    assert main(["--config", str(config), "--steps", "1", "--out", str(out), *option]) == 0
    assert "channels last   bfloat16" in capsys.readouterr().out
    found = json.loads(out.read_text())
    network = "swin" if option else "tf_mobilenetv3_small_minimal_100"
    assert (found["config"], found["network"], found["size"]) == ("tiny", network, 32)
    ways = {(way["channels_last"], way["bf16"]) for way in found["ways"]}
    assert len(ways) == len(found["ways"]) == 4
    assert all(way["images_per_s"] > 0 for way in found["ways"])
    assert main(["--steps", "0"]) == 2


def test_a_cache_that_is_not_there_is_named(
    make_folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.safetensors").touch()
    arguments = [
        f"teacher.init={tmp_path / 't.safetensors'}",
        f"distillation.cache={tmp_path / 'none'}",
    ]
    sets = [part for given in arguments for part in ("--set", given)]
    assert main(["--cached", "--data", str(make_folder()), *sets]) == 2
    assert f"{tmp_path / 'none'} holds no cached teacher outputs" in capsys.readouterr().err


@pytest.mark.slow
def test_an_epoch_on_cached_outputs_costs_at_most_15_percent_more(
    make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published student's, on photos as large as PlantVillage's."""
    monkeypatch.setattr(training_speed, "EPOCH_IMAGES", 200)
    config = with_values(
        Config(),
        {
            "optimizer.batch": 48,
            "distillation.alpha": 0.3,
            "distillation.beta": 0.1,
            "augment.cached": 4,
            "distillation.attention_pairs": ((3, 2), (5, 3)),
        },
    )
    images = decode_images(scan_folder(make_folder(classes=10, images=24, size=192)))
    files = [images.folder.files[i] for i in images.folder.indices("train")]
    draw, shape = np.random.default_rng(0), (len(files), config.augment.cached)
    outputs = TeacherCache(
        {file: i for i, file in enumerate(files)},
        draw.integers(0, 2**63, shape).astype(np.uint64),
        draw.normal(size=(*shape, 10)).astype(np.float16),
        {
            stage: draw.integers(0, 256, (*shape, g, g)).astype(np.uint8)
            for stage, g in ((2, 8), (3, 4))
        },
        {2: 192, 3: 384},
        {},
        Path(),
    )
    assert teacher_cache_cost(config, images, outputs, 6) <= 1.15
