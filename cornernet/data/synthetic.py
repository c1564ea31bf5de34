"""A synthetic dataset of drawn shapes in COCO's format, for first steps and for tests.

Every image shows shapes of several classes on a plain, graded, striped or cloudy background with
clutter: filled, bordered or hollow, in any colour, rotated by any angle, overlapping a little and
sometimes cut off at the edge of the image. The classes are easy to tell apart for a person, but a
network has to learn them, because neither colour nor size nor position depends on the class.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cornernet.data.images import write_image
from cornernet.errors import UserError
from cornernet.runtime.files import new_folder

CLASSES: tuple[str, ...] = ("circle", "square", "triangle", "star", "cross")
"""All shapes that can be drawn, in the order of their category ids 1, 2, ..."""

_MAX_SHAPES = 8
_SMALLEST, _LARGEST = 18.0, 112.0  # longer side of a shape, in pixels
_LARGEST_SHARE = 0.55  # ... but at most this share of the shorter side of the image
_MAX_HIDDEN = 0.35  # share of the pixels of an older shape that all newer ones may hide together
_MAX_BOX_OVERLAP = 0.35  # intersection over union of two boxes
_MIN_INSIDE = 0.8  # share of the box of a shape that is inside the image
_MIN_CONTRAST = 80.0  # distance in RGB between a shape and what lies under it
_PLACEMENTS = 30  # attempts to place one shape
_COLOURS = 12  # colours tried for one shape
_SUPER = 4  # shapes are rasterised at this many times the resolution in both directions


@dataclass
class _Stencil:
    """A rasterised shape on the pixel grid of the image.

    Attributes:
        x, y: column and row of the image at which the arrays start.
        cover: `[h, w]` float32, share of each pixel that the whole shape covers.
        border: `[h, w]` float32, the share that its border covers; None without a border.
        box: `x1 y1 x2 y2` in pixels of the image, exact to 1 / `_SUPER`.
    """

    x: int
    y: int
    cover: np.ndarray
    border: np.ndarray | None
    box: tuple[float, float, float, float]


def synthesize(
    root: str | os.PathLike[str],
    *,
    train: int = 400,
    val: int = 100,
    classes: Sequence[str] = CLASSES,
    seed: int = 0,
    min_side: int = 160,
    max_side: int = 256,
) -> Path:
    """Write a data directory of drawn shapes with the splits "train" and "val".

    The same arguments give the same bytes. Every image has a random generator of its own, so a
    larger number of images does not change the first ones. A box encloses the whole shape as it was
    drawn, even if a later shape hides a part of it, and is clipped to the image.

    Args:
        root: the directory to make; it may exist if it is empty.
        train, val: number of images in each split.
        classes: shapes to draw, out of `CLASSES`, in the order of their category ids.
        seed: at least 0.
        min_side, max_side: the sides of the images are drawn uniformly from this range, in pixels.

    Returns:
        `root` as a path.

    Raises:
        UserError: if `root` is not empty, cannot be written, or an argument is out of range.
    """
    target = Path(root)
    _check_arguments(train, val, classes, seed, min_side, max_side)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        found = "a directory that is not empty" if target.is_dir() else "a file"
        raise UserError(
            f"{target}: expected a new or empty directory to write the data to, found {found}; "
            "choose another name or remove it"
        )
    # The directory gets its name when it is complete, so that half a dataset is never found there.
    try:
        with new_folder(target) as unfinished:
            (unfinished / "annotations").mkdir()
            for number, (split, count) in enumerate((("train", train), ("val", val))):
                images, annotations = _write_images(
                    unfinished / split, count, (seed, number), classes, min_side, max_side
                )
                content = {
                    "info": {"description": f"drawn shapes, seed {seed}", "version": "1"},
                    "licenses": [],
                    "images": images,
                    "annotations": annotations,
                    "categories": [
                        {"id": label + 1, "name": name} for label, name in enumerate(classes)
                    ],
                }
                path = unfinished / "annotations" / f"instances_{split}.json"
                path.write_text(json.dumps(content) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{target}: expected to write data here, got the system's error "
            f"'{error.strerror or error}'; choose a directory that is writable and has room"
        ) from None
    return target


def _check_arguments(
    train: int, val: int, classes: Sequence[str], seed: int, min_side: int, max_side: int
) -> None:
    for field, count in (("train", train), ("val", val)):
        if count < 1:
            raise UserError(f"must be at least 1, got {count}", field=field)
    unknown = [name for name in classes if name not in CLASSES]
    if unknown or not classes or len(set(classes)) < len(classes):
        raise UserError(
            f"must be different names out of {', '.join(CLASSES)}, "
            f"got {', '.join(classes) or 'none'}",
            field="classes",
        )
    if seed < 0:
        raise UserError(f"must be at least 0, got {seed}", field="seed")
    if not 64 <= min_side <= 4096:
        raise UserError(f"must be from 64 to 4096 pixels, got {min_side}", field="min_side")
    if not min_side <= max_side <= 4096:
        raise UserError(
            f"must be from min_side = {min_side} to 4096 pixels, got {max_side}", field="max_side"
        )


def _write_images(
    directory: Path,
    count: int,
    seed: tuple[int, int],
    classes: Sequence[str],
    min_side: int,
    max_side: int,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Draw images into a new directory; returns COCO's entries for images and annotations."""
    directory.mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        rng = np.random.default_rng([*seed, index])
        image, boxes, labels = _draw_image(rng, classes, min_side, max_side)
        identity = index + 1
        file_name = f"{identity:06d}.jpg"
        write_image(directory / file_name, image)
        height, width = image.shape[:2]
        images.append({"id": identity, "file_name": file_name, "width": width, "height": height})
        for (x1, y1, x2, y2), label in zip(boxes, labels, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": identity,
                    "category_id": label + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                    "segmentation": [],
                }
            )
    return images, annotations


def _draw_image(
    rng: np.random.Generator, classes: Sequence[str], min_side: int, max_side: int
) -> tuple[np.ndarray, list[tuple[float, float, float, float]], list[int]]:
    """One image `[H, W, 3]` uint8 RGB, its boxes (xyxy px) and labels (indices of `classes`)."""
    width, height = (int(side) for side in rng.integers(min_side, max_side, 2, endpoint=True))
    canvas = _background(rng, height, width)
    _draw_clutter(rng, canvas)
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
        rows, columns = _window(stencil)
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


def _draw_clutter(rng: np.random.Generator, canvas: np.ndarray) -> None:
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
        _blend(canvas, mask.astype(np.float32) / 255, colour)


def _outline(name: str) -> np.ndarray:
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
) -> _Stencil | None:
    """Draw a size, angle and position until the shape hides no older one; None if that fails."""
    height, width = owner.shape
    largest = min(_LARGEST, _LARGEST_SHARE * min(height, width))
    filling = rng.choice(["plain", "bordered", "hollow"], p=[0.5, 0.25, 0.25])
    for _ in range(_PLACEMENTS):
        # Uniform in the logarithm, so that small shapes are as frequent as large ones.
        side = float(np.exp(rng.uniform(np.log(_SMALLEST), np.log(largest))))
        angle = rng.uniform(0, 2 * np.pi)
        cosine, sine = np.cos(angle), np.sin(angle)
        corners = _outline(name) @ np.array([[cosine, sine], [-sine, cosine]])
        corners -= (corners.min(0) + corners.max(0)) / 2
        stroke = 0.0 if filling == "plain" else float(np.clip(side * 0.09, 2.0, 6.0))
        corners *= (side - stroke) / np.ptp(corners, axis=0).max()
        centre = rng.uniform(0, 1, 2) * (width, height)
        stencil = _rasterise(corners + centre, stroke, filling == "hollow", width, height)
        if stencil is not None and _fits(stencil, boxes, owner, areas):
            return stencil
    return None


def _rasterise(
    corners: np.ndarray, stroke: float, hollow: bool, width: int, height: int
) -> _Stencil | None:
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
    points = np.rint((corners - low) * _SUPER - 0.5).astype(np.int32)
    inside = np.zeros((rows * _SUPER, columns * _SUPER), np.uint8)
    line = np.zeros_like(inside)
    if not hollow:
        cv2.fillPoly(inside, [points], 1)
    if stroke > 0:
        cv2.polylines(line, [points], True, 1, round(stroke * _SUPER))
    whole = inside | line

    whole_box = _extent(whole, low)
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
        (top - low[1]) * _SUPER : (bottom - low[1]) * _SUPER,
        (left - low[0]) * _SUPER : (right - low[0]) * _SUPER,
    ]
    visible_box = _extent(whole[cut], np.array([left, top]))
    if visible_box is None:
        return None
    border = _share(line[cut]) if stroke > 0 and not hollow else None
    return _Stencil(left, top, _share(whole[cut]), border, visible_box)


def _extent(mask: np.ndarray, origin: np.ndarray) -> tuple[float, float, float, float] | None:
    """The box (xyxy, pixels of the image) of a supersampled mask that starts at `origin`."""
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    if len(columns) == 0:
        return None
    x, y = float(origin[0]), float(origin[1])
    return (
        x + float(columns[0]) / _SUPER,
        y + float(rows[0]) / _SUPER,
        x + float(columns[-1] + 1) / _SUPER,
        y + float(rows[-1] + 1) / _SUPER,
    )


def _share(mask: np.ndarray) -> np.ndarray:
    """`[h, w]` float32: the share of each pixel that a supersampled mask covers."""
    rows, columns = mask.shape
    tiles = mask.reshape(rows // _SUPER, _SUPER, columns // _SUPER, _SUPER)
    return (tiles.sum(axis=(1, 3)) / _SUPER**2).astype(np.float32)


def _window(stencil: _Stencil) -> tuple[slice, slice]:
    rows, columns = stencil.cover.shape
    return slice(stencil.y, stencil.y + rows), slice(stencil.x, stencil.x + columns)


def _fits(
    stencil: _Stencil,
    boxes: Sequence[tuple[float, float, float, float]],
    owner: np.ndarray,
    areas: Sequence[int],
) -> bool:
    """Whether enough of every older shape stays visible behind a new one."""
    if any(_overlap(stencil.box, box) > _MAX_BOX_OVERLAP for box in boxes):
        return False
    rows, columns = _window(stencil)
    covered = owner[rows, columns][stencil.cover >= 0.5]
    shown = np.bincount(owner[owner >= 0], minlength=len(areas))
    shown -= np.bincount(covered[covered >= 0], minlength=len(areas))
    return bool(np.all(shown >= (1 - _MAX_HIDDEN) * np.array(areas)))


def _overlap(
    first: tuple[float, float, float, float], second: tuple[float, float, float, float]
) -> float:
    """Intersection over union of two boxes."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return width * height / (areas - width * height)


def _paint(rng: np.random.Generator, canvas: np.ndarray, stencil: _Stencil) -> None:
    """Paint a shape in a colour that contrasts with what is under it."""
    patch = canvas[_window(stencil)]
    shape = stencil.cover > 0
    behind = patch[shape]
    colour = _contrasting(rng, behind)
    rows, columns = stencil.cover.shape
    # A slight gradient of brightness, because real objects do not have one uniform colour.
    slope = np.linspace(-1, 1, columns) * rng.uniform(-12, 12)
    slope = slope + np.linspace(-1, 1, rows)[:, None] * rng.uniform(-12, 12)
    shaded = np.clip(colour + slope[..., None], 0, 255).astype(np.float32)
    _blend(patch, stencil.cover, shaded)
    if stencil.border is not None:
        # A border in the colour of the background would be invisible, and the box too large.
        border_colour = _contrasting(rng, np.concatenate([behind, patch[shape]]))
        _blend(patch, stencil.border, border_colour)


def _contrasting(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """A random colour `[3]` float32 that differs from nearly all of `pixels` `[n, 3]`."""
    best, best_distance = np.zeros(3), -1.0
    for _ in range(_COLOURS):
        colour = rng.uniform(0, 255, 3)
        distance = float(np.percentile(np.sqrt(((pixels - colour) ** 2).sum(1)), 5))
        if distance > best_distance:
            best, best_distance = colour, distance
        if distance >= _MIN_CONTRAST:
            break
    return best.astype(np.float32)


def _blend(canvas: np.ndarray, cover: np.ndarray, colour: np.ndarray) -> None:
    """Blend `colour` (`[3]` or `[h, w, 3]`) into `canvas` `[h, w, 3]` with `cover` as opacity."""
    canvas += cover[..., None] * (colour - canvas)


def _photograph(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Make a drawing look like a photograph: slightly blurred half of the time, and noisy."""
    # OpenCV filters uint8 in fixed point, with the same bits on every processor.
    image = np.rint(np.clip(canvas, 0, 255)).astype(np.uint8)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 0.9)))
    noisy = image + rng.normal(0, rng.uniform(1, 9), image.shape)
    return np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)
