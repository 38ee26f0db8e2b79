"""A leaf is cut out of its photo, set on other backgrounds, and the model is asked again."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tiny_run import CLASSES, make_run

from pytorch_side.data import cutout
from swin2mcu import backgrounds
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import scan_folder

SIZE = 160


def leaf_photo(seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """A green ellipse with brown spots and a dark shadow on a grainy table, and where it is."""
    draw = np.random.default_rng(seed)
    photo = draw.normal(150 + 10 * (seed % 4), 6, (SIZE, SIZE, 1)).repeat(3, axis=2)
    center = tuple(int(x) for x in draw.integers(70, 91, 2))
    axes = (int(draw.integers(35, 50)), int(draw.integers(22, 35)))
    shape = (center, axes, int(draw.integers(180)), 0, 360)
    shadow, leaf = (np.zeros((SIZE, SIZE), dtype=np.uint8) for _ in range(2))
    cv2.ellipse(shadow, (center[0] + 6, center[1] + 6), *shape[1:], 1, -1)
    cv2.ellipse(leaf, *shape, 1, -1)
    photo[shadow > 0] *= 0.5
    photo[leaf > 0] = np.array((60, 130, 50)) + draw.normal(0, 12, (int(leaf.sum()), 3))
    for _ in range(4):
        spot = np.zeros_like(leaf)
        where = np.argwhere(leaf)[draw.integers(int(leaf.sum()))]
        cv2.circle(spot, (int(where[1]), int(where[0])), 4, 1, -1)
        photo[(spot > 0) & (leaf > 0)] = (120, 90, 50)
    return photo.clip(0, 255).astype(np.uint8), leaf > 0


@pytest.mark.parametrize("seed", range(8))
def test_the_leaf_is_found_without_its_shadow(seed: int) -> None:
    photo, leaf = leaf_photo(seed)
    mask = cutout.leaf_mask(photo)
    assert mask is not None and mask.shape == leaf.shape
    found = mask > 0.5
    assert (found & leaf).sum() / (found | leaf).sum() > 0.85
    behind = cutout.background_of(photo, mask).astype(int)
    assert (behind[..., 1] - behind[..., 0]).max() < 30  # nothing green is left


def test_a_photo_without_a_leaf_is_not_cut() -> None:
    table = np.full((SIZE, SIZE, 3), 140, dtype=np.uint8)
    assert cutout.leaf_mask(table) is None


def test_the_leaf_stays_and_the_background_changes() -> None:
    photo, leaf = leaf_photo(0)
    mask = np.where(leaf, np.float32(1), np.float32(0))
    blue = np.zeros((1, 1, 3), dtype=np.uint8) + np.array([0, 0, 200], dtype=np.uint8)
    made = cutout.on_background(photo, mask, blue)
    assert np.array_equal(made[leaf], photo[leaf])
    assert (made[~leaf] == (0, 0, 200)).all()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for number, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for i in range(6):
            photo, _ = leaf_photo(10 * number + i)
            Image.fromarray(photo).save(root / name / f"{i}.png")
    return root


def test_another_classs_background_is_taken(data: Path) -> None:
    """The first pixel is always background: it is of the other photo, or of its own."""
    leaves, failed = backgrounds.cut_leaves(scan_folder(data), "train", None, (SIZE, SIZE))
    assert failed == 0
    draw = np.random.default_rng(0)
    for leaf in leaves:
        made = backgrounds.variants(leaf, leaves, draw)
        assert tuple(made) == backgrounds.KINDS
        others = [cutout.background_of(o.photo, o.mask) for o in leaves if o.label != leaf.label]
        assert any(np.array_equal(made["another class's"][0, 0], other[0, 0]) for other in others)
        assert np.abs(made["its own"][0, 0].astype(int) - leaf.photo[0, 0]).max() < 40
        color = made["another class's color"]
        assert np.array_equal(color[0, 0], color[-1, -1])
        middle = leaf.mask > 0.999
        assert all(np.array_equal(one[middle], leaf.photo[middle]) for one in made.values())


def test_one_unreadable_photo_stops_nothing_and_many_do(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = scan_folder(data)
    assert len(folder.files) > 20
    first, *_ = (folder.root / folder.files[i] for i in folder.indices("train"))
    first.write_bytes(b"damaged")
    leaves, failed = backgrounds.cut_leaves(folder, "train", None, (SIZE, SIZE))
    assert (len(leaves), failed) == (len(folder.indices("train")) - 1, 0)
    assert f"left out: cannot read image {first}" in capsys.readouterr().err
    for path in (folder.root / name for name in folder.files):
        path.write_bytes(b"damaged")
    with pytest.raises(UserError, match="cannot be read"):
        backgrounds.cut_leaves(folder, "train", None, (SIZE, SIZE))


def test_the_command_tells_each_background(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "tiny")
    assert backgrounds.main([str(run), "--data", str(data), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["top1"]) == list(backgrounds.KINDS)
    assert report["images"] + report["not_cut"] == len(scan_folder(data).indices("val"))
    assert backgrounds.main([str(run), "--data", str(data), "--split", "test"]) == 0
    assert "could not be cut out" in capsys.readouterr().out
    assert "backgrounds" in (run / "test_access.jsonl").read_text()
    for wrong in (["--limit", "0"], ["--seed", "-1"], ["--limit", "1"]):
        assert backgrounds.main([str(run), "--data", str(data), *wrong]) == 2
        assert capsys.readouterr().err.count("error: ") == 1
