"""A leaf's geometry: its outline with lobes and teeth, its veins, and its coordinates.

Leaf coordinates are (along, across): along runs from 0 at the stalk to 1 at the tip, across from -1
to 1 between the two margins. All shapes are drawn in them, so lesions stay on the leaf when it is
bent or rotated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Field = npt.NDArray[np.float32]  # (size, size) or (size, size, 3)
Points = npt.NDArray[np.float64]  # (n, 2): x, y in pixels
OVERSAMPLE = 2  # shapes are drawn twice as large and averaged: Pillow's polygons are not smooth


@dataclass(frozen=True)
class Leaf:
    """One leaf on a picture of `size` x `size` pixels. Lengths are shares of the picture's side."""

    size: int
    center: tuple[float, float]
    angle: float  # of the stalk-to-tip direction, radians
    length: float
    width: float  # of one half
    bend: float  # sideways curve of the midrib, share of the length
    lobes: int  # on each side
    lobe_depth: float
    tooth_depth: float
    phases: tuple[float, float]  # of the lobes, left and right

    def place(self, along: npt.ArrayLike, across: npt.ArrayLike) -> Points:
        """Leaf coordinates (n,) and (n,) → pixel positions (n, 2)."""
        t, s = np.broadcast_arrays(np.asarray(along, float), np.asarray(across, float))
        return self._to_pixels(t, s * self.half_width(t))

    def half_width(self, along: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Width of one half, without lobes, as a share of the picture; widest below the middle."""
        t = np.clip(along, 0.0, 1.0)
        return self.width * np.sin(np.pi * t**0.72) ** 0.85 * (1.0 - 0.35 * t**3)

    def outline(self) -> Points:
        """The margin as a closed polygon: the left side up to the tip, the right side back."""
        t = np.linspace(0.0, 1.0, 72)
        sides = []
        for side, phase in zip((-1.0, 1.0), self.phases, strict=True):
            # Lobes rise slowly towards the tip and end abruptly, like a sawtooth.
            lobe = (t * self.lobes + phase) % 1.0
            tooth = (t * self.lobes * 3 + 2 * phase) % 1.0
            swell = np.sin(np.pi * t) ** 0.5
            relief = self.lobe_depth * (lobe**1.5 - 0.5) + self.tooth_depth * (tooth - 0.5)
            across = self.half_width(t) * (1.0 + relief * swell)
            lean = 0.25 * self.lobe_depth * lobe**2 * swell / self.lobes * 2
            sides.append(self._to_pixels(t + lean * (1.0 - t), side * across))
        return np.concatenate([sides[0], sides[1][::-1]])

    def veins(self) -> list[tuple[Points, float]]:
        """Polylines and widths (shares of the picture): midrib, side veins, their branches."""
        u, fork = np.linspace(0.0, 1.0, 8), np.linspace(0.0, 1.0, 4)
        lines = [(np.linspace(-0.02, 0.97, 24), np.zeros(24), 0.013)]
        for side, phase in zip((-1.0, 1.0), self.phases, strict=True):
            for number in range(self.lobes + 1):
                start = (number + 0.35 * (1.0 - phase)) / (self.lobes + 1.2)
                along = start + 0.20 * (1.0 - 0.5 * start) * u**1.4
                across = side * 0.93 * u
                lines.append((along, across, 0.0075))
                for at in (2, 4, 5):
                    for turn in (0.11, -0.07):
                        branch = along[at] + turn * fork * (1.0 - start)
                        lines.append((branch, across[at] + side * 0.16 * fork, 0.004))
        # One call for all points: this runs for every photo.
        points = self.place(
            np.concatenate([line[0] for line in lines]), np.concatenate([line[1] for line in lines])
        )
        ends = np.cumsum([len(line[0]) for line in lines])[:-1]
        return [(part, line[2]) for part, line in zip(np.split(points, ends), lines, strict=True)]

    def stalk(self) -> Points:
        """The stalk as a polyline that ends at the leaf."""
        t = np.linspace(-0.16, 0.02, 6)
        return self._to_pixels(t, 0.4 * self.bend * (t - 0.02) ** 2)

    def _to_pixels(self, t: npt.NDArray[np.float64], across: npt.NDArray[np.float64]) -> Points:
        """Along (share of the length) and across (share of the picture) → pixels."""
        y = (t - 0.5) * self.length
        bow = self.bend * self.length
        x = across + bow * (4.0 * (t - 0.5) ** 2 - 0.5)
        # The halves are perpendicular to the curved midrib, not to the straight one.
        slope = 8.0 * self.bend * (t - 0.5)
        y = y - across * slope
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        turned = np.stack([cos * y - sin * x, sin * y + cos * x], axis=-1)
        return (turned + np.asarray(self.center)) * self.size


def draw_leaf(rng: np.random.Generator, size: int, narrow: float, rough: float) -> Leaf:
    """A random leaf. `narrow` 0…1 makes it slim, `rough` 0…1 makes lobes and teeth deep."""
    return Leaf(
        size=size,
        center=(0.5 + rng.uniform(-0.05, 0.05), 0.5 + rng.uniform(-0.05, 0.05)),
        angle=rng.uniform(0.0, 2.0 * math.pi),
        length=rng.uniform(0.72, 0.92),
        width=rng.uniform(0.25, 0.34) * (1.0 - 0.3 * narrow),
        bend=rng.uniform(-0.12, 0.12),
        lobes=int(rng.integers(3, 7)),
        lobe_depth=rng.uniform(0.12, 0.42) * (1.0 + 0.5 * rough),
        tooth_depth=rng.uniform(0.04, 0.12) * (1.0 + rough),
        phases=(rng.random(), rng.random()),
    )


class Sketch:
    """A gray drawing at OVERSAMPLE times the picture's size; `field()` averages it down."""

    def __init__(self, size: int, base: int = 0) -> None:
        self.image = Image.new("L", (size * OVERSAMPLE, size * OVERSAMPLE), base)
        self.draw = ImageDraw.Draw(self.image)

    def polygon(self, points: Points, value: int = 255) -> None:
        self.draw.polygon((points * OVERSAMPLE).ravel().tolist(), fill=value)

    def line(self, points: Points, width_px: float, value: int = 255) -> None:
        width = max(1, round(width_px * OVERSAMPLE))
        self.draw.line((points * OVERSAMPLE).ravel().tolist(), value, width, joint="curve")

    def dots(self, centers: Points, radii_px: npt.NDArray[np.float64], value: int = 255) -> None:
        low = (centers - radii_px[:, None]) * OVERSAMPLE
        high = (centers + radii_px[:, None]) * OVERSAMPLE
        for box in np.concatenate([low, high], axis=1).tolist():
            self.draw.ellipse(box, fill=value)

    def field(self) -> Field:
        """(size, size) values 0…1."""
        return np.asarray(self.image.reduce(OVERSAMPLE), dtype=np.float32) / np.float32(255.0)
