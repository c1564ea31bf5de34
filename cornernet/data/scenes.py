"""Images of made-up objects, rich enough that a network trained on them is a start for real ones.

Drawn shapes on plain backgrounds teach a network drawn shapes. A scene has what makes photographs
hard and is still free of any real image: textured surfaces, uneven light, noise, clutter, and
objects of any outline that resemble each other within an image, touch, and hide one another. All
objects are of one class, so that heads trained on them start for any classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from cornernet.data.shapes import CLASSES, contrasting, draw_clutter, outline
from cornernet.data.stencils import Stencil, blend, fits, rasterise, window

SCENE_CLASSES: tuple[str, ...] = ("object",)
"""The one class of everything that a scene shows."""

_MAX_OBJECTS = 14
_SMALLEST, _LARGEST = 10.0, 140.0  # longer side of an object, in pixels
_LARGEST_SHARE = 0.8  # ... but at most this share of the shorter side of the image
_MAX_HIDDEN = 0.5  # share of an older object that all newer ones may hide together
_MAX_BOX_OVERLAP = 0.5  # intersection over union of two boxes
_MIN_CONTRAST = 35.0  # distance in RGB between an object and what lies under it
_PLACEMENTS = 15  # attempts to place one object


@dataclass(frozen=True)
class _Kind:
    """What the objects of one sort have in common.

    Attributes:
        corners: draws the outline of one object, `[n, 2]` around the origin at any scale.
        smallest, largest: range of the longer side in pixels.
        texture: of the surface.
        color: `[3]` main colour, or None to draw one that contrasts with what lies under it.
        spread: how far colours of the surface differ from the main colour.
        opacity: of the whole object.
        softness: standard deviation in pixels by which the edge is blurred.
        stroke: width of the border in pixels; 0 draws none.
        hollow: only the border is drawn.
        core: size of a second, darker or lighter shape in the middle, as a share; 0 draws none.
        shaded: how much brightness falls off towards the edge.
    """

    corners: Callable[[np.random.Generator], np.ndarray]
    smallest: float
    largest: float
    texture: str
    color: np.ndarray | None
    spread: float
    opacity: float
    softness: float
    stroke: float
    hollow: bool
    core: float
    shaded: float


def draw_scene(
    rng: np.random.Generator, min_side: int, max_side: int
) -> tuple[np.ndarray, list[tuple[float, float, float, float]], list[int]]:
    """One image `[H, W, 3]` uint8 RGB, its boxes (xyxy px) and their labels, which are 0.

    Args:
        rng: the source of all random numbers.
        min_side, max_side: range of both sides in pixels.
    """
    width, height = (int(side) for side in rng.integers(min_side, max_side, 2, endpoint=True))
    canvas = _background(rng, height, width)
    for _ in range(int(rng.integers(0, 3))):
        draw_clutter(rng, canvas)
    largest = min(_LARGEST, _LARGEST_SHARE * min(height, width))
    kinds = [_draw_kind(rng, largest) for _ in range(int(rng.integers(1, 4)))]
    boxes: list[tuple[float, float, float, float]] = []
    # The index of the object at each pixel, -1 for none; the pixels of each when it was drawn.
    owner = np.full((height, width), -1, np.int32)
    areas: list[int] = []
    for _ in range(int(rng.integers(1, _MAX_OBJECTS, endpoint=True))):
        kind = kinds[int(rng.integers(len(kinds)))]
        stencil = _place(rng, kind, boxes, owner, areas)
        if stencil is None:  # no room is left
            continue
        _paint(rng, canvas, stencil, kind)
        solid = stencil.cover >= 0.5
        owner[window(stencil)][solid] = len(boxes)
        areas.append(int(solid.sum()))
        boxes.append(stencil.box)
    return _photograph(rng, canvas), boxes, [0] * len(boxes)


def _texture(rng: np.random.Generator, style: str, height: int, width: int) -> np.ndarray:
    """`[H, W]` float32 in 0..1: how much of a second colour each pixel has."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    period = float(np.exp(rng.uniform(np.log(4), np.log(40))))  # px
    if style == "plain":
        blended = np.zeros((height, width), np.float32)
    elif style == "slope":
        blended = (along - along.min()) / max(float(np.ptp(along)), 1.0)
    elif style == "stripes":
        blended = 0.5 + 0.5 * np.sin(2 * np.pi * along / period)
    elif style == "checks":
        blended = ((along // period + across // period) % 2).astype(np.float32)
    elif style == "dots":
        blended = (np.cos(np.pi * along / period) * np.cos(np.pi * across / period)) ** 4
    else:
        return _clouds(rng, height, width)
    return np.asarray(blended, np.float32)


def _clouds(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """`[H, W]` float32 in 0..1: noise of several scales, the coarse ones stronger."""
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    decay = rng.uniform(0.45, 0.95)
    for cells in (3, 6, 12, 24, 48, 96):
        coarse = rng.integers(0, 255, (cells, cells), np.uint8)
        # The exact interpolation gives the same bits on every processor.
        smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
        total += weight / 255 * smooth
        weight *= decay
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


_TEXTURES = ("plain", "slope", "clouds", "clouds", "stripes", "checks", "dots")


def _surface(
    rng: np.random.Generator, color: np.ndarray, spread: float, style: str, height: int, width: int
) -> np.ndarray:
    """`[H, W, 3]` float32: a texture between two colours near `color`."""
    other = np.clip(color + rng.uniform(-spread, spread, 3), 0, 255)
    blended = _texture(rng, style, height, width)[..., None]
    return (color + blended * (other - color)).astype(np.float32)


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """`[H, W, 3]` float32 in 0..255: one surface, or several that meet at straight lines."""
    color = rng.uniform(15, 240, 3)
    spread = float(rng.uniform(10, 90))
    canvas = _surface(rng, color, spread, str(rng.choice(_TEXTURES)), height, width)
    for _ in range(int(rng.choice([0, 0, 1, 2, 4]))):
        # A half-plane or a large polygon of another surface: no object, for it has no end.
        angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(-0.4, 0.4) * max(height, width)
        y, x = np.mgrid[0:height, 0:width]
        side = (x - width / 2) * np.cos(angle) + (y - height / 2) * np.sin(angle) > distance
        near = np.clip(color + rng.uniform(-100, 100, 3), 0, 255)
        other = _surface(rng, near, spread, str(rng.choice(_TEXTURES)), height, width)
        canvas[side] = other[side]
    return canvas


def _draw_kind(rng: np.random.Generator, largest: float) -> _Kind:
    # Log-uniform, so that small objects are as frequent as large ones.
    low, high = np.sort(np.exp(rng.uniform(np.log(_SMALLEST), np.log(largest), 2)))
    if rng.random() < 0.5:  # objects of one size
        low = high * 0.75
    hollow = bool(rng.random() < 0.1)
    bordered = hollow or rng.random() < 0.35
    return _Kind(
        corners=_outlines(rng),
        smallest=max(float(low), _SMALLEST),
        largest=float(high),
        texture=str(rng.choice(_TEXTURES)),
        color=rng.uniform(0, 255, 3) if rng.random() < 0.5 else None,
        spread=float(rng.uniform(5, 110)),
        opacity=float(rng.uniform(0.5, 1.0)) if rng.random() < 0.4 else 1.0,
        softness=float(rng.uniform(0.5, 2.0)) if rng.random() < 0.3 else 0.0,
        stroke=float(rng.uniform(1.5, 5.0)) if bordered else 0.0,
        hollow=hollow,
        core=float(rng.uniform(0.25, 0.7)) if not hollow and rng.random() < 0.3 else 0.0,
        shaded=float(rng.uniform(-0.5, 0.5)) if rng.random() < 0.6 else 0.0,
    )


def _outlines(rng: np.random.Generator) -> Callable[[np.random.Generator], np.ndarray]:
    """A sort of outline: a function that draws one, a little different each time."""
    styles = ("blob", "ellipse", "polygon", "rectangle", "shape")
    style = rng.choice(styles, p=[0.4, 0.2, 0.15, 0.15, 0.1])
    stretch = float(np.exp(rng.uniform(-0.9, 0.9))) if rng.random() < 0.6 else 1.0
    turns = rng.random() < 0.7
    roughness, waves = float(rng.uniform(0.03, 0.35)), int(rng.integers(2, 9))
    sides, name = int(rng.integers(3, 8)), str(rng.choice(CLASSES))
    theta = 2 * np.pi * np.arange(72) / 72

    def draw(rng: np.random.Generator) -> np.ndarray:
        if style == "blob":
            radius = np.ones_like(theta)
            for wave in range(1, waves + 1):
                strength = roughness * rng.normal() / np.sqrt(wave)
                radius += strength * np.cos(wave * theta + rng.uniform(0, 2 * np.pi))
            corners = np.stack([np.cos(theta), np.sin(theta)], 1) * radius.clip(0.25)[:, None]
        elif style == "ellipse":
            corners = np.stack([np.cos(theta), np.sin(theta)], 1)
        elif style == "polygon":
            angles = 2 * np.pi * (np.arange(sides) + rng.uniform(-0.3, 0.3, sides)) / sides
            corners = np.stack([np.cos(angles), np.sin(angles)], 1)
        elif style == "rectangle":
            corners = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
        else:
            corners = outline(name).copy()
        corners[:, 0] *= stretch * np.exp(rng.normal() * 0.1)
        angle = rng.uniform(0, 2 * np.pi) if turns else rng.normal() * 0.1
        cosine, sine = np.cos(angle), np.sin(angle)
        return corners @ np.array([[cosine, sine], [-sine, cosine]])

    return draw


def _place(
    rng: np.random.Generator,
    kind: _Kind,
    boxes: list[tuple[float, float, float, float]],
    owner: np.ndarray,
    areas: list[int],
) -> Stencil | None:
    """Draw size, outline and position until no older object is hidden; None if that fails."""
    height, width = owner.shape
    for _ in range(_PLACEMENTS):
        side = float(np.exp(rng.uniform(np.log(kind.smallest), np.log(kind.largest))))
        stroke = min(kind.stroke, side / 5)
        corners = kind.corners(rng)
        corners -= (corners.min(0) + corners.max(0)) / 2
        corners *= (side - stroke) / np.ptp(corners, axis=0).max()
        centre = rng.uniform(0, 1, 2) * (width, height)
        stencil = rasterise(corners + centre, stroke, kind.hollow, width, height)
        if stencil is not None and fits(
            stencil, boxes, owner, areas, _MAX_BOX_OVERLAP, _MAX_HIDDEN
        ):
            return stencil
    return None


def _paint(rng: np.random.Generator, canvas: np.ndarray, stencil: Stencil, kind: _Kind) -> None:
    patch = canvas[window(stencil)]
    behind = patch[stencil.cover > 0]
    distance = 0.0
    color = kind.color
    if color is not None:
        color = np.clip(color + rng.normal(0, 12, 3), 0, 255)
        distance = float(np.linalg.norm(behind.mean(0) - color))
    if color is None or distance * kind.opacity < _MIN_CONTRAST:
        color = contrasting(rng, behind, _MIN_CONTRAST / kind.opacity)
    rows, columns = stencil.cover.shape
    surface = _surface(rng, np.asarray(color), kind.spread, kind.texture, rows, columns)
    # 0 in the middle of the box, 1 at its edges.
    y, x = np.linspace(-1, 1, rows)[:, None], np.linspace(-1, 1, columns)
    radius = np.sqrt(x * x + y * y)
    if kind.core:
        middle = np.clip((kind.core - radius) * 6, 0, 1)[..., None]
        inner = np.clip(np.asarray(color) + rng.uniform(-110, 110, 3), 0, 255)
        surface += middle * (inner - surface)
    light = kind.shaded * (radius - 0.5) + rng.uniform(-0.1, 0.1) * x
    surface = np.clip(surface * (1 + light[..., None]), 0, 255)
    cover = stencil.cover
    if kind.softness:
        cover = cv2.GaussianBlur(cover, (0, 0), kind.softness)
    blend(patch, cover * kind.opacity, surface)
    if stencil.border is not None:
        border = np.clip(np.asarray(color) * rng.uniform(0.2, 0.7), 0, 255)
        blend(patch, stencil.border, border.astype(np.float32))


def _photograph(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Take colour away, as most photographs have little; add uneven light, blur and noise."""
    height, width = canvas.shape[:2]
    grey = canvas.mean(2, keepdims=True)
    image = grey + rng.uniform(0.4, 1.0) * (canvas - grey)
    coarse = rng.integers(0, 255, (3, 3), np.uint8)
    cloud = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR_EXACT) / 255.0
    light = 1 + rng.uniform(0, 0.35) * (cloud[..., None] - 0.5)
    gains = rng.uniform(0.85, 1.1, 3) * rng.uniform(0.75, 1.15)
    pixels = np.rint(np.clip(image * light * gains, 0, 255)).astype(np.uint8)
    if rng.random() < 0.7:
        # OpenCV filters uint8 in fixed point, with the same bits on every processor.
        pixels = cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.4, 1.4)))
    noise = rng.normal(0, rng.uniform(0.5, 10), pixels.shape)
    return np.rint(np.clip(pixels + noise, 0, 255)).astype(np.uint8)
