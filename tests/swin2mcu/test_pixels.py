"""One function turns any image file into the network's pixels."""

import importlib.util
import io
import os
import tomllib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pytorch_side.data.cache import decode_images
from pytorch_side.nets.packaged import PACKAGES, VERSION
from swin2mcu.common import pixels as pixels_module
from swin2mcu.common.card import Card, SplitRule, load_card, save_card
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import load_split_pixels, scan_folder
from swin2mcu.common.paths import ROOT
from swin2mcu.common.pixels import (
    HEIC_PLUGIN,
    drawable,
    formats,
    load_pixels,
    open_upright,
    readable_suffixes,
    resize,
    to_float,
    to_int8,
)


def test_int8_and_float_inputs_are_the_same_real_values() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    assert to_int8(pixels).dtype == np.int8
    np.testing.assert_array_equal(to_int8(pixels).astype(int), pixels.astype(int) - 128)
    np.testing.assert_array_equal(to_int8(pixels) / np.float32(128), to_float(pixels))


def test_resize_is_one_antialiased_step(tmp_path: Path) -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = (
        255  # the finest pattern there is: without antialiasing it turns black or white
    )
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    pixels = load_pixels(tmp_path / "stripes.png", 8, 8)
    assert pixels.shape == (8, 8, 3)
    assert 120 <= pixels[1:-1, 1:-1].min() <= pixels[1:-1, 1:-1].max() <= 135


def test_an_image_of_the_right_size_is_left_alone(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (12, 10, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    np.testing.assert_array_equal(load_pixels(tmp_path / "noise.png", 12, 10), noise)


def test_exif_orientation_is_turned_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (20, 10), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate 90 degrees clockwise to view"
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert open_upright(tmp_path / "turned.jpg").size == (10, 20)


@pytest.mark.parametrize(
    ("mode", "color", "suffix", "expected"),
    [
        ("L", 200, "png", (200, 200, 200)),
        ("I;16", 200 << 8, "png", (200, 200, 200)),
        ("RGBA", (200, 100, 0, 255), "png", (200, 100, 0)),
        ("RGBA", (200, 100, 0, 0), "png", (255, 255, 255)),
        ("P", 7, "png", None),
        ("CMYK", (0, 0, 0, 255), "tif", (0, 0, 0)),
        ("1", 1, "png", (255, 255, 255)),
    ],
)
def test_every_mode_becomes_rgb(
    tmp_path: Path, mode: str, color: object, suffix: str, expected: tuple[int, ...] | None
) -> None:
    path = tmp_path / f"image.{suffix}"
    Image.new(mode, (4, 4), color).save(path)  # type: ignore[arg-type]
    pixels = load_pixels(path, 4, 4)
    assert pixels.shape == (4, 4, 3) and pixels.dtype == np.uint8
    if expected is not None:
        assert tuple(pixels[0, 0].tolist()) == expected


def test_a_corrupt_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "leaf.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0 not a photo")
    with pytest.raises(UserError, match=r"leaf\.jpg"):
        load_pixels(path, 8, 8)
    whole = tmp_path / "whole.jpg"
    Image.effect_noise((64, 64), 50).convert("RGB").save(whole)
    path.write_bytes(whole.read_bytes()[:-400])
    with pytest.raises(UserError, match=r"leaf\.jpg"):
        load_pixels(path, 8, 8)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("rest", ["shorter", "filled with zeros", "closed"])
def test_a_photo_that_is_cut_short_is_never_half_gray(
    tmp_path: Path, progressive: bool, kept: float, rest: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3)).astype(np.uint8)
    path, preview = tmp_path / "leaf.jpg", io.BytesIO()
    Image.fromarray(noise[:30, :30]).save(preview, "JPEG")
    # As a camera writes it, with a smaller picture in front that has an end of its own.
    about = b"Exif\0\0" + preview.getvalue()
    Image.fromarray(noise).save(path, progressive=progressive, exif=about)
    whole = path.read_bytes()
    assert open_upright(path).size == (300, 300)
    path.write_bytes(whole + b"a film of three seconds \xff\xda")
    assert open_upright(path).size == (300, 300)
    cut = whole[: int(len(whole) * kept)]
    if rest == "closed" and progressive:
        return  # all of the picture, with less detail
    more = {"closed": b"\xff\xd9", "filled with zeros": bytes(len(whole) - len(cut))}
    path.write_bytes(cut + more.get(rest, b""))
    with pytest.raises(UserError, match=r"leaf\.jpg: image file is truncated"):
        open_upright(path)
    with path.open("rb") as stream, pytest.raises(UserError, match="truncated"):
        open_upright(stream, str(path))


@pytest.mark.parametrize("form", sorted({"WEBP", "AVIF", "HEIF"} & set(formats())))
@pytest.mark.parametrize("lossless", [False, True])
def test_zeros_in_place_of_a_photos_end_are_not_the_photo(form: str, lossless: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3)).astype(np.uint8)
    about, whole = Image.Exif(), io.BytesIO()
    about[0x010E] = "a leaf" + 4096 * "\0"  # a camera's notes may end with zeros
    quality = {"quality": -1 if form == "HEIF" else 100} if lossless else {}
    named = {"lossless": lossless} if form == "WEBP" else quality
    Image.fromarray(noise).save(whole, form, exif=about, **named)
    data = whole.getvalue()
    assert open_upright(io.BytesIO(data)).size == (90, 90)
    assert open_upright(io.BytesIO(data + bytes(4096))).size == (90, 90), "beyond the picture"
    Image.fromarray(noise).save(plain := io.BytesIO(), form, **named)
    data = plain.getvalue()
    assert open_upright(plain).size == (90, 90)
    for kept in (0.3, 0.6, 0.9, 0.98):
        cut = data[: int(len(data) * kept)]
        with pytest.raises(UserError, match="cannot read image leaf"):
            open_upright(io.BytesIO(cut + bytes(len(data) - len(cut))), "leaf")


@pytest.mark.parametrize("options", [{}, {"lossless": True, "quality": 0, "method": 0}])
def test_a_webp_on_a_plain_background_ends_with_zeros_and_is_a_photo(
    options: dict[str, Any],
) -> None:
    photo, whole = np.full((700, 900, 3), 128, np.uint8), io.BytesIO()
    photo[:70] = np.random.default_rng(0).integers(0, 256, (70, 900, 3))
    Image.fromarray(photo).save(whole, "WEBP", **options)
    data = whole.getvalue()
    assert data.endswith(bytes(65))
    assert open_upright(whole).size == (900, 700)
    with pytest.raises(UserError, match="truncated"):
        open_upright(io.BytesIO(data[: len(data) // 4] + bytes(len(data) - len(data) // 4)))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("restarts", [0, 3])
def test_a_gray_corner_is_a_photo_unless_its_data_is_missing(
    tmp_path: Path, mode: str, restarts: int
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (120, 200), np.uint8)
    noise[60:] = 128
    path = tmp_path / "leaf.jpg"
    photo = Image.merge(mode, [Image.fromarray(noise)] * len(mode))
    photo.save(path, restart_marker_blocks=restarts)
    assert open_upright(path).size == (200, 120)
    whole = path.read_bytes()
    for kept in range(3, 9):
        path.write_bytes(whole[: len(whole) * kept // 10] + b"\xff\xd9")
        with pytest.raises(UserError, match="truncated"):
            open_upright(path)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it skips
@pytest.mark.parametrize("form", sorted(set(formats()) - {"HEIF"}))
def test_a_damaged_file_of_any_format_is_one_line(form: str) -> None:
    """Its decoder may raise anything; a folder with one such photo is still read."""
    noise = np.random.default_rng(7)
    picture, whole = Image.fromarray(noise.integers(0, 256, (12, 16, 3), np.uint8)), io.BytesIO()
    picture.save(whole, form)
    refused = 0
    for number in range(250):
        data = np.frombuffer(whole.getvalue(), np.uint8).copy()
        near = 200 if number % 2 else len(data)  # half of the damage is in the header
        for place in noise.integers(0, min(near, len(data)), 4):
            data[place] = noise.choice([0, 1, 127, 255, noise.integers(256)])
        try:
            open_upright(io.BytesIO(data.tobytes()), "leaf")
        except UserError as error:
            refused += 1
            assert str(error).startswith("cannot read image leaf: ")
    assert refused > 20, "damage that shows"


def test_webp_named_jpg_is_a_photo_and_postscript_is_not(tmp_path: Path) -> None:
    path = tmp_path / "leaf.jpg"
    Image.new("RGB", (8, 8), (9, 200, 9)).save(path, "WEBP", lossless=True)
    assert tuple(load_pixels(path, 4, 4)[0, 0].tolist()) == (9, 200, 9)
    Image.new("RGB", (8, 8)).save(path, "EPS")  # Pillow would start Ghostscript on it
    with pytest.raises(UserError, match=r"leaf\.jpg: no picture in JPEG, PNG"):
        load_pixels(path, 4, 4)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_a_file_of_many_pictures_is_refused(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), (40 * n, 0, 0)) for n in range(3)]
    path = tmp_path / f"leaf.{kind.lower()}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(UserError, match=r"leaf\..*: it holds 3 pictures, not one"):
        open_upright(path)
    frames[0].save(path)
    assert open_upright(path).size == (8, 8)


@pytest.mark.parametrize(
    ("mode", "value", "words"),
    [("F", 0.5, "float"), ("I", 70000, "32 bits"), ("I;16", 4000, "at most 4000")],
)
def test_measurements_are_no_photos(tmp_path: Path, mode: str, value: float, words: str) -> None:
    Image.new(mode, (8, 8), value).save(tmp_path / "depth.tif")
    with pytest.raises(UserError, match=rf"depth\.tif: .*{words}"):
        open_upright(tmp_path / "depth.tif")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_colors_of_12_bits_in_16_are_no_photo_either(
    tmp_path: Path, suffix: str, channels: int
) -> None:
    """Pillow keeps the upper 8 bits of 16: such a photo would be almost black."""
    path = tmp_path / f"raw{suffix}"
    values = np.random.default_rng(0).integers(0, 4096, (8, 8, channels)).astype(np.uint16)
    values[..., 3:] = 65535  # opaque
    cv2.imwrite(str(path), values)
    with pytest.raises(UserError, match=rf"raw\{suffix}: .*16-bit pixels of at most 4095"):
        open_upright(path)
    for bright in (values * 0, values * 16):
        bright[..., 3:] = 65535
        cv2.imwrite(str(path), bright)
        assert open_upright(path).size == (8, 8), "black, or scaled"


def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(UserError, match="not a plain file"):
        open_upright(tmp_path / "pipe.jpg")


def test_a_photo_comes_from_a_stream_too(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (20, 10), (1, 2, 3)).save(stream, "PNG")
    assert open_upright(stream, "standard input").size == (20, 10)
    with pytest.raises(UserError, match="standard input"):
        open_upright(io.BytesIO(b"no photo"), "standard input")


def test_avif_is_read_and_heic_says_what_to_install(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (0, 128, 0)).save(tmp_path / "leaf.avif")
    assert open_upright(tmp_path / "leaf.avif").size == (16, 16)
    assert ".avif" in readable_suffixes()
    plugin = importlib.util.find_spec("pillow_heif") is not None
    assert (".heic" in readable_suffixes()) is plugin


def test_a_heic_photo_is_read_as_any_other(tmp_path: Path) -> None:
    """Its file is written by the plugin, which the dev extra installs."""
    from pillow_heif import from_pillow

    formats()  # registers the reader
    leaf = Image.new("RGB", (64, 48), (30, 140, 60))
    from_pillow(leaf).save(tmp_path / "leaf.heic", quality=95)
    read = open_upright(tmp_path / "leaf.heic")
    assert read.size == (64, 48)
    assert np.abs(np.asarray(read).astype(int) - (30, 140, 60)).max() <= 6


def test_without_the_plugin_a_heic_photo_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels_module, "formats", lambda: ("JPEG", "PNG"))
    for name in ("leaf.heic", "LEAF.HEIF"):
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic")
        with pytest.raises(UserError, match=rf"{name}.*; pip install pillow-heif==[\d.]+ reads"):
            open_upright(tmp_path / name)
    (tmp_path / "leaf.jpg").write_bytes(b"no photo")
    with pytest.raises(UserError) as error:
        open_upright(tmp_path / "leaf.jpg")
    assert "pip" not in str(error.value)


def test_packages_to_install_are_the_pinned_ones() -> None:
    """They are named themselves: in a registry, `swin2mcu` may be another's package."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert extras["heic"] == [HEIC_PLUGIN]
    assert [f"{name}=={VERSION}" for name in PACKAGES] == extras["stems"]
    for folder in ("docs", "configs", "swin2mcu", "pytorch_side", "host_tools", "tinyml"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".md", ".toml"):
                assert "install 'swin2mcu[" not in path.read_text(), path


def test_a_center_crop_is_the_centered_square_in_every_reader(tmp_path: Path) -> None:
    """Training's cache, scoring and a card's photos take the same part of a wide photo."""
    noise = np.random.default_rng(8)
    for label in ("a", "b"):
        for number in range(6):
            (tmp_path / label).mkdir(exist_ok=True)
            pixels = noise.integers(0, 256, (40, 70, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{number}.png")
    photo = tmp_path / "a" / "0.png"
    wide = np.asarray(Image.open(photo))
    square = resize(Image.fromarray(wide[:, 15:55]), 32, 32)
    assert (load_pixels(photo, 32, 32, "center") == square).all()
    assert (load_pixels(photo, 32, 32) == resize(Image.fromarray(wide), 32, 32)).all()
    folder = scan_folder(tmp_path, SplitRule(crop="center"))
    pixels, _, files, _ = load_split_pixels(folder, "train", 32)
    decoded = decode_images(folder)
    for row, file in zip(pixels, files, strict=True):
        assert (row == load_pixels(tmp_path / file, 32, 32, "center")).all()
        assert decoded[folder.files.index(file)].shape == (40, 40, 3)
    plain = decode_images(scan_folder(tmp_path, SplitRule()))
    assert plain[folder.files.index(files[0])].shape == (40, 70, 3)  # another cache


def test_a_card_that_crops_otherwise_is_refused(tmp_path: Path) -> None:
    card = Card("it", "net", ("a", "b"), (32, 32, 3), split=SplitRule(crop="center"))
    save_card(card, tmp_path / "card.json")
    assert load_card(tmp_path / "card.json").split.crop == "center"
    text = (tmp_path / "card.json").read_text()
    (tmp_path / "card.json").write_text(text.replace('"center"', '"left"'))
    with pytest.raises(UserError, match="not a valid rule"):
        load_card(tmp_path / "card.json")
    (tmp_path / "card.json").write_text(text.replace(',\n    "crop": "center"', ""))
    assert load_card(tmp_path / "card.json").split.crop == ""  # of an older version


def test_letters_that_the_font_lacks_are_told_apart() -> None:
    assert drawable("Blätter 1") == "Blätter 1"
    assert drawable("日本") == "\\u65e5\\u672c" != drawable("中国")
