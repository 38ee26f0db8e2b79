"""Which files an export writes, where, and that it writes all or none of them."""

from __future__ import annotations

import errno
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from exported import export

from swin2mcu.common.card import load_card, save_card
from swin2mcu.common.paths import ZOO
from swin2mcu.export_library import __main__ as export_library
from swin2mcu.export_library.__main__ import FORMS, main


@pytest.mark.parametrize("form", FORMS)
def test_the_zip_is_the_folder(form: str, model_folder: Path, tmp_path: Path) -> None:
    library = export(model_folder, form, tmp_path / "lib")
    with zipfile.ZipFile(tmp_path / "lib.zip") as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}
    files = {p: p.read_bytes() for p in library.rglob("*") if p.is_file()}
    assert packed == {
        f"swin2mcu/{path.relative_to(library).as_posix()}": data for path, data in files.items()
    }
    assert {"swin2mcu/LICENSE", "swin2mcu/README.md", "swin2mcu/src/swin2mcu.h"} <= set(packed)
    if form == "platformio":
        assert json.loads(packed["swin2mcu/library.json"])["name"] == "swin2mcu"


def test_bad_input_is_one_line(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").mkdir()
    assert main([str(model_folder), "--as", "cmake", "--out", str(tmp_path / "there")]) == 2
    assert "exists already" in capsys.readouterr().err
    for nameless in (".", "..", "/"):
        assert main([str(model_folder), "--as", "cmake", "--out", nameless]) == 2
        assert capsys.readouterr().err == f"error: --out {nameless}: name a new folder\n"
    foreign = tmp_path / "foreign"
    shutil.copytree(model_folder, foreign)
    save_card(replace(load_card(foreign / "card.json"), input_scale=0.0185), foreign / "card.json")
    assert main([str(foreign), "--as", "cmake", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_published_model_is_exported_into_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Publishing replaces an entry's folder with all that lies in it."""
    monkeypatch.chdir(tmp_path)
    before = sorted(path for path in (ZOO / "tiny-96").iterdir() if path.is_dir())
    assert main(["tiny-96", "--as", "cmake"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "tiny-96-library-cmake",
        "tiny-96-library-cmake.zip",
    ]
    assert main(["tiny-96", "--as", "arduino", "--out", str(ZOO / "tiny-96" / "lib")]) == 2
    assert "belongs to a published model" in capsys.readouterr().err
    assert sorted(path for path in (ZOO / "tiny-96").iterdir() if path.is_dir()) == before


@pytest.mark.parametrize("broken", ["write_zip", "write_folder"])
def test_the_folder_and_its_zip_are_written_or_neither(
    broken: str,
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(path: Path, files: dict[str, bytes]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    arguments = [str(model_folder), "--as", "cmake", "--out", str(tmp_path / "lib")]
    with monkeypatch.context() as patch:
        patch.setattr(f"swin2mcu.export_library.__main__.{broken}", full)
        assert main(arguments) == 2
        assert "No space left" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert main(arguments) == 0


def test_of_two_exports_at_once_one_says_that_the_other_was_first(
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [str(model_folder), "--as", "cmake", "--out", str(tmp_path / "lib")]
    sources = export_library.library_sources

    def meanwhile(*given: Any) -> Any:
        monkeypatch.setattr(export_library, "library_sources", sources)
        assert main(arguments) == 0
        return sources(*given)

    monkeypatch.setattr(export_library, "library_sources", meanwhile)
    assert main(arguments) == 2
    assert f"{tmp_path / 'lib'} exists already" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lib", "lib.zip"]


def test_a_name_that_is_no_valid_text_becomes_escapes(model_folder: Path, tmp_path: Path) -> None:
    """Such as that of a folder whose name has bytes of another encoding."""
    folder = tmp_path / "named"
    shutil.copytree(model_folder, folder)
    card = load_card(folder / "card.json")
    save_card(replace(card, name="leaf \udce9"), folder / "card.json")
    text = (export(folder, "cmake", tmp_path / "lib") / "src" / "library_data.c").read_text()
    assert '"leaf \\134udce9"' in text


def test_a_zip_of_the_users_is_not_overwritten(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "leaf.zip"
    own.write_text("photos")
    assert main([str(model_folder), "--as", "cmake", "--out", str(tmp_path / "leaf")]) == 2
    assert f"{own} exists already" in capsys.readouterr().err
    assert own.read_text() == "photos" and not (tmp_path / "leaf").exists()
