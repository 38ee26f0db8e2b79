"""What the host tools score is what training kept for test, however the folder was cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_run import make_images

from host_tools.inputs import split_images
from pytorch_side.command import images_of
from pytorch_side.config import Config, split_rule, with_values
from swin2mcu.common.card import Card
from swin2mcu.common.cli import UserError


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        with_values(Config(), {"data.split_seed": 4, "data.test_share": 0.3}),
        with_values(Config(), {"data.split": "random", "data.split_seed": 1}),
    ],
    ids=["given", "drawn", "random"],
)
def test_no_image_of_training_is_scored(tmp_path: Path, config: Config) -> None:
    root = make_images(tmp_path / "leaves", 20, ("a", "b"))
    if config.data.split == "given":  # a folder of photos as people have it
        (root / "split.csv").unlink()
    folder = images_of(config, root)
    card = Card("run", "net", folder.classes, (8, 8, 3), split=split_rule(config))
    scored = {path.relative_to(root).as_posix() for path, _ in split_images(root, card)}
    assert scored == {folder.files[i] for i in folder.indices("test")}
    if config != Config():  # the default's rule would show it images that it was trained on
        other = Card("run", "net", folder.classes, (8, 8, 3))
        wrong = {path.relative_to(root).as_posix() for path, _ in split_images(root, other)}
        assert wrong & {folder.files[i] for i in folder.indices("train")}


def test_a_folder_of_other_classes_is_named(tmp_path: Path) -> None:
    card = Card("run", "net", ("a", "b"), (8, 8, 3))
    with pytest.raises(UserError, match="run knows a, b"):
        split_images(make_images(tmp_path / "leaves"), card)
