"""The ways of training are all timed, for either network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytorch_side.speed import main

TINY = """student = "tf_mobilenetv3_small_minimal_100"
student_size = 32
teacher = "swin"
teacher_size = 32
batch = 2
[teacher_arguments]
window_size = 4
embed_dim = 8
depths = [1, 1]
num_heads = [1, 2]
"""


@pytest.mark.parametrize("option", [[], ["--teacher"]])
def test_every_way_is_timed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text(TINY)
    assert main(["--config", str(config), "--steps", "1", "--json", *option]) == 0
    found = json.loads(capsys.readouterr().out)
    ways = {(way["channels_last"], way["bf16"]) for way in found}
    assert len(ways) == len(found) == 4
    assert all(way["images_per_s"] > 0 for way in found)
    assert main(["--config", str(config), "--steps", "1"]) == 0
    assert "channels last   bfloat16" in capsys.readouterr().out
    assert main(["--steps", "0"]) == 2
