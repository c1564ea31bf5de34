"""Random changes to training images, as in MMDetection's CornerNet.

Each change is a pair of functions: one draws the parameters, the other applies them, so that a
test can apply parameters of its own. Images are `[H, W, 3]` RGB in 0..255: uint8 as they are read,
float32 after the first change.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from cornernet.config import AugmentConfig
from cornernet.structures import Sample

# How many centres are tried for a crop before another crop size is drawn.
_CENTRE_TRIES = 50
# How many crop sizes are tried before the crop is centred on a box.
_SIZE_TRIES = 20
# The upper bounds of hue, saturation and value.
_MAX_HSV = np.array([np.inf, 1, np.inf], np.float32)
# A cyclic permutation of red, green and blue rotates the hue by this many degrees. The other
# permutations rotate it and swap red and blue.
_HUE_OF_ORDER = {(0, 1, 2): 0.0, (2, 0, 1): 120.0, (1, 2, 0): 240.0}


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(height, width) times a factor, in whole pixels, at least 1."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize to (height, width).

    Bilinear, but area averaging if both sides shrink to half or less, where bilinear interpolation
    would skip pixels.
    """
    height, width = image.shape[:2]
    shrinks = size[0] * 2 <= height and size[1] * 2 <= width
    return cv2.resize(
        image, (size[1], size[0]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def resize_sample(sample: Sample, size: tuple[int, int]) -> Sample:
    """Resize image and boxes to (height, width)."""
    height, width = sample.image.shape[:2]
    if (height, width) == size:
        return sample
    scale = np.array([size[1] / width, size[0] / height] * 2, np.float32)
    return replace(
        sample,
        image=resize(sample.image, size),
        boxes=sample.boxes * scale,
        crowd_boxes=sample.crowd_boxes * scale,
    )


@dataclass(frozen=True)
class Photometry:
    """The parameters of the colour changes; None leaves a change out.

    Attributes:
        brightness: added to all pixels, on the scale of 0..255.
        contrast: factor on all pixels.
        contrast_first: whether contrast comes before saturation and hue or after them.
        saturation: factor on the saturation.
        hue: added to the hue, in degrees.
        channels: new order of the colour channels.
    """

    brightness: float | None = None
    contrast: float | None = None
    contrast_first: bool = True
    saturation: float | None = None
    hue: float | None = None
    channels: tuple[int, int, int] | None = None


UNCHANGED = Photometry()


def draw_photometry(config: AugmentConfig, rng: np.random.Generator) -> Photometry:
    """Draw colour changes; each happens with probability 1/2."""

    def maybe(low: float, high: float) -> float | None:
        happens, value = rng.random() < 0.5, float(rng.uniform(low, high))
        return value if happens and low < high else None

    brightness = maybe(-config.brightness, config.brightness)
    contrast_first = bool(rng.random() < 0.5)
    contrast = maybe(*config.contrast)
    saturation = maybe(*config.saturation)
    hue = maybe(-config.hue, config.hue)
    swap, order = rng.random() < 0.5, rng.permutation(3)
    channels = (int(order[0]), int(order[1]), int(order[2]))
    return Photometry(
        brightness,
        contrast,
        contrast_first,
        saturation,
        hue,
        channels if swap and config.swap_channels else None,
    )


def distort(image: np.ndarray, change: Photometry, out: np.ndarray | None = None) -> np.ndarray:
    """Apply colour changes to an image; the result is float32, and values may leave 0..255.

    Args:
        image: the image, which is not changed.
        change: the changes.
        out: array for the result, float32 with the shape of the image; None makes a new one.
    """
    in_hsv = change.saturation is not None or change.hue is not None
    if change.channels is not None and not in_hsv:
        image = cv2.transform(image, np.eye(3)[list(change.channels)])
    pixels = np.empty(image.shape, np.float32) if out is None or in_hsv else out
    np.copyto(pixels, image)
    if change.brightness is not None:
        pixels += change.brightness
    if in_hsv:
        return _distort_in_hsv(pixels, change, out)
    if change.contrast is not None:
        pixels *= change.contrast
    return pixels


def _distort_in_hsv(pixels: np.ndarray, change: Photometry, out: np.ndarray | None) -> np.ndarray:
    """Apply all changes but brightness in one conversion to HSV and back.

    Hue is in 0..360, saturation in 0..1. Contrast is a factor on the value, whether it comes first
    or last. `pixels` is overwritten.
    """
    order = change.channels or (0, 1, 2)
    cyclic = order in _HUE_OF_ORDER
    hue = (change.hue or 0.0) + _HUE_OF_ORDER[order if cyclic else order[::-1]]
    saturation = 1.0 if change.saturation is None else change.saturation
    contrast = 1.0 if change.contrast is None else change.contrast
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    # The conversion back accepts hues of 360 and more, but none below 0.
    change_hsv = np.array(
        [[1, 0, 0, hue % 360], [0, saturation, 0, 0], [0, 0, contrast, 0]], np.float64
    )
    hsv = cv2.transform(hsv, change_hsv, dst=pixels)
    if saturation > 1:
        rows = hsv.reshape(len(hsv), -1)  # NumPy is slow on a short last axis
        np.minimum(rows, np.tile(_MAX_HSV, hsv.shape[1]), out=rows)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB if cyclic else cv2.COLOR_HSV2BGR, dst=out)


@dataclass(frozen=True)
class Crop:
    """A square to cut out: its side and its centre (x, y) in pixels of the image."""

    side: int
    centre: tuple[int, int]

    def window(self, height: int, width: int) -> tuple[int, int, int, int]:
        """The part of the image inside the square: left, top, right, bottom."""
        x, y = self.centre
        half = self.side // 2
        return max(x - half, 0), max(y - half, 0), min(x + half, width), min(y + half, height)


def centre_margin(border: int, size: int) -> int:
    """The distance of a crop's centre from the edges: `border`, halved until it fits `size`.

    This is MMDetection's closed form. If `border` is not a power of two, it may be less than what
    repeated halving gives.
    """
    ratio = 2 * border / size
    halvings = math.ceil(math.log2(math.ceil(ratio))) + (ratio == int(ratio))
    return border // 2**halvings


def _centres_inside(boxes: np.ndarray, crop: Crop, height: int, width: int) -> np.ndarray:
    left, top, right, bottom = crop.window(height, width)
    x, y = (boxes[:, :2] + boxes[:, 2:]).T / 2
    inside: np.ndarray = (x > left) & (x < right) & (y > top) & (y < bottom)
    return inside


def draw_crop(
    sample: Sample,
    config: AugmentConfig,
    integers: Callable[[int, int], int],
    choice: Callable[[list[float]], float],
) -> Crop:
    """Draw a square that contains the centre of at least one box, if the image has boxes.

    Args:
        sample: the image.
        config: crop size, ratios and border.
        integers: draws uniformly from [low, high).
        choice: draws uniformly from a list.
    """
    height, width = sample.image.shape[:2]
    margin_x, margin_y = (centre_margin(config.crop_border, side) for side in (width, height))
    for _ in range(_SIZE_TRIES):
        side = int(config.crop_size * choice(config.crop_ratios))
        for _ in range(_CENTRE_TRIES):
            x = integers(margin_x, width - margin_x)
            y = integers(margin_y, height - margin_y)
            crop = Crop(side, (x, y))
            if not len(sample.boxes) or _centres_inside(sample.boxes, crop, height, width).any():
                return crop
    # All boxes are so near the edges of a large image that no allowed centre includes one.
    x1, y1, x2, y2 = sample.boxes[integers(0, len(sample.boxes))]
    return Crop(side, (int((x1 + x2) / 2), int((y1 + y2) / 2)))


def _frame(side: int, rows: slice, columns: slice, fill: tuple[float, float, float]) -> np.ndarray:
    """A square canvas, `[side, side, 3]` float32, filled around `rows` and `columns`."""
    canvas = np.empty((side, side, 3), np.float32)
    # Rows of 3 * side values, because NumPy is slow on a short last axis.
    numbers, line = canvas.reshape(side, -1), np.tile(np.array(fill, np.float32), side)
    numbers[: rows.start] = line
    numbers[rows.stop :] = line
    for part in (np.s_[: 3 * columns.start], np.s_[3 * columns.stop :]):
        numbers[rows, part] = line[part]
    return canvas


def placement(crop: Crop, height: int, width: int) -> tuple[slice, slice, np.ndarray]:
    """Where the part of an image inside a square lies there.

    Returns:
        Rows and columns of the square, and what brings x1, y1, x2, y2 in the image to the square.
    """
    left, top, right, bottom = crop.window(height, width)
    x, y = crop.centre
    half = crop.side // 2
    # The centre of the square, (half, half) on the canvas, is (x, y) in the image.
    rows = slice(half - (y - top), half - (y - bottom))
    columns = slice(half - (x - left), half - (x - right))
    return rows, columns, np.array([half - x, half - y] * 2, np.float32)


def paint(
    window: np.ndarray,
    rows: slice,
    columns: slice,
    side: int,
    fill: tuple[float, float, float],
    change: Photometry = UNCHANGED,
    mirrored: bool = False,
) -> np.ndarray:
    """A square with a part of an image on it, `[side, side, 3]` float32.

    Colour changes and the flip are applied here, so that they only cost time for what is kept.

    Args:
        window: the part of the image.
        rows, columns: where it lies.
        side: of the square.
        fill: RGB colour around it, 0..255.
        change: the colour changes.
        mirrored: flip the square horizontally.
    """
    if mirrored:
        window = cv2.flip(window, 1)
        columns = slice(side - columns.stop, side - columns.start)
    canvas = _frame(side, rows, columns, fill)
    distort(window, change, out=canvas[rows, columns])
    return canvas


def cut(
    sample: Sample,
    crop: Crop,
    fill: tuple[float, float, float],
    change: Photometry = UNCHANGED,
    mirrored: bool = False,
) -> Sample:
    """Cut out a square, filled with a colour outside the image.

    Boxes whose centre lies outside the square are removed; the others are moved and clipped.

    Args:
        sample: the image.
        crop: the square.
        fill: RGB colour outside the image, 0..255.
        change: the colour changes.
        mirrored: flip the square horizontally.
    """
    height, width = sample.image.shape[:2]
    left, top, right, bottom = crop.window(height, width)
    rows, columns, shift = placement(crop, height, width)
    window = sample.image[top:bottom, left:right]
    kept = _centres_inside(sample.boxes, crop, height, width)

    def moved(boxes: np.ndarray) -> np.ndarray:
        boxes = np.clip(boxes + shift, 0, crop.side).astype(np.float32, copy=False)
        if mirrored:
            boxes[:, [0, 2]] = crop.side - boxes[:, [2, 0]]
        return boxes

    boxes, labels, crowd = moved(sample.boxes[kept]), sample.labels[kept], moved(sample.crowd_boxes)
    solid, crowd_solid = (((b[:, 2:] - b[:, :2]) > 0).all(axis=1) for b in (boxes, crowd))
    return replace(
        sample,
        image=paint(window, rows, columns, crop.side, fill, change, mirrored),
        boxes=boxes[solid],
        labels=labels[solid],
        crowd_boxes=crowd[crowd_solid],
        crowd_labels=sample.crowd_labels[crowd_solid],
    )


def turn(sample: Sample, quarters: int) -> Sample:
    """Rotate a square image and its boxes counterclockwise by quarter turns.

    Args:
        sample: the image, as high as wide.
        quarters: how many times 90 degrees, 0..3.
    """
    side = sample.image.shape[0]

    def turned(boxes: np.ndarray) -> np.ndarray:
        for _ in range(quarters):
            x1, y1, x2, y2 = boxes.T
            boxes = np.stack([y1, side - x2, y2, side - x1], axis=1)
        return boxes

    return replace(
        sample,
        image=np.ascontiguousarray(np.rot90(sample.image, quarters)),
        boxes=turned(sample.boxes),
        crowd_boxes=turned(sample.crowd_boxes),
        difficult_boxes=turned(sample.difficult_boxes),
    )


def augment(
    sample: Sample,
    config: AugmentConfig,
    fill: tuple[float, float, float],
    rng: np.random.Generator,
) -> Sample:
    """Change colours, crop, flip, resize and turn an image of any size: a square of `crop_size`.

    Args:
        sample: the image as it was read.
        config: which changes may happen, and how large they are.
        fill: RGB colour outside the image, 0..255.
        rng: the source of all random numbers.
    """
    change = draw_photometry(config, rng)
    crop = draw_crop(
        sample,
        config,
        lambda low, high: int(rng.integers(low, high)),
        lambda options: options[int(rng.integers(len(options)))],
    )
    sample = cut(sample, crop, fill, change, mirrored=rng.random() < config.flip)
    sample = resize_sample(sample, (config.crop_size, config.crop_size))
    # No number is drawn for a change that is off, so that it leaves the others' numbers alone.
    return turn(sample, int(rng.integers(4))) if config.quarter_turns else sample
