"""`evaluate resplit` replaces nothing but its own links and table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytorch_side.evaluate.__main__ import main
from swin2mcu.common.dataset import scan_folder


def everything(folder: Path) -> dict[str, bytes]:
    """What is in a folder: the bytes of its files; b"" for links and folders."""
    return {
        str(path): path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("other", ["another data set", "its table", "a note", "another link"])
def test_resplit_writes_nothing_beside_other_files(
    make_folder: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    other: str,
) -> None:
    data, out = make_folder(classes=2, images=8), tmp_path / "out"
    table = "file,class,split\nrust/0.png,rust,train\n"
    out.mkdir()
    if other == "another data set":
        (out / "rust").mkdir()
        (out / "rust/0.png").write_bytes((data / "class_0/00.png").read_bytes())
    if other in ("another data set", "its table"):
        (out / "split.csv").write_text(table)
    elif other == "a note":
        (out / "note.txt").write_text("mine")
    else:
        (out / "class_1").symlink_to(data / "class_0")
    before = everything(out)
    assert main(["resplit", str(data), "--out", str(out)]) == 2
    assert "is in the way: name a new folder" in capsys.readouterr().err.splitlines()[-1]
    assert everything(out) == before


def test_resplit_writes_nothing_into_the_data_set(
    make_folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The links would be photos of more classes."""
    data = make_folder(classes=2, images=8)
    before = everything(data)
    (tmp_path / "link").symlink_to(data)
    for out in (data / "random", data / "class_0/random", tmp_path / "link/random"):
        assert main(["resplit", str(data), "--out", str(out)]) == 2
        assert "lies in the data set" in capsys.readouterr().err.splitlines()[-1]
    assert everything(data) == before


def test_resplit_again_deals_again(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    """Also after an interrupted one, and when a photo was removed."""
    data, out = make_folder(classes=2, images=8), tmp_path / "random"
    assert main(["resplit", str(data), "--out", str(out), "--seed", "1"]) == 0
    first = (out / "split.csv").read_text()
    (out / "class_1").unlink()
    (data / "class_0/00.png").unlink()
    assert main(["resplit", str(data), "--out", str(out), "--seed", "2"]) == 0
    assert (out / "split.csv").read_text() != first
    assert len(scan_folder(out).files) == 15
