"""Photos without a label join a distilled student's training, and never what it is scored on."""

from __future__ import annotations

import itertools
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from PIL import Image
from torch.nn import functional

from pytorch_side import speed
from pytorch_side.config import Config, with_values
from pytorch_side.data import cache, unlabeled
from pytorch_side.data.cache import decode_images
from pytorch_side.data.unlabeled import NO_LABEL, training_photos, with_unlabeled
from pytorch_side.distillation.fill_cache import make_teacher_cache
from pytorch_side.distillation.losses import cross_entropy, hybrid_loss
from pytorch_side.distillation.train_student import distill
from pytorch_side.nets.models import make_teacher
from pytorch_side.nets.weights import read_weights, save_weights
from swin2mcu.common.card import SplitRule
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import ImageFolder, scan_folder
from swin2mcu.common.pixels import open_upright
from swin2mcu.split import main as split_command


def smooth_photo(seed: int) -> Image.Image:
    """A photo that has a hash of its own: big random patches."""
    patches = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return Image.fromarray(patches).resize((64, 64), Image.Resampling.BICUBIC)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for label in range(2):
        for number in range(12):
            path = root / f"class_{label}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            smooth_photo(100 * label + number).save(path)
    return root


def test_a_turned_copy_of_a_scored_photo_is_left_out(data: Path) -> None:
    folder = scan_folder(data)
    place = data / "unlabeled"
    place.mkdir()
    for number in range(3):
        smooth_photo(900 + number).save(place / f"new {number}.png")
    for split in ("val", "test", "train"):
        file = folder.files[folder.indices(split)[0]]
        turned = Image.open(data / file).transpose(Image.Transpose.ROTATE_90)
        turned.resize((50, 50)).save(place / f"{split}.png")
    whole = with_unlabeled(scan_folder(data))
    added = whole.files[len(folder.files) :]
    assert added == tuple(f"unlabeled/{name}.png" for name in ("new 0", "new 1", "new 2", "train"))
    assert set(whole.labels[len(folder.files) :]) == {NO_LABEL}
    assert len(whole.indices("train")) == len(folder.indices("train")) + 4
    assert list(whole.indices("val")) == list(folder.indices("val"))
    assert with_unlabeled(scan_folder(data)).files == whole.files  # from what was kept


def test_likeness_is_measured_anew_after_an_update_of_the_decoder(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "unlabeled").mkdir()
    smooth_photo(900).save(data / "unlabeled" / "new.png")
    with_unlabeled(scan_folder(data))
    monkeypatch.setattr(PIL, "__version__", "99.0.0")
    with_unlabeled(scan_folder(data))
    assert len([*cache.decoded_cache_folder().glob("like-scored-*.json")]) == 2


def farms_of(root: Path, farms: Sequence[str], *kinds: str, seed: int = 0) -> Path:
    """Photos of farms, no two alike: twelve of each farm and kind."""
    seeds = itertools.count(seed)
    for farm in farms:
        for kind in kinds:
            (root / farm / kind).mkdir(parents=True, exist_ok=True)
            for number in range(12):
                smooth_photo(next(seeds)).save(root / farm / kind / f"{number}.png")
    return root


def joined(folder: ImageFolder) -> list[str]:
    """The photos without a label that join training."""
    return [*with_unlabeled(folder).files[len(folder.files) :]]


@pytest.mark.parametrize("table", [True, False])
def test_photos_of_the_held_farm_never_join(
    tmp_path: Path, table: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Labeled photos of the farm are the test, so those without a label would teach it."""
    farms = ("east", "north", "south", "west")
    kinds = ("blight", "healthy") if table else ("blight", "healthy", "unlabeled")
    data = root = farms_of(tmp_path / "farms", farms, *kinds)
    if table:  # most photos of train lose their labels
        data = root / "few.csv"
        few = ["--keep", "train=3", "--rest-unlabeled", "--out", str(data)]
        assert split_command([str(root), *few]) == 0
    for farm in farms:
        caplog.clear()
        folder = scan_folder(data, SplitRule(test_group=farm))
        with caplog.at_level(logging.INFO):
            files = joined(folder)
        held = [file for file in folder.unlabeled if file.startswith(f"{farm}/")]
        scored = {*np.array(folder.groups)[folder.splits != "train"]}
        assert files and not {file.split("/")[0] for file in files} & scored
        lost = [file for file in folder.unlabeled if file.split("/")[0] in scored]
        assert len(held) <= len(lost) == len(folder.unlabeled) - len(files)
        why = f"and {len(lost)} of a group that is in val or test and not in train"
        assert why in caplog.text
        whole = with_unlabeled(folder)
        assert whole.groups[len(folder.files) :] == tuple(file.split("/")[0] for file in files)


def test_photos_without_a_group_are_said_where_a_farm_is_held(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As in a table of an older version, which has no groups for photos without a label."""
    root = farms_of(
        tmp_path / "farms", ("east", "north", "south"), "blight", "healthy", "unlabeled"
    )
    assert split_command([str(root), "--write"]) == 0
    table = root / "split.csv"
    rows = [line.split(",") for line in table.read_text().splitlines()]
    group = rows[0].index("group")
    for row in rows[1:]:
        row[group] = "" if row[-1] == "unlabeled" or "unlabeled" in row else row[group]
    table.write_text("".join(",".join(row) + "\n" for row in rows))
    assert len(joined(scan_folder(root, SplitRule(test_group="south")))) == 36
    assert "36 photos without a label have no group: if they are of north or south" in caplog.text
    caplog.clear()
    joined(replace(scan_folder(root), splits=np.array(["train"] * 72)))  # none is held
    assert "have no group" not in caplog.text


def test_photos_of_farms_that_train_knows_join(tmp_path: Path) -> None:
    """Of two farms photos are drawn one by one: both are in all splits, and none is unseen."""
    root = farms_of(tmp_path / "farms", ("plot A", "plot B"), "blight", "healthy", "unlabeled")
    assert len(joined(scan_folder(root))) == 24
    held = joined(scan_folder(root, SplitRule(test_group="plot A")))
    assert len(held) == 12 and {file.split("/")[0] for file in held} == {"plot B"}


def test_where_all_are_of_the_held_farm_none_joins(tmp_path: Path) -> None:
    root = farms_of(tmp_path / "farms", ("east", "north", "south"), "blight", "healthy")
    farms_of(root, ["south"], "unlabeled", seed=900)
    assert joined(scan_folder(root, SplitRule(test_group="south"))) == []
    assert len(joined(scan_folder(root, SplitRule(test_group="north")))) == 12


def test_a_table_written_beside_the_photos_leaves_the_search_for_duplicates_valid(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes minutes on a large folder."""
    (data / "unlabeled").mkdir()
    smooth_photo(900).save(data / "unlabeled" / "x.png")
    folder = scan_folder(data)
    whole = with_unlabeled(folder)
    assert split_command([str(data), "--out", str(data / "few.csv")]) == 0
    monkeypatch.setattr(unlabeled, "open_upright", None)  # from what was kept
    assert with_unlabeled(folder).files == whole.files


def test_a_photo_that_could_not_be_read_once_is_tried_again(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share that was away, or a decoder that was not installed: the file does not change."""
    place = data / "unlabeled"
    place.mkdir()
    for number in range(25):
        smooth_photo(900 + number).save(place / f"{number:02}.png")
    folder = scan_folder(data)
    scored = folder.files[folder.indices("val")[0]]
    shutil.copy(data / scored, place / "24.png")  # a copy, which must not be trained on
    trained = folder.files[folder.indices("train")[0]]
    lost = {data / scored, data / trained, place / "00.png"}

    def unreadable(path: Path) -> Image.Image:
        if path in lost:
            raise UserError(f"cannot read {path}")
        return open_upright(path)

    for module in (cache, unlabeled):
        monkeypatch.setattr(module, "open_upright", unreadable)
    first = with_unlabeled(folder)
    assert "unlabeled/00.png" not in first.files and "unlabeled/24.png" in first.files
    assert decode_images(first).corrupt == (trained,)
    assert decode_images(first).corrupt == (trained,)
    lost.clear()
    whole = with_unlabeled(folder)
    assert "unlabeled/00.png" in whole.files and "unlabeled/24.png" not in whole.files
    assert decode_images(first).corrupt == ()
    for kept in cache.decoded_cache_folder().glob("like-scored-*.json"):
        kept.write_text("[]")  # damaged
    assert with_unlabeled(folder).files == whole.files
    monkeypatch.setattr(cache, "open_upright", None)  # from what was kept
    monkeypatch.setattr(unlabeled, "open_upright", None)
    assert with_unlabeled(folder).files == whole.files
    assert len(decode_images(first).folder.files) == len(first.files)


def test_photos_of_another_folder_are_found_from_the_root(data: Path, tmp_path: Path) -> None:
    more = tmp_path / "more" / "deep"
    more.mkdir(parents=True)
    smooth_photo(900).save(more / "x.png")
    folder = scan_folder(data)
    whole = with_unlabeled(folder, str(tmp_path / "more"))
    assert whole.files[-1] == "../more/deep/x.png"
    assert (whole.root / whole.files[-1]).is_file()


def test_folders_that_are_no_unlabeled_photos_are_one_line(data: Path, tmp_path: Path) -> None:
    folder = scan_folder(data)
    with pytest.raises(UserError, match="is not a folder: name one that holds photos"):
        with_unlabeled(folder, str(tmp_path / "gone"))
    with pytest.raises(UserError, match="holds the labeled photos too"):
        with_unlabeled(folder, str(data))
    with pytest.raises(UserError, match="holds photos with a label, class_0"):
        with_unlabeled(folder, str(data / "class_0"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no image: expected .*/empty/<image> with"):
        with_unlabeled(folder, str(tmp_path / "empty"))


def test_an_image_without_a_label_adds_nothing_to_the_sum() -> None:
    logits = torch.randn(4, 3)
    labels = torch.tensor([0, NO_LABEL, 2, NO_LABEL])
    alone = functional.cross_entropy(logits[[0, 2]], labels[[0, 2]], label_smoothing=0.1)
    assert torch.allclose(cross_entropy(logits, labels, 0.1), alone / 2)
    none = torch.full((4,), NO_LABEL)
    assert cross_entropy(logits, none, 0.1) == 0
    whole = torch.tensor([0, 1, 2, 0])
    assert torch.equal(
        cross_entropy(logits, whole, 0.1),
        functional.cross_entropy(logits, whole, label_smoothing=0.1),
    )


def test_what_needs_labels_or_a_teacher_is_refused(
    data: Path, tiny_config: Callable[..., Config]
) -> None:
    (data / "unlabeled").mkdir()
    smooth_photo(900).save(data / "unlabeled" / "x.png")
    folder = scan_folder(data)
    assert training_photos(folder, tiny_config()) is folder  # labels alone
    with pytest.raises(UserError, match="need a teacher"):
        training_photos(folder, tiny_config({"distillation.unlabeled": "more"}))
    for key, value in {"augment.mixup": 0.5, "distillation.logit_loss": "dkd"}.items():
        with pytest.raises(UserError, match="have no share of a class"):
            training_photos(folder, tiny_config({"distillation.alpha": 0.5, key: value}))


def test_a_student_learns_from_them(
    data: Path, tiny_config: Callable[..., Config], tmp_path: Path
) -> None:
    """Other photos without a label, other weights; the teacher's answers for all are stored."""
    config = tiny_config({"distillation.alpha": 0.5, "optimizer.epochs": 1})
    path = tmp_path / "teacher.safetensors"
    save_weights(make_teacher(config.teacher, 2), path, {"classes": ["class_0", "class_1"]})
    config = with_values(config, {"teacher.init": str(path)})
    weights = []
    for seed in (900, 950):
        shutil.rmtree(data / "unlabeled", ignore_errors=True)
        (data / "unlabeled").mkdir()
        for number in range(6):
            smooth_photo(seed + number).save(data / "unlabeled" / f"{number}.png")
        run = tmp_path / f"run{seed}"
        distill(config, scan_folder(data), run)
        files = (run / "teacher_cache" / "files.json").read_text()
        assert files.count("unlabeled/") == 6
        weights.append(read_weights(run / "student.safetensors")[0])
    assert any(not torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_epochs_with_them_are_timed(
    data: Path,
    tiny_config: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (data / "unlabeled").mkdir()
    smooth_photo(900).save(data / "unlabeled" / "x.png")
    path = tmp_path / "teacher.safetensors"
    config = tiny_config({"distillation.alpha": 0.5})
    save_weights(make_teacher(config.teacher, 2), path, {"classes": ["class_0", "class_1"]})
    named = {"teacher.init": str(path), "distillation.cache": str(tmp_path / "cache")}
    config = with_values(config, named)
    images = decode_images(training_photos(scan_folder(data), config))
    make_teacher_cache(images, config, tmp_path / "cache")
    monkeypatch.setattr(speed, "load_config", lambda *_: config)
    assert speed.main(["--cached", "--data", str(data), "--steps", "1"]) == 0
    assert "an epoch on cached teacher outputs costs" in capsys.readouterr().out


def test_the_gradient_comes_from_the_teacher_alone(tiny_config: Callable[..., Config]) -> None:
    settings = tiny_config({"distillation.alpha": 0.4}).distillation
    logits = torch.randn(2, 3, requires_grad=True)
    teacher = torch.randn(2, 3)
    losses = hybrid_loss(logits, torch.tensor([NO_LABEL, NO_LABEL]), settings, 0.1, teacher)
    losses["loss"].backward()
    assert losses["cross_entropy"] == 0 and logits.grad is not None
    assert (logits.grad.abs() > 0).all()
