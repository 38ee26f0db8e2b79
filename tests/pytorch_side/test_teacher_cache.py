"""Cached outputs are the teacher's own and belong to the pixels that are replayed."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pytorch_side.config import Config, with_values
from pytorch_side.data.cache import DecodedImages, decode_images
from pytorch_side.data.loader import TrainBatches, to_images
from pytorch_side.data.training_image import training_image
from pytorch_side.distillation import cache_identity, fill_cache, teacher_store
from pytorch_side.distillation.fill_cache import (
    load_teacher,
    make_teacher_cache,
    teacher_outputs,
)
from pytorch_side.distillation.packing import pack_logits, pack_maps
from pytorch_side.nets.models import make_teacher
from pytorch_side.nets.weights import read_weights, save_weights
from swin2mcu.common.card import SplitRule
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import scan_folder


@pytest.mark.parametrize(("mix", "passes"), [(0.0, 1), (0.5, 1), (0.0, 3)])
def test_replayed_pixels_and_answers_belong_together(
    cached: tuple[DecodedImages, Config], tmp_path: Path, mix: float, passes: int
) -> None:
    """Each replayed augmentation gives the cached outputs when it is made again, larger."""
    images, config = cached
    config = with_values(config, {"augment.mixup": mix, "optimizer.passes": passes})
    made = make_teacher_cache(images, config, tmp_path / "cache")
    teacher = load_teacher(config, images.folder.classes)
    sizes = (config.student.size, config.teacher.size)
    train = images.folder.indices("train")
    where = {file: i for i, file in enumerate(images.folder.files)}
    for epoch in (0, 1):
        seen = Counter[str]()
        for batch in TrainBatches(images, config, config.student.size, made).epoch(epoch):
            for i, file in enumerate(batch.files):
                row = made.row[file]
                number = epoch * passes + seen[file]
                seen[file] += 1
                seed = int(made.seeds[row, (number + row) % config.augment.cached])
                small, large = (
                    training_image(images, train, where[file], seed, config.augment, size).pixels
                    for size in sizes
                )
                assert torch.equal(batch.images[i], to_images(small[None])[0])
                logits, maps = teacher_outputs(teacher, large[None], config)
                assert np.allclose(batch.teacher_logits[i], logits[0], atol=1e-3)
                assert np.allclose(batch.teacher_maps[1][i] * 255, maps[1][0], atol=1.01)


def test_a_live_pass_through_the_same_storage_gives_the_same_bytes(
    cached: tuple[DecodedImages, Config], tmp_path: Path
) -> None:
    images, config = cached
    made = make_teacher_cache(images, config, tmp_path / "cache")
    teacher = load_teacher(config, images.folder.classes)
    positions = images.folder.indices("train")
    augmentations = np.array(
        [
            training_image(
                images, positions, int(p), int(s), config.augment, config.teacher.size
            ).pixels
            for p, row in zip(positions, made.seeds, strict=True)
            for s in row
        ]
    )
    logits, maps = [], []
    for start in range(0, len(augmentations), fill_cache.CPU_BATCH):
        answer = teacher_outputs(
            teacher, augmentations[start : start + fill_cache.CPU_BATCH], config
        )
        logits.append(answer[0])
        maps.append(answer[1][1])
    assert np.concatenate(logits).tobytes() == made.logits.tobytes()
    assert np.concatenate(maps).tobytes() == made.maps[1].tobytes()


def test_stored_maps_are_small_and_close() -> None:
    maps = torch.rand(4, 28, 28) * 0.01
    stored = pack_maps(maps, 14)
    assert stored.shape == (4, 14, 14)
    assert stored[0].nbytes <= 200
    pooled = torch.nn.functional.avg_pool2d(maps, 2)
    scale = pooled.flatten(1).amax(1)[:, None, None]
    assert np.abs(stored / 255 - (pooled / scale).numpy()).max() <= 0.5 / 255 + 1e-6
    assert pack_maps(torch.zeros(1, 2, 2), 14).max() == 0
    assert pack_logits(torch.tensor([[1e9, 0.125]])).tolist() == [[65504.0, 0.125]]


def test_a_killed_run_goes_on_where_it_stopped(
    cached: tuple[DecodedImages, Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, config = cached
    whole = make_teacher_cache(images, config, tmp_path / "whole")
    monkeypatch.setattr(fill_cache, "SHARD", 8)
    asked = []

    def die_later(*arguments: object) -> object:
        asked.append(True)
        if len(asked) > 6:
            raise RuntimeError("killed")
        return teacher_outputs(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(fill_cache, "teacher_outputs", die_later)
    with pytest.raises(RuntimeError, match="killed"):
        make_teacher_cache(images, config, tmp_path / "killed")
    with pytest.raises(UserError, match="unfinished"):
        fill_cache.open_teacher_cache(tmp_path / "killed", {})
    monkeypatch.setattr(fill_cache, "teacher_outputs", teacher_outputs)
    resumed = make_teacher_cache(images, config, tmp_path / "killed")
    assert (resumed.seeds == whole.seeds).all()
    assert np.allclose(resumed.logits, whole.logits, atol=1e-3)
    # A finished cache needs no teacher any more.
    monkeypatch.setattr(fill_cache, "load_teacher", None)
    make_teacher_cache(images, config, tmp_path / "killed")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"augment.cached": 2}, "other augmentations"),
        ({"augment.seed": 1}, "other augmentations"),
        ({"augment.color": 0.1}, "other augmentations"),
        ({"augment.mixup": 0.2}, "other augmentations"),
        ({"distillation.flips": 8}, "other flips of the teacher"),
        ({"teacher.input": "imagenet"}, "other teacher input"),
        ({"distillation.bf16": True}, "other teacher input"),
        ({"distillation.attention_map": "energy"}, "other map"),
        ({"distillation.attention_pairs": ((1, 0),)}, "other map"),
    ],
)
def test_a_cache_for_other_augmentations_or_maps_is_refused(
    cached: tuple[DecodedImages, Config],
    tmp_path: Path,
    change: dict[str, object],
    names: str,
) -> None:
    images, config = cached
    make_teacher_cache(images, config, tmp_path / "cache")
    with pytest.raises(UserError, match=names):
        make_teacher_cache(images, with_values(config, change), tmp_path / "cache")


def test_a_cache_of_averages_is_another_than_a_plain_one(
    cached: tuple[DecodedImages, Config], tmp_path: Path
) -> None:
    images, config = cached
    plain = make_teacher_cache(images, config, tmp_path / "plain")
    averaged = make_teacher_cache(
        images, with_values(config, {"distillation.flips": 8}), tmp_path / "averaged"
    )
    assert np.abs(plain.logits - averaged.logits).max() > 0.05 * np.abs(plain.logits).max()
    with pytest.raises(UserError, match="other flips of the teacher"):
        make_teacher_cache(images, config, tmp_path / "averaged")
    # Older caches lack these: they are of no flips and no mixup.
    about = json.loads((tmp_path / "plain/teacher_cache.json").read_text())
    del about["teacher views"], about["teacher input"], about["views"]["mix"]
    del about["pixels"], about["photos"]
    (tmp_path / "plain/teacher_cache.json").write_text(json.dumps(about))
    make_teacher_cache(images, config, tmp_path / "plain")
    with pytest.raises(UserError, match="other flips of the teacher"):
        make_teacher_cache(
            images, with_values(config, {"distillation.flips": 8}), tmp_path / "plain"
        )
    with pytest.raises(UserError, match="other augmentations"):
        make_teacher_cache(images, with_values(config, {"augment.mixup": 0.5}), tmp_path / "plain")


def test_a_cache_of_another_split_or_teacher_is_refused(
    cached: tuple[DecodedImages, Config], tmp_path: Path
) -> None:
    images, config = cached
    make_teacher_cache(images, config, tmp_path / "cache")
    other = decode_images(scan_folder(images.folder.root, SplitRule(seed=9)))
    with pytest.raises(UserError, match="other split"):
        make_teacher_cache(other, config, tmp_path / "cache")
    save_weights(make_teacher(config.teacher, 3), Path(config.teacher.init), {})
    with pytest.raises(UserError, match="other teacher"):
        make_teacher_cache(images, config, tmp_path / "cache")


def test_answers_about_other_pixels_are_refused(
    cached: tuple[DecodedImages, Config], tmp_path: Path
) -> None:
    """Other photos by the same names, or the same drawn by another version of a library."""
    images, config = cached
    make_teacher_cache(images, config, tmp_path / "cache")
    others = replace(images, data=255 - np.asarray(images.data))
    with pytest.raises(UserError, match="other pixels"):
        make_teacher_cache(others, config, tmp_path / "cache")


def test_answers_about_another_photo_of_the_same_name_are_refused(
    cached: tuple[DecodedImages, Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A single one, whose pixels are not among the few that are compared."""
    monkeypatch.setattr(cache_identity, "SAMPLED", 1)
    images, config = cached
    make_teacher_cache(images, config, tmp_path / "cache")
    root = images.folder.root
    photo = root / images.folder.files[images.folder.indices("train")[1]]
    Image.fromarray(255 - np.asarray(Image.open(photo))).save(photo)
    with pytest.raises(UserError, match="other photos"):
        make_teacher_cache(decode_images(scan_folder(root)), config, tmp_path / "cache")


def test_a_teacher_is_asked_as_it_was_trained(
    cached: tuple[DecodedImages, Config], tmp_path: Path
) -> None:
    _, config = cached
    path = tmp_path / "said.safetensors"
    for key, value, names in (
        ("input", "imagenet", r"teacher\.input half"),
        ("size", 64, "size 32"),
    ):
        save_weights(
            make_teacher(with_values(config, {"teacher.init": ""}).teacher, 3), path, {key: value}
        )
        with pytest.raises(UserError, match=names):
            load_teacher(with_values(config, {"teacher.init": str(path)}), ("x", "y", "z"))


def test_answers_that_are_not_finite_are_not_stored(
    cached: tuple[DecodedImages, Config], tmp_path: Path
) -> None:
    images, config = cached
    teacher = make_teacher(config.teacher, 3)
    with torch.no_grad():
        teacher.get_classifier().weight[1] = 3e38
    save_weights(teacher, tmp_path / "huge.safetensors", {})
    asked = with_values(config, {"teacher.init": str(tmp_path / "huge.safetensors")})
    with pytest.raises(
        UserError, match=r"huge\.safetensors answers with numbers that are not finite"
    ):
        make_teacher_cache(images, asked, tmp_path / "cache")
    assert not (tmp_path / "cache/teacher_cache.json").exists()


def test_where_no_call_reserves_a_files_bytes_they_are_written(
    cached: tuple[DecodedImages, Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, config = cached
    wanted = make_teacher_cache(images, config, tmp_path / "reserved")
    monkeypatch.delattr(os, "posix_fallocate")
    made = make_teacher_cache(images, config, tmp_path / "written")
    assert (made.seeds == wanted.seeds).all()
    assert (made.logits == wanted.logits).all()
    path = tmp_path / "written/logits.npy"
    assert path.stat().st_size == (tmp_path / "reserved/logits.npy").stat().st_size
    assert path.stat().st_blocks * 512 >= made.logits.nbytes


def test_a_disk_too_small_for_the_answers_is_found_before_the_first(
    cached: tuple[DecodedImages, Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sparse file would be made all the same, and end the process when it is filled."""
    images, config = cached

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(UserError, match=r"cannot write .*seeds\.npy: No space left"):
            make_teacher_cache(images, config, tmp_path / "k")
    assert len(make_teacher_cache(images, config, tmp_path / "k").row) == len(
        images.folder.indices("train")
    )


def test_a_teacher_of_other_classes_is_refused(
    cached: tuple[DecodedImages, Config], tmp_path: Path
) -> None:
    _, config = cached
    with pytest.raises(UserError, match=r"knows class_0, class_1, class_2,.*x, y, z"):
        load_teacher(config, ("x", "y", "z"))
    with pytest.raises(UserError, match=r"teacher\.init is empty"):
        make_teacher_cache(cached[0], with_values(config, {"teacher.init": ""}), tmp_path / "k")
    with pytest.raises(UserError, match=r"augment\.cached is 0"):
        make_teacher_cache(cached[0], with_values(config, {"augment.cached": 0}), tmp_path / "k")


@pytest.mark.parametrize("said", ["10", "leaves, roots", "[cut", "null"])
def test_a_teacher_that_names_no_classes_is_known_by_their_number(
    cached: tuple[DecodedImages, Config], tmp_path: Path, said: str
) -> None:
    _, config = cached
    path = tmp_path / "foreign.safetensors"
    save_weights(
        make_teacher(with_values(config, {"teacher.init": ""}).teacher, 3), path, {"classes": said}
    )
    foreign = with_values(config, {"teacher.init": str(path)})
    head = load_teacher(foreign, ("x", "y", "z")).get_classifier()
    assert torch.equal(head.bias, read_weights(path)[0]["head.fc.bias"])
    for others in (("x", "y"), ("w", "x", "y", "z")):
        with pytest.raises(UserError, match=rf"has no classifier for {len(others)} classes"):
            load_teacher(foreign, others)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_shape(path: Path) -> None:
    if path.suffix == ".npy":
        np.save(path, np.load(path)[:-1])
    else:
        path.write_text("{}")


@pytest.mark.parametrize("damage", [Path.unlink, cut, other_shape])
@pytest.mark.parametrize("name", ["files.json", "seeds.npy", "logits.npy", "maps-1.npy"])
@pytest.mark.parametrize("done", [True, False])
def test_a_damaged_cache_is_named(
    cached: tuple[DecodedImages, Config],
    tmp_path: Path,
    damage: Callable[[Path], None],
    name: str,
    done: bool,
) -> None:
    images, config = cached
    out = tmp_path / "cache"
    make_teacher_cache(images, config, out)
    if not done:
        about = json.loads((out / "teacher_cache.json").read_text())
        (out / "teacher_cache.json").write_text(json.dumps(about | {"done": 1}))
    damage(out / name)
    if name == "files.json" and not done:
        make_teacher_cache(images, config, out)  # known, and written anew
        return
    with pytest.raises(UserError, match=f"{name}.*remove"):
        make_teacher_cache(images, config, out)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"done": "all"}',
        '{"channels": {}}',
        *(f'{{"{key}": null}}' for key in teacher_store.KINDS),
        '{"views": {"seed": 0}}',
        '{"map": {"kind": "self"}}',
    ],
)
def test_a_description_that_is_none_is_named(
    cached: tuple[DecodedImages, Config], tmp_path: Path, text: str
) -> None:
    images, config = cached
    make_teacher_cache(images, config, tmp_path / "cache")
    path = tmp_path / "cache" / "teacher_cache.json"
    good = json.loads(path.read_text())
    if text.startswith('{"'):
        text = json.dumps(good | json.loads(text))
    path.write_text(text)
    with pytest.raises(UserError, match=r"teacher_cache\.json.*remove"):
        make_teacher_cache(images, config, tmp_path / "cache")
    with pytest.raises(UserError, match=r"teacher_cache\.json is damaged"):
        teacher_store.open_teacher_cache(tmp_path / "cache", {})
