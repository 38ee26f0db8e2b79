"""The ten classes of tomato leaves: one function per class draws its symptoms on a leaf.

Each function draws the number, sizes and colors of its lesions at random, from ranges that overlap
those of the other classes. So the structure of lesions (rings, pale centers, halos, soft or hard
edges) identifies a class, and the leaf's mean color does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytorch_side.data.synthetic.shape import Field, Leaf, Points, Sketch
from pytorch_side.data.synthetic.texture import blur, mix, noise, ramp

Rgb = tuple[float, float, float]
YELLOW: Rgb = (0.78, 0.74, 0.26)
BROWN: Rgb = (0.36, 0.25, 0.15)
DARK: Rgb = (0.17, 0.13, 0.09)
TAN: Rgb = (0.66, 0.55, 0.38)
GRAY: Rgb = (0.74, 0.71, 0.63)


@dataclass
class Surface:
    """A leaf before it is lit: symptoms change its color, and raise or lower its relief."""

    leaf: Leaf
    mask: Field  # (size, size) 1 on the leaf
    veins: Field  # (size, size) 1 on veins
    color: Field  # (size, size, 3)
    relief: Field  # (size, size)

    def paint(self, color: Rgb, amount: Field) -> None:
        self.color = mix(self.color, color, amount)


def tint(rng: np.random.Generator, color: Rgb, spread: float = 0.06) -> Rgb:
    """A color near the given one: lighter or darker, a little warmer or colder."""
    light = rng.uniform(-spread, spread)
    red, green, blue = (c + light + rng.uniform(-spread, spread) / 3 for c in color)
    return red, green, blue


def scatter(
    rng: np.random.Generator, leaf: Leaf, count: int, reach: float = 0.9
) -> tuple[Points, npt.NDArray[np.float64]]:
    """Random positions on the leaf, some of them in clusters, and their `across` coordinates."""
    along = rng.uniform(0.08, 0.92, count)
    across = rng.uniform(-reach, reach, count)
    crowd = rng.random(count) < 0.35
    along = np.where(crowd, along[0] + 0.12 * rng.standard_normal(count), along).clip(0.05, 0.95)
    across = np.where(crowd, across[0] + 0.25 * rng.standard_normal(count), across)
    across = across.clip(-reach, reach)
    return leaf.place(along, across), across


def blob(
    rng: np.random.Generator, center: npt.NDArray[np.float64], radius_px: float, rough: float
) -> Points:
    """A closed, irregular polygon about a center; `rough` 0 is a circle."""
    angles = np.linspace(0.0, 2.0 * np.pi, 18, endpoint=False)
    waves = sum(
        rng.uniform(-1, 1) / k * np.cos(k * angles + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 5)
    )
    radii = radius_px * (1.0 + rough * waves)
    return center + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def healthy(surface: Surface, rng: np.random.Generator) -> None:
    """Nothing."""


def bacterial_spot(surface: Surface, rng: np.random.Generator) -> None:
    """Many small, angular, nearly black specks, each in a thin yellow halo."""
    size = surface.leaf.size
    centers, _ = scatter(rng, surface.leaf, int(rng.integers(18, 60)), reach=1.0)
    radii = size * rng.uniform(0.008, 0.020, len(centers))
    specks, halos = Sketch(size), Sketch(size)
    halos.dots(centers, radii * 2.4)
    for center, radius in zip(centers, radii, strict=True):
        corners = rng.uniform(0, 2 * np.pi) + np.sort(rng.uniform(0, 2 * np.pi, 6))
        arms = 1.25 * radius * np.stack([np.cos(corners), np.sin(corners)], axis=1)
        specks.polygon(center + arms)
    surface.paint(tint(rng, YELLOW), blur(halos.field(), 0.009 * size) * rng.uniform(0.5, 0.85))
    surface.paint(tint(rng, DARK, 0.04), specks.field() * 0.95)
    surface.relief -= 0.5 * specks.field()


def early_blight(surface: Surface, rng: np.random.Generator) -> None:
    """A few large brown lesions with concentric rings, the leaf yellow around them."""
    size = surface.leaf.size
    centers, _ = scatter(rng, surface.leaf, int(rng.integers(2, 6)), reach=0.75)
    rings, body, halo = Sketch(size), Sketch(size), Sketch(size)
    for center in centers:
        edge = blob(rng, center, size * rng.uniform(0.05, 0.105), 0.22)
        body.polygon(edge)
        halo.polygon(center + (edge - center) * 1.6)
        count = int(rng.integers(2, 5))
        for number in range(2 * count):
            scale = (1.0 - number / (2 * count)) ** 0.9
            drift = rng.uniform(-0.05, 0.05, 2) * size * 0.1
            rings.polygon(center + drift + (edge - center) * scale, 110 if number % 2 else 255)
    dark = blur(rings.field(), 0.004 * size) * (1.0 + 0.2 * noise(rng, size, 32))
    surface.paint(tint(rng, YELLOW), blur(halo.field(), 0.03 * size) * rng.uniform(0.6, 0.95))
    surface.paint(tint(rng, (0.56, 0.43, 0.27)), body.field() * 0.9)
    surface.paint(tint(rng, BROWN), np.clip(dark, 0.0, 1.0) * rng.uniform(0.75, 0.95))
    surface.relief -= 0.4 * dark


def late_blight(surface: Surface, rng: np.random.Generator) -> None:
    """One to three water-soaked blotches from the margin inwards, pale fringe, white mold."""
    size, leaf = surface.leaf.size, surface.leaf
    body, fringe = Sketch(size), Sketch(size)
    for _ in range(int(rng.integers(1, 4))):
        side = rng.choice((-1.0, 1.0))
        center = leaf.place(rng.uniform(0.15, 0.95), side * rng.uniform(0.45, 0.95))
        edge = blob(rng, center, size * rng.uniform(0.10, 0.20), 0.45)
        body.polygon(edge)
        fringe.polygon(center + (edge - center) * 1.22)
    ragged = ramp(blur(body.field(), 0.012 * size) + 0.16 * noise(rng, size, 16), 0.35, 0.6)
    pale = ramp(blur(fringe.field(), 0.02 * size), 0.2, 0.7) * (1.0 - ragged)
    surface.paint(tint(rng, (0.64, 0.68, 0.42)), pale * rng.uniform(0.6, 0.9))
    surface.paint(tint(rng, (0.31, 0.24, 0.17)), ragged * 0.92)
    mold = pale * ramp(noise(rng, size, 40), 0.1, 1.2)
    surface.paint((0.86, 0.87, 0.84), mold * rng.uniform(0.5, 0.9))
    # Soaked tissue is flat, and its veins look dark.
    surface.paint(DARK, ragged * surface.veins * 0.5)
    surface.relief *= 1.0 - 0.7 * ragged


def leaf_mold(surface: Surface, rng: np.random.Generator) -> None:
    """Pale yellow patches with soft edges, some with olive mold in the middle."""
    size = surface.leaf.size
    centers, _ = scatter(rng, surface.leaf, int(rng.integers(4, 11)), reach=0.8)
    patches = Sketch(size)
    for center in centers:
        patches.polygon(blob(rng, center, size * rng.uniform(0.04, 0.085), 0.3))
    soft = blur(patches.field(), 0.035 * size) * (1.0 - 0.5 * surface.veins)
    surface.paint(tint(rng, YELLOW), ramp(soft, 0.05, 0.8) * rng.uniform(0.6, 0.9))
    velvet = ramp(soft, 0.45, 0.95) * ramp(noise(rng, size, 48), -0.6, 1.0)
    surface.paint(tint(rng, (0.40, 0.35, 0.14)), velvet * rng.uniform(0.55, 0.9))
    surface.relief += 0.25 * velvet


def mosaic_virus(surface: Surface, rng: np.random.Generator) -> None:
    """A mosaic of light and dark green; the dark parts are raised like blisters."""
    size = surface.leaf.size
    cells = int(rng.integers(9, 15))
    pattern = noise(rng, size, cells) + 0.5 * noise(rng, size, 2 * cells)
    light = ramp(pattern - 0.8 * surface.veins, -0.15, 0.35)
    surface.paint(tint(rng, (0.60, 0.68, 0.32)), light * rng.uniform(0.55, 0.8))
    surface.paint(tint(rng, (0.14, 0.28, 0.10), 0.03), (1.0 - light) * rng.uniform(0.3, 0.55))
    surface.relief += 0.8 * (1.0 - light)


def septoria_leaf_spot(surface: Surface, rng: np.random.Generator) -> None:
    """Many small round spots: gray-white center, dark rim, one or two black dots inside."""
    size = surface.leaf.size
    centers, _ = scatter(rng, surface.leaf, int(rng.integers(12, 38)), reach=0.95)
    radii = size * rng.uniform(0.014, 0.027, len(centers))
    rims, hearts, grains, halos = (Sketch(size) for _ in range(4))
    halos.dots(centers, radii * 1.9)
    rims.dots(centers, radii)
    hearts.dots(centers, radii * 0.62)
    grains.dots(centers + 0.2 * radii[:, None], np.full(len(centers), 0.0035 * size))
    surface.paint(tint(rng, YELLOW), blur(halos.field(), 0.012 * size) * rng.uniform(0.2, 0.6))
    surface.paint(tint(rng, DARK), rims.field() * 0.9)
    surface.paint(tint(rng, GRAY), hearts.field() * 0.95)
    surface.paint(DARK, grains.field() * 0.7)


def spider_mites(surface: Surface, rng: np.random.Generator) -> None:
    """Hundreds of pale dots, densest along the midrib, bronze where they merge; also webs."""
    size, leaf = surface.leaf.size, surface.leaf
    count = int(rng.integers(350, 900))
    along = rng.beta(1.3, 1.6, count)
    across = 0.45 * rng.standard_normal(count)
    pricks = Sketch(size)
    pricks.dots(leaf.place(along, across.clip(-1, 1)), size * rng.uniform(0.003, 0.0065, count))
    dots = pricks.field()
    crowded = ramp(blur(dots, 0.03 * size), 0.12, 0.5)
    surface.paint(tint(rng, (0.58, 0.50, 0.24)), crowded * rng.uniform(0.3, 0.7))
    surface.paint(tint(rng, (0.84, 0.84, 0.60)), dots * rng.uniform(0.75, 0.95))
    web = Sketch(size)
    for _ in range(int(rng.integers(0, 7))):
        ends = leaf.place(rng.uniform(0.1, 0.9, 2), rng.uniform(-1.1, 1.1, 2))
        web.line(ends, 0.5)
    surface.paint((0.9, 0.9, 0.86), web.field() * 0.45)


def target_spot(surface: Surface, rng: np.random.Generator) -> None:
    """Brown spots of medium size with a dark rim, one pale ring, a dark center and a faint halo."""
    size = surface.leaf.size
    centers, _ = scatter(rng, surface.leaf, int(rng.integers(4, 10)), reach=0.9)
    rim, ring, eye = Sketch(size), Sketch(size), Sketch(size)
    for center in centers:
        radius = size * rng.uniform(0.036, 0.060)
        edge = blob(rng, center, radius, 0.15)
        rim.polygon(edge)
        ring.polygon(center + (edge - center) * 0.78)
        eye.polygon(center + (edge - center) * 0.34)
    surface.paint(tint(rng, YELLOW), blur(rim.field(), 0.02 * size) * rng.uniform(0.0, 0.35))
    surface.paint(tint(rng, DARK), rim.field() * 0.85)
    surface.paint(tint(rng, TAN), ring.field() * 0.9)
    surface.paint(tint(rng, BROWN), eye.field() * 0.95)
    surface.relief -= 0.3 * ring.field()


def yellow_leaf_curl_virus(surface: Surface, rng: np.random.Generator) -> None:
    """Yellow between the veins and along the rolled-up margin, green beside the veins."""
    size = surface.leaf.size
    inner = blur(surface.mask, rng.uniform(0.05, 0.08) * size)
    margin = 1.0 - ramp(inner, 0.55, 0.95)
    beside = ramp(blur(surface.veins, 0.018 * size), 0.10, 0.40)
    yellow = np.clip(rng.uniform(0.25, 0.7) + margin, 0.0, 1.0) * (1.0 - 0.9 * beside)
    surface.paint(tint(rng, (0.80, 0.75, 0.32)), yellow * rng.uniform(0.6, 0.9))
    surface.paint(tint(rng, (0.24, 0.38, 0.16)), beside * (1.0 - margin) * rng.uniform(0.3, 0.7))
    # The rolled margin is high, and the leaf bulges between the veins.
    surface.relief += rng.uniform(3.0, 6.0) * margin + 2.2 * (1.0 - beside)


SYMPTOMS: dict[str, Callable[[Surface, np.random.Generator], None]] = {
    recipe.__name__: recipe
    for recipe in (
        bacterial_spot,
        early_blight,
        healthy,
        late_blight,
        leaf_mold,
        mosaic_virus,
        septoria_leaf_spot,
        spider_mites,
        target_spot,
        yellow_leaf_curl_virus,
    )
}
