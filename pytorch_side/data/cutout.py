"""Cut a leaf out of its photo and put it on another background.

OpenCV's GrabCut (Rother et al. 2004) separates leaf and background by their mixtures of colors.
Its start is a guess by color: pixels that are greener, yellower or more saturated than the photo's
border are probably leaf, the border itself is probably background. A mask that covers almost
nothing or almost everything is a failure; such photos are counted and left out.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

SIDE = 128  # pixels; the mask is computed at this size and then enlarged
FRAME = 6  # pixels; the width of the border that is probably background
ROUNDS = 4  # of GrabCut
AREA_MIN, AREA_MAX = 0.08, 0.92  # share of the photo: limits of a plausible leaf
FEATHER = 1.5  # standard deviation of the edge's blur, in pixels at size SIDE
GROWN = 9  # pixels at size SIDE around the leaf, replaced too: its shadow lies there

Photo = npt.NDArray[np.uint8]  # (h, w, 3) RGB
Mask = npt.NDArray[np.float32]  # (h, w), 1 where the leaf is


def leaf_mask(photo: Photo) -> Mask | None:
    """The leaf's mask, or None if the leaf cannot be separated from its background."""
    small = small_mask(photo)
    return None if small is None else enlarged(small, photo)


def small_mask(photo: Photo) -> Mask | None:
    """The leaf's mask, (SIDE, SIDE), or None if the leaf cannot be separated."""
    small = cv2.resize(photo, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    frame = np.ones((SIDE, SIDE), dtype=bool)
    frame[FRAME:-FRAME, FRAME:-FRAME] = False
    middle = np.median(lab[frame], axis=0)
    # Color only, no lightness: a leaf's shadow on the table is as dark as the leaf.
    distance = np.linalg.norm((lab - middle)[..., 1:], axis=2)
    threshold, _ = cv2.threshold(
        np.clip(distance * 2, 0, 255).astype(np.uint8), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU
    )
    likely = distance * 2 > threshold
    state = np.where(likely, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    state[frame & ~likely] = cv2.GC_BGD
    if not _plausible(likely):
        return None
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # GrabCut starts from a random clustering
    cv2.grabCut(small, state, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    leaf = _largest((state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD))
    if not _plausible(leaf):
        return None
    soft = cv2.GaussianBlur(leaf.astype(np.float32), (0, 0), FEATHER)
    return np.asarray(soft, dtype=np.float32)


def enlarged(small: Mask, photo: Photo) -> Mask:
    """A mask of small_mask at the photo's size."""
    size = (photo.shape[1], photo.shape[0])
    mask = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(mask, dtype=np.float32)


def _plausible(leaf: npt.NDArray[np.bool_]) -> bool:
    return AREA_MIN <= float(leaf.mean()) <= AREA_MAX


def _largest(leaf: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The largest connected piece, with its holes filled: lesions can have the table's color."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(leaf.astype(np.uint8))
    if count < 2:
        return leaf
    piece = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    edges, _ = cv2.findContours(piece.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(leaf.shape, dtype=np.uint8)
    cv2.drawContours(filled, edges, -1, 1, thickness=cv2.FILLED)
    return filled > 0


def background_of(photo: Photo, mask: Mask) -> Photo:
    """The photo without its leaf, which is inpainted from the pixels around it."""
    size = (photo.shape[1], photo.shape[0])
    small = small_background(photo, mask)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def small_background(photo: Photo, mask: Mask) -> Photo:
    """background_of, (SIDE, SIDE, 3)."""
    small = cv2.resize(photo, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    hole = cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA) > 0.02
    hole = cv2.dilate(hole.astype(np.uint8), np.ones((GROWN, GROWN), dtype=np.uint8))
    return np.asarray(cv2.inpaint(small, hole, 3, cv2.INPAINT_TELEA), dtype=np.uint8)


def on_background(photo: Photo, mask: Mask, background: Photo) -> Photo:
    """The leaf of `photo` on `background`, resized to the photo's size."""
    size = (photo.shape[1], photo.shape[0])
    behind = cv2.resize(background, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    share = mask[..., None]
    return np.rint(share * photo + (1 - share) * behind).astype(np.uint8)


def plain_background(draw: np.random.Generator) -> Photo:
    """One gray pixel, (1, 1, 3), neither black nor white."""
    return np.full((1, 1, 3), draw.integers(40, 216), dtype=np.uint8)
