"""firmware/lib/vision makes the bytes that Pillow's resize makes of the same frame."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sources import LIB, WARNINGS

from host_tools.link.protocol import FrameFormat
from host_tools.mcu.bare_metal import build, get_core, run
from host_tools.scoring.frames import FrameKind, decode_frame, encode_frame, frame_to_pixels
from swin2mcu.common.pixels import load_pixels, resize, to_int8

HERE = Path(__file__).parent
VISION = LIB / "vision"
RANDOM_CASES = 2400
OWN = os.environ.get("SWIN2MCU_DATA", "")  # read here: tests run without it
# Of a QVGA frame on the M7, by the side of the network's input; docs/PROTOCOL.md has the same.
INSTRUCTIONS_PER_PIXEL = {96: 40, 224: 60}
FORMATS = ("rgb565le", "rgb565be", "rgb888", "gray", "yuv422")


@dataclass(frozen=True)
class Case:
    kind: FrameKind
    width: int  # of the network's input
    height: int
    center_crop: bool
    rows_at_a_time: int
    frame: bytes

    def packed(self) -> bytes:
        sizes = (self.kind.width, self.kind.height, self.width, self.height)
        head = (self.kind.format, *sizes, self.center_crop, self.rows_at_a_time)
        return struct.pack("<7H", *head) + self.frame

    def expected(self) -> bytes:
        crop = self.center_crop
        pixels = frame_to_pixels(self.frame, self.kind, self.height, self.width, crop)
        return to_int8(pixels).tobytes()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library for the PC, under the address and undefined sanitizers."""
    program = tmp_path_factory.mktemp("vision") / "vision"
    sanitize = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    files = [HERE / "vision_main.c", *sorted(VISION.glob("*.c"))]
    command = ["gcc", "-std=c11", *WARNINGS, *sanitize, f"-I{VISION}", *map(str, files)]
    subprocess.run([*command, "-o", str(program)], check=True)
    return program


def check(program: Path, cases: Sequence[Case]) -> None:
    frames = b"".join(case.packed() for case in cases)
    done = subprocess.run([program], input=frames, capture_output=True, timeout=300)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    position, wrong = 0, []
    for case in cases:
        expected = case.expected()
        if done.stdout[position : position + len(expected)] != expected:
            wrong.append(case)
        position += len(expected)
    assert position == len(done.stdout)
    summary = [(c.kind.name, c.width, c.height, c.center_crop) for c in wrong[:5]]
    assert not wrong, f"{len(wrong)} of {len(cases)} differ, such as {summary}"


def random_case(random: np.random.Generator, number: int) -> Case:
    """Any size in any format; every third frame is as small as a network's input, or smaller."""
    most = 100 if number % 3 == 0 else 400
    frame_width, frame_height = (int(n) for n in random.integers(1, most, 2))
    format_ = FrameFormat(number % len(FrameFormat))
    if format_ == FrameFormat.YUV422:
        frame_width += frame_width % 2
    width, height = (int(n) for n in random.integers(1, 230, 2))
    if number % 2:
        height = width  # as networks have it
    kind = FrameKind(format_, frame_width, frame_height)
    frame = random.bytes(kind.frame_bytes)
    return Case(kind, width, height, bool(random.integers(2)), int(random.integers(1, 20)), frame)


def test_random_frames_of_random_sizes(program: Path) -> None:
    random = np.random.default_rng(13)
    check(program, [random_case(random, number) for number in range(RANDOM_CASES)])


@pytest.mark.parametrize("size", [96, 160, 224])
def test_sizes_that_cameras_have(program: Path, size: int) -> None:
    random = np.random.default_rng(size)
    sides = [(160, 120), (320, 240), (240, 320), (640, 480), (176, 144), (240, 240), (200, 300)]
    kinds = [FrameKind(FrameFormat.RGB565_BE, *pair) for pair in sides]
    cases = [
        Case(kind, size, size, crop, 8, random.bytes(kind.frame_bytes))
        for kind in kinds
        for crop in (False, True)
    ]
    check(program, cases)


def test_extremes(program: Path) -> None:
    """The longest sides whose sums are promised not to overflow, all white, and the shortest."""
    sides = [(8191, 1, 1, 1), (1, 8191, 1, 1), (8191, 3, 97, 5), (2, 8191, 3, 97), (1, 1, 8191, 2)]
    cases = [
        Case(FrameKind(FrameFormat.GRAY, w, h), to_w, to_h, False, 1000, b"\xff" * (w * h))
        for w, h, to_w, to_h in sides
    ]
    check(program, cases)


@pytest.fixture(scope="module")
def own_photos() -> list[Path]:
    """A few photos of the folder that $SWIN2MCU_DATA names, where it names one."""
    files = sorted(p for p in Path(OWN).rglob("*") if p.suffix == ".jpg") if OWN else []
    return files[:: max(1, len(files) // 20)]


def photos(folder: Path) -> list[Path]:
    """Pictures with edges, gradients and noise, as files."""
    random = np.random.default_rng(5)
    y, x = np.mgrid[0:480, 0:640]
    smooth = np.stack([x * 255 // 640, y * 255 // 480, (x + y) % 256], axis=-1)
    edges = (((x // 7 + y // 11) % 2)[:, :, None] * np.array([255, 180, 40])).astype(np.uint8)
    noisy = (smooth + random.integers(-20, 20, smooth.shape)).clip(0, 255)
    for name, picture in (("smooth", smooth), ("edges", edges), ("noisy", noisy)):
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{name}.jpg", quality=90)
    return sorted(folder.glob("*.jpg"))


@pytest.mark.parametrize("format_", list(FrameFormat))
def test_photos_as_a_camera_delivers_them(
    program: Path, format_: FrameFormat, tmp_path: Path, own_photos: list[Path]
) -> None:
    cases = []
    for path in [*photos(tmp_path), *own_photos]:
        frame = encode_frame(load_pixels(path, 240, 320), format_)
        kind = FrameKind(format_, 320, 240)
        cases.append(Case(kind, 96, 96, False, 16, frame))
    check(program, cases)


def test_rgb888_frames_are_the_photo_itself(tmp_path: Path) -> None:
    for path in photos(tmp_path):
        picture = np.asarray(Image.open(path))
        frame = encode_frame(picture, FrameFormat.RGB888)
        kind = FrameKind(FrameFormat.RGB888, 640, 480)
        expected = resize(Image.open(path), 96, 96)
        assert (frame_to_pixels(frame, kind, 96, 96) == expected).all()


def test_rgb565_keeps_its_bits_and_white() -> None:
    """Both byte orders decode to the same picture; what was cut is cut once."""
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    pixels[0, 0], pixels[0, 1] = 255, 0
    decoded = {
        format_: decode_frame(encode_frame(pixels, format_), FrameKind(format_, 6, 4))
        for format_ in (FrameFormat.RGB565_LE, FrameFormat.RGB565_BE)
    }
    big, little = decoded[FrameFormat.RGB565_BE], decoded[FrameFormat.RGB565_LE]
    assert (big == little).all() and (big >> 3 == pixels >> 3)[..., [0, 2]].all()
    assert (big >> 2 == pixels >> 2)[..., 1].all()
    assert (big[0, 0] == 255).all() and (big[0, 1] == 0).all()
    assert encode_frame(big, FrameFormat.RGB565_LE) == encode_frame(pixels, FrameFormat.RGB565_LE)


def test_yuv422_is_bt601_to_the_nearest() -> None:
    """Every Y, U, V: within rounding of the standard's real numbers."""
    u, v = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    for y in (0, 1, 100, 128, 254, 255):
        quads = np.stack([np.full_like(u, y), u, np.full_like(u, y), v], axis=-1)
        kind = FrameKind(FrameFormat.YUV422, 512, 256)
        made = decode_frame(quads.astype(np.uint8).tobytes(), kind)[:, ::2].astype(float)
        cb, cr = u - 128.0, v - 128.0
        real = [y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb]
        assert np.abs(made - np.stack(real, axis=-1).clip(0, 255)).max() < 0.51


def test_what_is_refused(program: Path) -> None:
    kind = FrameKind(FrameFormat.YUV422, 3, 2)
    bad = Case(kind, 4, 4, False, 1, b"")
    done = subprocess.run([program], input=bad.packed(), capture_output=True, timeout=60)
    assert done.returncode != 0


def test_instructions_per_pixel_of_a_qvga_frame(tmp_path: Path) -> None:
    core = get_core("m7")
    image = tmp_path / "vision.elf"
    build(core, image, sorted(VISION.glob("*.c")), [HERE / "vision_count.c"], [f"-I{VISION}"])
    status, text = run(core, image)
    assert status == 0, text
    counts = {name: int(n) for name, n in (line.split("\t") for line in text.splitlines())}
    for side, most in INSTRUCTIONS_PER_PIXEL.items():
        per_pixel = {name: counts[f"{name}/{side}"] / (320 * 240) for name in FORMATS}
        slow = {name: n for name, n in per_pixel.items() if n > most}
        assert not slow, (side, slow)
