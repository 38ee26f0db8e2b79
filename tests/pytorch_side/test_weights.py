"""A published network of several files is read as one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from pytorch_side.nets.weights import PART_MAX, copy_in_half, part_path, read_weights
from swin2mcu.common.cli import UserError

TENSORS = {name: torch.full((100,), float(number)) for number, name in enumerate("abcde")}
ABOUT = {"student": "net", "size": "96", "classes": '["a", "b"]'}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.safetensors"
    path.write_bytes(save(TENSORS, ABOUT))
    return path


@pytest.mark.parametrize(
    ("part_max", "files"),
    [(PART_MAX, 1), (1000, 1), (999, 2), (400, 3), (200, 5), (10, 5)],  # 200 bytes a tensor
)
def test_large_networks_have_several_files(
    source: Path, tmp_path: Path, part_max: int, files: int
) -> None:
    path = tmp_path / "zoo/net.safetensors"
    path.parent.mkdir()
    copy_in_half(source, path, part_max)
    assert len(list(path.parent.iterdir())) == files
    assert part_path(path, files).is_file() and not part_path(path, files + 1).exists()
    weights, metadata = read_weights(path)
    assert metadata == ABOUT
    assert weights.keys() == TENSORS.keys()
    assert all(torch.equal(weights[name], TENSORS[name].half()) for name in TENSORS)
    again = tmp_path / "again.safetensors"
    copy_in_half(path, again)
    assert read_weights(again)[1] == ABOUT and not part_path(again, 2).exists()


def test_parts_that_are_missing_or_of_another_network_are_named(
    source: Path, tmp_path: Path
) -> None:
    path = tmp_path / "net.safetensors"
    copy_in_half(source, path, 400)
    part_path(path, 2).write_bytes(part_path(path, 3).read_bytes())
    with pytest.raises(UserError, match=r"net\.part2\.safetensors does not belong to"):
        read_weights(path)
    part_path(path, 2).unlink()
    with pytest.raises(UserError, match=r"cannot read weights .*net\.part2\.safetensors"):
        read_weights(path)


@pytest.mark.parametrize("parts", ["", "2", "[2]", '["../x', "null", '{"a": 1}', "[" * 9000])
def test_a_list_of_parts_that_is_none_is_refused(tmp_path: Path, parts: str) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(save(TENSORS, {"parts": parts}))
    with pytest.raises(UserError, match="does not name its other files"):
        read_weights(path)
