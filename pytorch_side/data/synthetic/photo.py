"""The photo: a leaf with the symptoms of one class, on a table, with a lamp and a camera.

Table, lamp, camera, the leaf's green, its age and small damage are drawn from the same
distributions for all classes, so none of them reveals the class.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from pytorch_side.data.synthetic.shape import Field, Sketch, draw_leaf
from pytorch_side.data.synthetic.symptoms import SYMPTOMS, YELLOW, Surface, blob, tint
from pytorch_side.data.synthetic.texture import blur, mix, noise, ramp

TABLES = (  # gray card, beige cloth, lilac cloth, white paper, slate, kraft paper
    (0.56, 0.55, 0.56),
    (0.70, 0.64, 0.55),
    (0.60, 0.56, 0.64),
    (0.84, 0.83, 0.80),
    (0.32, 0.33, 0.36),
    (0.62, 0.50, 0.37),
)


def photograph(class_name: str, seed: tuple[int, ...], size: int) -> Image.Image:
    """The picture for `seed`. It depends on nothing else, such as the order or the process."""
    rng = np.random.default_rng(seed)
    surface = grow(rng, class_name, size)
    picture = table(rng, size)
    lamp = rng.uniform(0.0, 2.0 * np.pi)
    toward = np.array([np.cos(lamp), np.sin(lamp)], dtype=np.float32)
    picture *= shadow(rng, surface.mask, toward)[..., None]
    picture = mix(picture, lit(rng, surface, toward), surface.mask)
    return camera(rng, picture)


def grow(rng: np.random.Generator, class_name: str, size: int) -> Surface:
    """A leaf with the symptoms of its class, and with the damage that any leaf can have."""
    narrow, rough = rng.random() ** 3, rng.random() ** 3
    if class_name == "yellow_leaf_curl_virus":
        narrow = 0.4 + 0.6 * rng.random()
    if class_name == "mosaic_virus":
        rough = 0.3 + 0.7 * rng.random()
    leaf = draw_leaf(rng, size, narrow, rough)
    body, veins = Sketch(size), Sketch(size)
    body.polygon(leaf.outline())
    body.line(leaf.stalk(), 0.022 * size)
    for line, width in leaf.veins():
        veins.line(line, width * size, 255 if width > 0.005 else 140)
    vein = veins.field()
    green = np.array([0.29, 0.405, 0.20]) * rng.uniform(0.72, 1.3)
    green += np.array([0.10, 0.03, 0.02]) * rng.uniform(-0.6, 1.0)
    shade = 1.0 + 0.08 * noise(rng, size, 5) + 0.06 * noise(rng, size, 22)
    color = (green.astype(np.float32) * shade[..., None]).astype(np.float32)
    relief = 0.9 * noise(rng, size, 9) + 0.5 * noise(rng, size, 24) - 2.2 * blur(vein, 0.012 * size)
    surface = Surface(leaf, body.field(), vein, color, relief)
    surface.paint(tint(rng, (0.55, 0.64, 0.36)), blur(vein, 0.004 * size) * rng.uniform(0.35, 0.8))
    age(rng, surface)
    SYMPTOMS[class_name](surface, rng)
    if rng.random() < 0.2:
        nibble(rng, surface)
    return surface


def age(rng: np.random.Generator, surface: Surface) -> None:
    """Leaves of every class may turn yellow from one side, or have a dry tip."""
    size = surface.leaf.size
    if rng.random() < 0.25:
        side = rng.uniform(0.0, 2.0 * np.pi)
        y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
        slope = x * np.float32(np.cos(side)) + y * np.float32(np.sin(side))
        old = ramp(slope + 0.08 * noise(rng, size, 6), -0.25, 0.45)
        surface.paint(tint(rng, YELLOW), old * rng.uniform(0.1, 0.35))
    if rng.random() < 0.12:
        dry = Sketch(size)
        dry.polygon(blob(rng, surface.leaf.place(1.0, 0.0), size * rng.uniform(0.03, 0.08), 0.3))
        surface.paint(tint(rng, (0.50, 0.37, 0.22)), blur(dry.field(), 0.012 * size))


def nibble(rng: np.random.Generator, surface: Surface) -> None:
    """One or two holes, as beetles make them; the table is seen through them."""
    holes = Sketch(surface.leaf.size)
    for _ in range(int(rng.integers(1, 3))):
        where = surface.leaf.place(rng.uniform(0.2, 0.8), rng.uniform(-0.9, 0.9))
        holes.polygon(blob(rng, where, surface.leaf.size * rng.uniform(0.012, 0.035), 0.4))
    surface.mask = surface.mask * (1.0 - holes.field())


def table(rng: np.random.Generator, size: int) -> Field:
    """A (size, size, 3) background: card, cloth or wood, unevenly lit."""
    base = np.array(tint(rng, TABLES[rng.integers(len(TABLES))], 0.08), dtype=np.float32)
    texture = 0.02 * noise(rng, size, 3) + 0.012 * rng.standard_normal((size, size), np.float32)
    kind, turn = rng.random(), rng.uniform(0.0, np.pi)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    u = x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn))
    v = y * np.float32(np.cos(turn)) - x * np.float32(np.sin(turn))
    thread = np.float32(2.0 * np.pi / (size * rng.uniform(0.025, 0.06)))
    if kind < 0.4:  # woven
        texture = texture + np.float32(rng.uniform(0.01, 0.035)) * np.sin(u * thread) * np.sin(
            v * thread
        )
    elif kind < 0.6:  # wood grain: stripes bent by smooth noise
        wave = u * (thread / 2) + 2.5 * noise(rng, size, 3)
        texture = texture + np.float32(rng.uniform(0.02, 0.05)) * np.sin(wave)
    return base * (1.0 + texture * 1.6)[..., None]


def shadow(rng: np.random.Generator, mask: Field, toward: npt.NDArray[np.float32]) -> Field:
    """The leaf's shadow: the share of light on the table, lower on the side away from the lamp."""
    size = mask.shape[0]
    shift = np.rint(-toward * size * rng.uniform(0.01, 0.05)).astype(int)
    soft = blur(mask, size * rng.uniform(0.01, 0.04))
    return 1.0 - np.float32(rng.uniform(0.25, 0.6)) * np.roll(soft, (shift[1], shift[0]), (0, 1))


def lit(rng: np.random.Generator, surface: Surface, toward: npt.NDArray[np.float32]) -> Field:
    """The leaf's colors under the lamp: shaded by its relief, with reflections of its wax."""
    rows, columns = np.gradient(surface.relief)
    scale = np.float32(surface.leaf.size / 128.0 * rng.uniform(0.35, 0.75))
    slope = scale * (columns * toward[0] + rows * toward[1])
    # The blade is folded a little along the midrib: one half faces the lamp.
    half = Sketch(surface.leaf.size)
    outline = surface.leaf.outline()
    midrib = surface.leaf.place(np.linspace(0.0, 1.0, 12), 0.0)
    half.polygon(np.concatenate([outline[: len(outline) // 2], midrib[::-1]]))
    fold = (half.field() - 0.5) * np.float32(rng.uniform(-0.22, 0.22))
    light = np.clip(1.0 + slope + fold, 0.35, 1.8)
    shine = ramp(slope + fold, 0.12, 0.6) * np.float32(rng.uniform(0.0, 0.35))
    return mix(surface.color * light[..., None], (0.93, 0.96, 0.95), shine)


def camera(rng: np.random.Generator, picture: Field) -> Image.Image:
    """White balance, exposure, uneven light, a little blur, and noise."""
    size = picture.shape[0]
    gains = rng.uniform(0.75, 1.2) * (1.0 + rng.uniform(-0.07, 0.07, 3))
    uneven = 1.0 + np.float32(rng.uniform(0.0, 0.12)) * noise(rng, size, 1)
    picture = picture * (gains.astype(np.float32) * uneven[..., None])
    grain = np.float32(rng.uniform(0.004, 0.018))
    picture += (grain * rng.standard_normal((size, size), np.float32))[..., None]
    np.clip(picture, 0.0, 1.0, out=picture)
    image = Image.fromarray((picture * np.float32(255.0)).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.55) * size / 128.0))
