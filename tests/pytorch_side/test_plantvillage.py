"""The public release becomes our data set: names, sources and the blocked split, photo by photo."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest

from pytorch_side.data import plantvillage
from swin2mcu.common.dataset import scan_folder

REAL = Path(os.environ.get("SWIN2MCU_DATA", ""))  # anybody's photos, or that data set
FOLDERS = {  # two spellings found in the wild for each of ours
    "bacterial_spot": ("Tomato___Bacterial_spot", "Tomato_Bacterial_spot"),
    "early_blight": ("Tomato___Early_blight", "Tomato_Early_blight"),
    "healthy": ("Tomato___healthy", "Tomato_healthy"),
    "late_blight": ("Tomato___Late_blight", "Tomato_Late_blight"),
    "leaf_mold": ("Tomato___Leaf_Mold", "Tomato_Leaf_Mold"),
    "mosaic_virus": ("Tomato___Tomato_mosaic_virus", "Tomato__Tomato_mosaic_virus"),
    "septoria_leaf_spot": ("Tomato___Septoria_leaf_spot", "Tomato_Septoria_leaf_spot"),
    "spider_mites": (
        "Tomato___Spider_mites Two-spotted_spider_mite",
        "Tomato_Spider_mites_Two_spotted_spider_mite",
    ),
    "target_spot": ("Tomato___Target_Spot", "Tomato__Target_Spot"),
    "yellow_leaf_curl_virus": (
        "Tomato___Tomato_Yellow_Leaf_Curl_Virus",
        "Tomato__Tomato_YellowLeaf__Curl_Virus",
    ),
}
PHOTOS = {"Aa 1": "train", "Aa 2": "train", "Aa 3": "train", "Aa 7": "val", "Aa 9": "test"}


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A release of six small photos a class, one of them in no split, beside another crop."""
    root = tmp_path / "release" / "raw" / "color"
    rows = []
    for class_name, (folder, _) in FOLDERS.items():
        (root / folder).mkdir(parents=True)
        for origin, split in {**PHOTOS, "Aa 5": ""}.items():
            (root / folder / f"{class_name}___{origin}.JPG").write_bytes(
                f"{class_name} {origin}".encode()
            )
            if split:
                rows.append((class_name, f"{class_name}___{origin.replace(' ', '_')}.jpg", split))
    (root / "Potato___Early_blight").mkdir()
    packed = tmp_path / "split.json"
    packed.write_text(plantvillage.pack_split(rows))
    monkeypatch.setattr(plantvillage, "SPLIT_FILE", packed)
    return tmp_path / "release"


@pytest.mark.parametrize(("name", "spelling"), [(n, s) for n, two in FOLDERS.items() for s in two])
def test_folders_are_known_by_any_spelling(name: str, spelling: str) -> None:
    assert plantvillage.class_of_folder(spelling, sorted(FOLDERS)) == name


@pytest.mark.parametrize("other", ["Potato___Early_blight", "Pepper__bell___healthy", "healthy"])
def test_other_crops_are_not_taken(other: str) -> None:
    assert plantvillage.class_of_folder(other, sorted(FOLDERS)) is None


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("1-2___GCREC_Bact.Sp_3110.jpg", "GCREC_Bact"),
        ("1-2___GH_HL_Leaf_259.1.jpg", "GH_HL Leaf"),
        ("1-2___GHLB2ES_Leaf_69.1.jpg", "GHLB"),
        ("1-2___GHLB_PS_leaf_28_Day_12_.jpg", "GHLB_PS leaf"),
        ("1-2___2700323949_95aa2eaa01_o.jpg", ""),
    ],
)
def test_sources_are_read_from_names(name: str, source: str) -> None:
    assert plantvillage.source_of(name) == source


def test_release_becomes_a_data_set(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    counts = plantvillage.lay_out(release, out)
    assert counts == {
        "used": 50, "train": 30, "val": 10, "test": 10, "left_out": 10, "foreign": 0, "missing": 0,
    }  # fmt: skip
    folder = scan_folder(out)
    assert folder.classes == tuple(sorted(FOLDERS))
    assert set(folder.sources) == {"Aa"}
    for file, split in zip(folder.files, folder.splits, strict=True):
        origin = file.partition("___")[2].removesuffix(".jpg").replace("_", " ")
        assert PHOTOS[origin] == split
        assert (out / file).read_bytes() == f"{file.split('/')[0]} {origin}".encode()


def test_a_broken_run_goes_on(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    plantvillage.lay_out(release, out)
    kept, lost = out / "healthy/healthy___Aa_1.jpg", out / "healthy/healthy___Aa_2.jpg"
    before = kept.stat().st_mtime_ns
    lost.unlink()
    plantvillage.lay_out(release, out)
    assert kept.stat().st_mtime_ns == before
    assert lost.is_file()


def test_links_point_at_the_release(release: Path, tmp_path: Path) -> None:
    plantvillage.lay_out(release, tmp_path / "data", link=True)
    photo = tmp_path / "data/healthy/healthy___Aa_1.jpg"
    assert photo.is_symlink()
    assert photo.read_bytes().endswith(b" Aa 1")


def test_missing_and_foreign_files_are_counted_and_said(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = release / "raw/color/Tomato___healthy"
    (folder / "healthy___Aa 9.JPG").unlink()
    (folder / "Thumbs.db").write_bytes(b"")
    (folder / "healthy___Aa 1_flipLR.JPG").write_bytes(b"an augmented copy is not the photo")
    arguments = ["--from", str(release), "--out", str(tmp_path / "data"), "--json"]
    assert plantvillage.main(arguments) == 0
    said = capsys.readouterr()
    counts = json.loads(said.out)
    assert (counts["missing"], counts["foreign"], counts["left_out"]) == (1, 1, 11)
    assert "1 of the split are not in the release" in said.err


def test_bad_input_is_one_line(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def error(root: Path, out: Path = tmp_path / "data") -> str:
        assert plantvillage.main(["--from", str(root), "--out", str(out)]) == 2
        return capsys.readouterr().err

    assert "not a folder" in error(tmp_path / "nowhere")
    assert "holds no folder such as" in error(tmp_path / "release/raw/color/Potato___Early_blight")
    assert "contains the release" in error(release, release.parent)
    shutil.copytree(release / "raw/color", release / "raw/grayscale")
    assert "name one with --from" in error(release)
    shutil.rmtree(release / "raw/grayscale/Tomato___healthy")
    assert "no folder for healthy" in error(release / "raw/grayscale")


def test_committed_split_is_whole() -> None:
    split = plantvillage.read_split()
    parts = [part for photos in split.values() for part in photos.values()]
    assert sorted(split) == sorted(FOLDERS)
    assert [parts.count(part) for part in ("train", "val", "test")] == [12083, 1817, 1804]
    assert plantvillage.SPLIT_FILE.stat().st_size < 150_000


@pytest.mark.skipif(
    REAL.name != "plantvillage-tomato", reason="$SWIN2MCU_DATA is no folder plantvillage-tomato"
)
def test_committed_split_is_that_of_the_data_set() -> None:
    with (REAL / "split.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = [(row["class"], row["file"].partition("/")[2], row["split"]) for row in rows]
    assert plantvillage.pack_split(names) == plantvillage.SPLIT_FILE.read_text()
    assert [plantvillage.source_of(row["file"]) for row in rows] == [row["source"] for row in rows]
