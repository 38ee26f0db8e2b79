"""Image file → the network's pixels. Every stage and every target goes through this one function.

Another resize costs a point of accuracy: the antialiased BILINEAR of Pillow in *one* step is what
the students are trained and scored with.

    real value fed to a float network   = (pixel - 128) / 128
    int8 value fed to an int8 network   = pixel - 128            (scale 1/128, zero point 0)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from swin2mcu.common.cli import UserError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


def open_upright(path: Path) -> Image.Image:
    """Decode an image file to upright 8-bit RGB at its own size.

    Greyscale, palette, RGBA (over white), CMYK and 16-bit images are converted; EXIF orientation is
    applied. Raises UserError naming the file when it cannot be read.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return to_rgb(ImageOps.exif_transpose(image))
    except (
        OSError,
        UnidentifiedImageError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
    ) as error:
        raise UserError(f"cannot read image {path}: {error}") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode → RGB; 16-bit grey keeps its upper 8 bits, transparency turns white."""
    if image.mode.startswith("I"):
        # Pillow's own convert() clips 16-bit values instead of scaling them.
        values = np.asarray(image).astype(np.uint32)
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


def load_pixels(path: Path, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Image file → (height, width, 3) uint8 pixels. Raises UserError if it cannot be read."""
    return resize(open_upright(path), height, width)


def to_int8(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int8]:
    """Pixels → the int8 input of every quantised model: exactly pixel - 128, made by one XOR."""
    return (pixels ^ np.uint8(0x80)).view(np.int8)


def to_float(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Pixels → the real values every float model is fed: (pixel - 128) / 128."""
    return (pixels.astype(np.float32) - 128.0) / 128.0
