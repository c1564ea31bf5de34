"""Images of drawn shapes: the classes of `synthesize`, on backgrounds with clutter."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from cornernet.data.stencils import Stencil, blend, fits, rasterise, window

CLASSES: tuple[str, ...] = ("circle", "square", "triangle", "star", "cross")
"""All shapes that can be drawn, in the order of their category ids 1, 2, ..."""

_MAX_SHAPES = 8
_SMALLEST, _LARGEST = 18.0, 112.0  # longer side of a shape, in pixels
_LARGEST_SHARE = 0.55  # ... but at most this share of the shorter side of the image
_MIN_CONTRAST = 80.0  # distance in RGB between a shape and what lies under it
_PLACEMENTS = 30  # attempts to place one shape
_COLOURS = 12  # colours tried for one shape


def draw_shapes(
    rng: np.random.Generator, classes: Sequence[str], min_side: int, max_side: int
) -> tuple[np.ndarray, list[tuple[float, float, float, float]], list[int]]:
    """One image `[H, W, 3]` uint8 RGB, its boxes (xyxy px) and labels (indices of `classes`)."""
    width, height = (int(side) for side in rng.integers(min_side, max_side, 2, endpoint=True))
    canvas = _background(rng, height, width)
    draw_clutter(rng, canvas)
    boxes: list[tuple[float, float, float, float]] = []
    labels: list[int] = []
    # The index of the shape at each pixel, -1 for none; the pixels of each shape when it was drawn.
    owner = np.full((height, width), -1, np.int32)
    areas: list[int] = []
    for _ in range(int(rng.integers(1, _MAX_SHAPES, endpoint=True))):
        label = int(rng.integers(len(classes)))
        stencil = _place(rng, classes[label], boxes, owner, areas)
        if stencil is None:  # no room is left
            continue
        _paint(rng, canvas, stencil)
        rows, columns = window(stencil)
        solid = stencil.cover >= 0.5
        owner[rows, columns][solid] = len(boxes)
        areas.append(int(solid.sum()))
        boxes.append(stencil.box)
        labels.append(label)
    return _photograph(rng, canvas), boxes, labels


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """`[H, W, 3]` float32 in 0..255: one colour, or two in a slope, stripes or clouds."""
    first = rng.uniform(20, 235, 3)
    second = np.clip(first + rng.uniform(-70, 70, 3), 0, 255)
    style = rng.choice(["plain", "slope", "stripes", "clouds"])
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:height, 0:width]
    along = (x - width / 2) * np.cos(angle) + (y - height / 2) * np.sin(angle)  # px
    if style == "plain":
        blend: np.ndarray = np.zeros((height, width))
    elif style == "slope":
        blend = np.clip(along / max(height, width) + 0.5, 0, 1)
    elif style == "stripes":
        # Half of the contrast, so that the stripes do not look like shapes.
        blend = 0.25 + 0.25 * np.sin(2 * np.pi * along / rng.uniform(8, 40))
    else:
        coarse = rng.integers(0, 255, (int(rng.integers(3, 9)), int(rng.integers(3, 9))), np.uint8)
        # The exact interpolation gives the same bits on every processor.
        clouds = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
        blend = clouds / 255.0
    return (first + blend[..., None] * (second - first)).astype(np.float32)


def draw_clutter(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Add lines, arcs and specks to the background, which belong to no class."""
    height, width = canvas.shape[:2]
    for _ in range(int(rng.integers(0, 7))):
        kind = rng.choice(["line", "arc", "specks"])
        colour = np.clip(canvas.mean((0, 1)) + rng.uniform(-90, 90, 3), 0, 255).astype(np.float32)
        mask = np.zeros((height, width), np.uint8)
        if kind == "line":
            start, end = ((int(rng.integers(width)), int(rng.integers(height))) for _ in range(2))
            cv2.line(mask, start, end, 255, int(rng.integers(1, 3)), cv2.LINE_AA)
        elif kind == "arc":
            centre = (int(rng.integers(width)), int(rng.integers(height)))
            axes = (int(rng.integers(10, 60)), int(rng.integers(10, 60)))
            start_angle = int(rng.integers(360))
            length = int(rng.integers(40, 120))  # degrees: far from a closed circle
            end_angle = start_angle + length
            cv2.ellipse(mask, centre, axes, 0, start_angle, end_angle, 255, 1, cv2.LINE_AA)
        else:
            for _ in range(int(rng.integers(5, 25))):
                centre = (int(rng.integers(width)), int(rng.integers(height)))
                cv2.circle(mask, centre, int(rng.integers(1, 3)), 255, -1, cv2.LINE_AA)
        blend(canvas, mask.astype(np.float32) / 255, colour)


def outline(name: str) -> np.ndarray:
    """The corners `[n, 2]` of a shape around the origin, at any scale."""
    if name == "circle":
        return _on_circle(96)
    if name == "square":
        return _on_circle(4)
    if name == "triangle":
        return _on_circle(3)
    if name == "star":
        corners = _on_circle(10)
        corners[1::2] *= 0.42
        return corners
    # A cross with arms one third as wide as the whole.
    arm, half = 1.0, 0.34
    return np.array(
        [
            (half, half), (half, arm), (-half, arm), (-half, half), (-arm, half), (-arm, -half),
            (-half, -half), (-half, -arm), (half, -arm), (half, -half), (arm, -half), (arm, half),
        ]
    )  # fmt: skip


def _on_circle(count: int) -> np.ndarray:
    angles = 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _place(
    rng: np.random.Generator,
    name: str,
    boxes: Sequence[tuple[float, float, float, float]],
    owner: np.ndarray,
    areas: Sequence[int],
) -> Stencil | None:
    """Draw a size, angle and position until the shape hides no older one; None if that fails."""
    height, width = owner.shape
    largest = min(_LARGEST, _LARGEST_SHARE * min(height, width))
    filling = rng.choice(["plain", "bordered", "hollow"], p=[0.5, 0.25, 0.25])
    for _ in range(_PLACEMENTS):
        # Uniform in the logarithm, so that small shapes are as frequent as large ones.
        side = float(np.exp(rng.uniform(np.log(_SMALLEST), np.log(largest))))
        angle = rng.uniform(0, 2 * np.pi)
        cosine, sine = np.cos(angle), np.sin(angle)
        corners = outline(name) @ np.array([[cosine, sine], [-sine, cosine]])
        corners -= (corners.min(0) + corners.max(0)) / 2
        stroke = 0.0 if filling == "plain" else float(np.clip(side * 0.09, 2.0, 6.0))
        corners *= (side - stroke) / np.ptp(corners, axis=0).max()
        centre = rng.uniform(0, 1, 2) * (width, height)
        stencil = rasterise(corners + centre, stroke, filling == "hollow", width, height)
        if stencil is not None and fits(stencil, boxes, owner, areas):
            return stencil
    return None


def _paint(rng: np.random.Generator, canvas: np.ndarray, stencil: Stencil) -> None:
    """Paint a shape in a colour that contrasts with what is under it."""
    patch = canvas[window(stencil)]
    shape = stencil.cover > 0
    behind = patch[shape]
    colour = contrasting(rng, behind)
    rows, columns = stencil.cover.shape
    # A slight gradient of brightness, because real objects do not have one uniform colour.
    slope = np.linspace(-1, 1, columns) * rng.uniform(-12, 12)
    slope = slope + np.linspace(-1, 1, rows)[:, None] * rng.uniform(-12, 12)
    shaded = np.clip(colour + slope[..., None], 0, 255).astype(np.float32)
    blend(patch, stencil.cover, shaded)
    if stencil.border is not None:
        # A border in the colour of the background would be invisible, and the box too large.
        border_colour = contrasting(rng, np.concatenate([behind, patch[shape]]))
        blend(patch, stencil.border, border_colour)


def contrasting(
    rng: np.random.Generator, pixels: np.ndarray, least: float = _MIN_CONTRAST
) -> np.ndarray:
    """A random colour `[3]` float32 that differs from nearly all of `pixels` `[n, 3]`."""
    best, best_distance = np.zeros(3), -1.0
    for _ in range(_COLOURS):
        colour = rng.uniform(0, 255, 3)
        distance = float(np.percentile(np.sqrt(((pixels - colour) ** 2).sum(1)), 5))
        if distance > best_distance:
            best, best_distance = colour, distance
        if distance >= least:
            break
    return best.astype(np.float32)


def _photograph(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Make a drawing look like a photograph: slightly blurred half of the time, and noisy."""
    # OpenCV filters uint8 in fixed point, with the same bits on every processor.
    image = np.rint(np.clip(canvas, 0, 255)).astype(np.uint8)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 0.9)))
    noisy = image + rng.normal(0, rng.uniform(1, 9), image.shape)
    return np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)
