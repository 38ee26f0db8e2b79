"""--unknown of `swin2mcu calibrate`: each has its own name in the report, and must be there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from host_tools.inputs import Model
from swin2mcu.calibrate import EVEN, fit, names_of, report_of, split_logits, unknown_logits
from swin2mcu.common.card import Card, SplitRule
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import scan_folder
from swin2mcu.common.dataset.walk import photos_in


def test_lists_that_start_with_the_same_photo_have_two_names() -> None:
    first, second, third = (Path("cars") / f"a_{number}.jpg" for number in range(3))
    assert names_of([[first, second], [first, third]]) == [f"{first} … (1)", f"{first} … (2)"]
    assert names_of([[first], [second], [first]]) == [f"{first} (1)", "a_1.jpg", f"{first} (3)"]


def test_a_mistyped_path_is_no_unreadable_photo(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^there is no file or folder {tmp_path}/cras$"):
        photos_in([tmp_path / "cras"])


def test_unreadable_photos_are_counted_as_in_training(
    tmp_path: Path, make_folder: Callable[..., Path]
) -> None:
    """Two of some 30 val photos are above 5 %, but 2 % of the folder, which training accepts."""
    root = make_folder(classes=2, images=50, size=8)
    folder = scan_folder(root, SplitRule(val_share=0.3))
    val = folder.indices("val")
    count = len(val)
    assert 0.05 * count < 2
    for position in val[:2]:
        (root / folder.files[position]).write_bytes(b"no photo")
    card = Card("few", "net", folder.classes, (8, 8, 3), output_scale=0.5)
    model = Model(tmp_path, card, "")

    def run(pixels: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        return np.array([1, 2], dtype=np.int8)

    logits, labels = split_logits(model, run, folder, "val")
    assert logits.shape == (count - 2, 2) and labels.tolist() == folder.labels[val[2:]].tolist()
    photos = [root / folder.files[position] for position in val]
    with pytest.raises(UserError, match=f"2 of {count} images in cars cannot be read"):
        unknown_logits(model, run, photos, "cars")


def test_large_logits_at_the_highest_temperature_are_no_even_probabilities() -> None:
    labels = np.arange(40) % 4
    logits = 5000.0 * (labels[:, None] == np.arange(4))
    fitted = fit(logits, labels, 0.9, None, 0)
    assert fitted.temperature <= 100
    assert report_of(logits, labels, fitted)["mean_probability"] > 0.9
    wrong = 0.01 * (labels[:, None] != np.arange(4))
    fitted = fit(wrong, labels, 0.9, None, 0)
    assert report_of(wrong, labels, fitted)["mean_probability"] < EVEN / 4
