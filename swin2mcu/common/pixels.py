"""Image file → the network's pixels. Every stage and every target uses these functions.

Another resize costs a point of accuracy. The students are trained and scored with *one* step of
Pillow's antialiased BILINEAR resize.

    real value fed to a float network   = (pixel - 128) / 128
    int8 value fed to an int8 network   = pixel - 128            (scale 1/128, zero point 0)
"""

from __future__ import annotations

import functools
import importlib.util
import stat
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from swin2mcu.common.cli import UserError
from swin2mcu.common.damaged import CHECKED, DAMAGED, is_cut_short

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"}
)
HEIC_PLUGIN = "pillow-heif==1.8.1"  # as in pyproject.toml
# Formats that need an optional library, and what to install if it is missing.
PLUGIN_SUFFIXES = {
    ".heic": f"pip install {HEIC_PLUGIN} reads them",
    ".heif": f"pip install {HEIC_PLUGIN} reads them",
    ".avif": "this build of Pillow cannot read AVIF: install Pillow's own wheel",
}
# No others are tried: Pillow would run Ghostscript on a PostScript file named leaf.jpg.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "AVIF", "HEIF")
MAY_MOVE = ("PNG", "WEBP", "TIFF", "GIF", "AVIF")  # one file of these may hold several pictures
DEEP_MIN = 1 << 12  # 16-bit pixels that are all below this hold 12 bits, or a depth map


@functools.cache
def formats() -> tuple[str, ...]:
    """Those of FORMATS that this installation reads; registers the HEIC reader."""
    # Of damaged EXIF data or many pixels; a photo that cannot be used is an error that names it.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    Image.init()
    if importlib.util.find_spec("pillow_heif"):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    return tuple(one for one in FORMATS if one in Image.OPEN)


def readable_suffixes() -> frozenset[str]:
    """File name suffixes, in lower case, that this installation reads as photos."""
    more = [s for s in PLUGIN_SUFFIXES if ("AVIF" if s == ".avif" else "HEIF") in formats()]
    return IMAGE_SUFFIXES | set(more)


def open_upright(source: Path | BinaryIO, name: str = "") -> Image.Image:
    """Decode an image file, or a stream called `name`, to upright 8-bit RGB at its own size.

    Grayscale, palette, RGBA (over white), CMYK and 16-bit gray photos are converted; EXIF
    orientation is applied. Raises UserError naming the file when it cannot be read, is truncated,
    is animated, or holds measurements (float, 32-bit, 12 of 16 bits) and not a photo.
    """
    shown = name or source
    try:
        # Opening a pipe would wait forever.
        if isinstance(source, Path) and not stat.S_ISREG(source.stat().st_mode):
            raise UserError(f"cannot read image {shown}: it is not a plain file")
        with Image.open(source, formats=formats()) as image:
            frames = getattr(image, "n_frames", 1)
            if image.format in MAY_MOVE and frames > 1:
                raise UserError(f"cannot read image {shown}: it holds {frames} pictures, not one")
            colors = any("RGB" in str(part) and ";16" in str(part) for part in image.tile)
            image.load()
            if colors:  # of 16 bits, of which Pillow has kept the upper 8
                most = int(np.asarray(image)[..., :3].max())
                _check_depth(most << 8 | 0xFF if most else 0)
            if image.format in CHECKED and is_cut_short(_data_of(source), image):
                raise UserError(f"cannot read image {shown}: image file is truncated")
            return to_rgb(ImageOps.exif_transpose(image))
    except DAMAGED as error:
        why = str(error)
        if isinstance(error, UnidentifiedImageError):
            why = f"no picture in {', '.join(formats())}"
            suffix = Path(str(shown)).suffix.lower()
            if suffix in PLUGIN_SUFFIXES and suffix not in readable_suffixes():
                why += f"; {PLUGIN_SUFFIXES[suffix]}"
        raise UserError(f"cannot read image {shown}: {why}") from error


def _data_of(source: Path | BinaryIO) -> bytes:
    if isinstance(source, Path):
        return source.read_bytes()
    source.seek(0)
    return source.read()


def _check_depth(most: int) -> None:
    """Raises ValueError if 16-bit pixels of at most `most` are measurements."""
    if 0 < most < DEEP_MIN:
        raise ValueError(f"16-bit pixels of at most {most} are not a photo: scale them to 65535")


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode → RGB; 16-bit gray keeps its upper 8 bits, transparency turns white.

    Raises ValueError for pixels that are measurements and not brightness.
    """
    if image.mode in ("F", "I"):
        raise ValueError(f"pixels of {'float' if image.mode == 'F' else '32 bits'} are not a photo")
    if image.mode.startswith("I;16"):
        # Pillow's own convert() clips 16-bit values instead of scaling them.
        values = np.asarray(image).astype(np.uint32)
        _check_depth(int(values.max(initial=0)))
        return Image.fromarray((values >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def resize(image: Image.Image, height: int, width: int) -> npt.NDArray[np.uint8]:
    """One antialiased resize of an RGB image to a (height, width, 3) uint8 array."""
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8)


def drawable(text: str) -> str:
    """A text for Pillow's own font, which has Latin letters alone.

    Others become their codes, since the font draws the same box for each of them.
    """
    return text.encode("latin-1", errors="backslashreplace").decode("latin-1")


def center_box(width: int, height: int, to_width: int, to_height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the largest centered part with the shape of the other size."""
    columns, rows = width, height
    if width * to_height > height * to_width:
        columns = max(1, height * to_width // to_height)
    else:
        rows = max(1, width * to_height // to_width)
    left, top = (width - columns) // 2, (height - rows) // 2
    return left, top, left + columns, top + rows


def cropped(image: Image.Image, height: int, width: int, crop: str) -> Image.Image:
    """The part of an image that becomes the input.

    This is all of it, or with "center" the largest centered part with the input's shape.
    """
    if crop != "center":
        return image
    box = center_box(*image.size, width, height)
    return image if box == (0, 0, *image.size) else image.crop(box)


def load_pixels(path: Path, height: int, width: int, crop: str = "") -> npt.NDArray[np.uint8]:
    """Image file → (height, width, 3) uint8 pixels; `crop` is the one of the card (SplitRule).

    Raises UserError if it cannot be read.
    """
    return resize(cropped(open_upright(path), height, width, crop), height, width)


def to_int8(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int8]:
    """Pixels → the int8 input of every quantized model: exactly pixel - 128, made by one XOR."""
    return (pixels ^ np.uint8(0x80)).view(np.int8)


def to_float(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Pixels → the real values every float model is fed: (pixel - 128) / 128."""
    return (pixels.astype(np.float32) - 128.0) / 128.0
