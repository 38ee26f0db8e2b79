"""The data audits find what was planted: duplicates, tell-tale borders, other splits."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytorch_side.data.synthetic.__main__ import leaf_photo, write_leaves
from pytorch_side.evaluate import audit
from pytorch_side.evaluate import background_probe as probe
from pytorch_side.evaluate.__main__ import audit_report, main, probe_report
from swin2mcu.common.dataset import random_split, scan_folder
from swin2mcu.common.dataset.near_duplicates import GRID, cosine_matrix, hash_bits, turned


def test_turned_hashes_are_those_of_turned_photos() -> None:
    photo = np.asarray(leaf_photo("late_blight", 1, size=GRID).convert("L"), dtype=np.float32)
    transform = cosine_matrix()
    predicted = {hash_bits(c).tobytes() for c in turned((transform @ photo @ transform.T)[None])}
    assert len(predicted) == 8
    for quarter in range(4):
        for view in (np.rot90(photo, quarter), np.rot90(photo, quarter)[:, ::-1]):
            assert hash_bits((transform @ view @ transform.T)[None]).tobytes() in predicted


def test_audit_finds_planted_duplicates_and_nothing_else(leaves: Path) -> None:
    clean = scan_folder(leaves)
    assert {split: len(clean.indices(split)) for split in ("train", "val", "test")} == {
        "train": 12, "val": 4, "test": 4,
    }  # fmt: skip
    for found in audit.audit(clean, audit.fingerprint(clean)):
        assert (found["exact"], found["near"]) == (0, 0)
    # The very same pixels in another file, and a leaf photographed again: turned, darker, smaller.
    Image.open(leaves / "healthy/1.png").save(leaves / "healthy/8.png", compress_level=1)
    again = Image.open(leaves / "late_blight/2.png").transpose(Image.Transpose.ROTATE_90)
    again = again.point(lambda value: int(0.8 * value)).resize((80, 80)).resize((96, 96))
    again.save(leaves / "late_blight/9.png")
    folder = scan_folder(leaves)
    by_pair = {(t["first"], t["second"]): t for t in audit.audit(folder, audit.fingerprint(folder))}
    found = by_pair["test", "train"]
    assert (found["photos"], found["exact"], found["near"]) == (4, 1, 2)
    assert [pair[:2] for pair in found["closest"]] == [
        ("healthy/8.png", "healthy/1.png"),
        ("late_blight/9.png", "late_blight/2.png"),
    ]
    assert found["closest"][0][2] == 0
    assert by_pair["test", "val"]["near"] == by_pair["val", "train"]["near"] == 0


def test_the_random_columns_are_of_the_random_split(
    leaves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The given split beside itself would say that a random one gives nothing away."""
    Image.open(leaves / "healthy/1.png").save(leaves / "healthy/8.png", compress_level=1)
    given, dealt = scan_folder(leaves), random_split(scan_folder(leaves), seed=4)
    report, prints = audit_report(leaves, seed=4), audit.fingerprint(given)
    assert report["given"] == audit.audit(given, prints)
    assert report["random"] == audit.audit(dealt, prints) != report["given"]

    def spy(data: dict[str, probe.Split], region: str, seed: int) -> tuple[str, int, list[int]]:
        return region, seed, [int(pixels.sum()) for pixels, _ in data.values()]

    monkeypatch.setattr(probe, "probe", spy)
    found = probe_report(leaves, seed=4)
    for name, folder in (("given", given), ("random", dealt)):
        assert found[name] == [spy(probe.read_pixels(folder), one, 4) for one in probe.REGIONS]
    assert found["random"] != found["given"]


def test_audit_leaves_corrupt_photos_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_leaves(tmp_path / "data", per_class=10, size=48)
    (tmp_path / "data/healthy/healthy_00005.jpg").write_bytes(b"no photo")
    folder = scan_folder(tmp_path / "data")
    prints = audit.fingerprint(folder)
    assert prints.digests.count("") == 1
    assert "left out: cannot read image" in capsys.readouterr().err
    assert all(t["exact"] == 0 for t in audit.audit(folder, prints))


def planted(tell_tale: bool) -> dict[str, probe.Split]:
    """Noise photos of three classes; with `tell_tale` the upper edge is brighter in class 1."""
    rng = np.random.default_rng(0)
    data = {}
    for name, count in (("train", 600), ("val", 150), ("test", 300)):
        labels = np.arange(count) % 3
        photos = rng.integers(0, 256, (count, 24, 24, 3), dtype=np.uint8)
        if tell_tale:
            photos[:, 0] = photos[:, 0] // 2 + 120 * (labels == 1)[:, None, None].astype(np.uint8)
        data[name] = (photos, labels.astype(np.int64))
    return data


def test_a_probe_that_is_always_right_is_not_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_fit", lambda *_: (1.0, 1.0, 1.0))
    found = probe.probe(planted(tell_tale=True), "frame")
    assert found["test_top1"] == 1.0 and found["test_standard_error"] > 0


@pytest.mark.parametrize("region", ["frame", "eight pixels"])
def test_probe_sees_what_the_border_gives_away(region: str) -> None:
    nothing, something = (probe.probe(planted(tell_tale), region) for tell_tale in (False, True))
    assert nothing["test_top1"] < 0.45
    assert nothing["majority_top1"] == pytest.approx(1 / 3, abs=1e-4)
    # One class of three is given away, the other two stay a guess: 2/3 at best.
    assert something["test_top1"] > 0.58


def test_test_has_no_say_in_the_probes_fit() -> None:
    """Other labels of test change its accuracy, never the decay or the epoch that val chose."""
    data, chosen, scores = planted(False), set(), set()
    pixels, labels = data["test"]
    for turn in range(6):
        told = np.random.default_rng(turn).permutation(labels)
        found = probe.probe(data | {"test": (pixels, told)}, "eight pixels")
        chosen.add((found["val_top1"], found["train_top1"]))
        scores.add(found["test_top1"])
    assert len(chosen) == 1 and len(scores) > 1


def test_probe_does_not_see_the_leaf() -> None:
    photos = np.zeros((2, 24, 24, 3), dtype=np.uint8)
    photos[:, probe.FRAME : -probe.FRAME, probe.FRAME : -probe.FRAME] = 255
    assert probe.frame_pixels(photos).sum() == 0
    assert probe.eight_pixels(photos).sum() == 0
    assert probe.eight_pixels(photos).shape == (2, 24)


def test_resplit_keeps_counts_and_writes_links(leaves: Path, tmp_path: Path) -> None:
    folder = scan_folder(leaves)
    assert main(["resplit", str(leaves), "--out", str(tmp_path / "random"), "--seed", "1"]) == 0
    dealt = scan_folder(tmp_path / "random")
    assert dealt.files == folder.files
    assert list(dealt.splits) != list(folder.splits)
    assert list(dealt.splits) == list(random_split(folder, 1).splits)
    for label in range(2):
        mine, theirs = (sorted(f.splits[f.labels == label]) for f in (folder, dealt))
        assert mine == theirs
    assert (tmp_path / "random/healthy").is_symlink()


def test_resplit_takes_the_photos_without_a_label_along(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    data = make_folder(classes=2, images=8)
    make_folder(classes=1, images=2, name="images/unlabeled")
    assert main(["resplit", str(data), "--out", str(tmp_path / "random")]) == 0
    dealt = scan_folder(tmp_path / "random")
    assert dealt.unlabeled == scan_folder(data).unlabeled and len(dealt.unlabeled) == 2


def test_the_audit_says_what_roboflow_copied(
    make_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """One photo's copies lie in train alone, another's in train and valid."""
    plain = make_folder(classes=2, images=8)
    root = plain.parent / "roboflow"
    names = ["valid/{}/other", *["train/{}/leaf"] * 3, "train/{}/other", *["test/{}/last"] * 3]
    for label in ("class_0", "class_1"):
        for number, name in enumerate(names):
            path = root / f"{name.format(label)}_jpg.rf.{number:032x}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((plain / label / f"{number:02}.png").read_bytes())
    assert main(["audit", str(root), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["copies"], report["originals"], report["torn"]) == (16, 3, 1)
    assert main(["audit", str(root)]) == 0
    said = capsys.readouterr().out
    assert "16 are Roboflow copies of 3 photos" in said and "1 photos lie on both" in said
    assert main(["audit", str(plain)]) == 0
    assert "Roboflow" not in capsys.readouterr().out
