"""Rasterised shapes: what they cover, what they hide, and how they are painted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

SUPERSAMPLING = 4
"""Shapes are rasterised at this many times the resolution in both directions."""

_MAX_HIDDEN = 0.35  # share of the pixels of an older shape that all newer ones may hide together
_MAX_BOX_OVERLAP = 0.35  # intersection over union of two boxes
_MIN_INSIDE = 0.8  # share of the box of a shape that is inside the image


@dataclass
class Stencil:
    """A rasterised shape on the pixel grid of the image.

    Attributes:
        x, y: column and row of the image at which the arrays start.
        cover: `[h, w]` float32, share of each pixel that the whole shape covers.
        border: `[h, w]` float32, the share that its border covers; None without a border.
        box: `x1 y1 x2 y2` in pixels of the image, exact to 1 / `SUPERSAMPLING`.
    """

    x: int
    y: int
    cover: np.ndarray
    border: np.ndarray | None
    box: tuple[float, float, float, float]


def rasterise(
    corners: np.ndarray, stroke: float, hollow: bool, width: int, height: int
) -> Stencil | None:
    """Rasterise a closed outline; None if too much of it is outside the image.

    Args:
        corners: `[n, 2]`, x and y in pixels.
        stroke: width of the line along the outline in pixels, half inside and half outside; 0
            draws none.
        hollow: leave the inside empty.
        width, height: size of the image.
    """
    low = np.floor(corners.min(0) - stroke - 1).astype(int)
    high = np.ceil(corners.max(0) + stroke + 1).astype(int)
    columns, rows = (high - low).tolist()
    points = np.rint((corners - low) * SUPERSAMPLING - 0.5).astype(np.int32)
    inside = np.zeros((rows * SUPERSAMPLING, columns * SUPERSAMPLING), np.uint8)
    line = np.zeros_like(inside)
    if not hollow:
        cv2.fillPoly(inside, [points], 1)
    if stroke > 0:
        cv2.polylines(line, [points], True, 1, round(stroke * SUPERSAMPLING))
    whole = inside | line

    whole_box = extent(whole, low)
    if whole_box is None:
        return None
    box = (
        max(whole_box[0], 0.0),
        max(whole_box[1], 0.0),
        min(whole_box[2], float(width)),
        min(whole_box[3], float(height)),
    )
    kept_width, kept_height = box[2] - box[0], box[3] - box[1]
    whole_area = (whole_box[2] - whole_box[0]) * (whole_box[3] - whole_box[1])
    if min(kept_width, kept_height) <= 0 or kept_width * kept_height < _MIN_INSIDE * whole_area:
        return None

    # The part outside the image may be the tip that determined a side of the box.
    left, top = max(int(low[0]), 0), max(int(low[1]), 0)
    right, bottom = min(int(high[0]), width), min(int(high[1]), height)
    cut = np.s_[
        (top - low[1]) * SUPERSAMPLING : (bottom - low[1]) * SUPERSAMPLING,
        (left - low[0]) * SUPERSAMPLING : (right - low[0]) * SUPERSAMPLING,
    ]
    visible_box = extent(whole[cut], np.array([left, top]))
    if visible_box is None:
        return None
    border = share(line[cut]) if stroke > 0 and not hollow else None
    return Stencil(left, top, share(whole[cut]), border, visible_box)


def extent(mask: np.ndarray, origin: np.ndarray) -> tuple[float, float, float, float] | None:
    """The box (xyxy, pixels of the image) of a supersampled mask that starts at `origin`."""
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    if len(columns) == 0:
        return None
    x, y = float(origin[0]), float(origin[1])
    return (
        x + float(columns[0]) / SUPERSAMPLING,
        y + float(rows[0]) / SUPERSAMPLING,
        x + float(columns[-1] + 1) / SUPERSAMPLING,
        y + float(rows[-1] + 1) / SUPERSAMPLING,
    )


def share(mask: np.ndarray) -> np.ndarray:
    """`[h, w]` float32: the share of each pixel that a supersampled mask covers."""
    rows, columns = mask.shape
    tiles = mask.reshape(
        rows // SUPERSAMPLING, SUPERSAMPLING, columns // SUPERSAMPLING, SUPERSAMPLING
    )
    return (tiles.sum(axis=(1, 3)) / SUPERSAMPLING**2).astype(np.float32)


def window(stencil: Stencil) -> tuple[slice, slice]:
    rows, columns = stencil.cover.shape
    return slice(stencil.y, stencil.y + rows), slice(stencil.x, stencil.x + columns)


def fits(
    stencil: Stencil,
    boxes: Sequence[tuple[float, float, float, float]],
    owner: np.ndarray,
    areas: Sequence[int],
    max_box_overlap: float = _MAX_BOX_OVERLAP,
    max_hidden: float = _MAX_HIDDEN,
) -> bool:
    """Whether enough of every older shape stays visible behind a new one."""
    if any(box_overlap(stencil.box, box) > max_box_overlap for box in boxes):
        return False
    rows, columns = window(stencil)
    covered = owner[rows, columns][stencil.cover >= 0.5]
    shown = np.bincount(owner[owner >= 0], minlength=len(areas))
    shown -= np.bincount(covered[covered >= 0], minlength=len(areas))
    return bool(np.all(shown >= (1 - max_hidden) * np.array(areas)))


def box_overlap(
    first: tuple[float, float, float, float], second: tuple[float, float, float, float]
) -> float:
    """Intersection over union of two boxes."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return width * height / (areas - width * height)


def blend(canvas: np.ndarray, cover: np.ndarray, colour: np.ndarray) -> None:
    """Blend `colour` (`[3]` or `[h, w, 3]`) into `canvas` `[h, w, 3]` with `cover` as opacity."""
    canvas += cover[..., None] * (colour - canvas)
