"""Random changes to training pictures, as in MMDetection's CornerNet.

Each change is a pair: one function draws its parameters, another applies them, so that a test can
apply parameters of its own. Pictures are [H, W, 3] RGB in 0..255: uint8 as they are read, float32
from the first change on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from cornernet.config import AugmentConfig
from cornernet.structures import Sample

# How often a crop's centre is drawn again before another crop size is drawn.
_CENTRE_TRIES = 50
# How many crop sizes are tried before a crop is centred on a box.
_SIZE_TRIES = 20
# The largest hue, saturation and value.
_MOST_SATURATED = np.array([np.inf, 1, np.inf], np.float32)
# To put red, green and blue into another order is to turn the hue by so many degrees and, for the
# orders that are no turn, to swap red and blue.
_HUE_OF_ORDER = {(0, 1, 2): 0.0, (2, 0, 1): 120.0, (1, 2, 0): 240.0}


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(height, width) times a factor, in whole pixels, at least 1."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize to (height, width): bilinear when enlarging, area-averaging when shrinking by half or
    more, where bilinear would skip pixels."""
    height, width = image.shape[:2]
    shrinks = size[0] * 2 <= height and size[1] * 2 <= width
    return cv2.resize(
        image, (size[1], size[0]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def resize_sample(sample: Sample, size: tuple[int, int]) -> Sample:
    """Resize picture and boxes to (height, width)."""
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
    """One draw of colour changes; None leaves a change out.

    Args:
        brightness: added to all pixels, 0..255 scale.
        contrast: factor on all pixels.
        contrast_first: contrast comes before saturation and hue, not after.
        saturation: factor on saturation.
        hue: added to hue, degrees.
        channels: order in which the colour channels are put.
    """

    brightness: float | None = None
    contrast: float | None = None
    contrast_first: bool = True
    saturation: float | None = None
    hue: float | None = None
    channels: tuple[int, int, int] | None = None


UNCHANGED = Photometry()


def draw_photometry(config: AugmentConfig, rng: np.random.Generator) -> Photometry:
    """Each change happens half of the time."""

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
    """Apply colour changes to a picture; the result is float32, and values may leave 0..255.

    Args:
        image: the picture, which stays as it is.
        change: what to do.
        out: where to put the result, float32 of the picture's shape; by default, a new array.
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
    """All changes but brightness, in one go through hue (0..360), saturation (0..1) and value.

    There contrast is a factor on the value, whether it comes first or last. `pixels` is used up.
    """
    order = change.channels or (0, 1, 2)
    turned = order in _HUE_OF_ORDER
    hue = (change.hue or 0.0) + _HUE_OF_ORDER[order if turned else order[::-1]]
    saturation = 1.0 if change.saturation is None else change.saturation
    contrast = 1.0 if change.contrast is None else change.contrast
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    # OpenCV takes hues of 360 and more on the way back, but none below 0.
    change_hsv = np.array(
        [[1, 0, 0, hue % 360], [0, saturation, 0, 0], [0, 0, contrast, 0]], np.float64
    )
    hsv = cv2.transform(hsv, change_hsv, dst=pixels)
    if saturation > 1:
        rows = hsv.reshape(len(hsv), -1)  # NumPy is slow at many short runs
        np.minimum(rows, np.tile(_MOST_SATURATED, hsv.shape[1]), out=rows)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB if turned else cv2.COLOR_HSV2BGR, dst=out)


@dataclass(frozen=True)
class Crop:
    """A square to cut: its side and its centre (x, y) in pixels of the picture."""

    side: int
    centre: tuple[int, int]

    def window(self, height: int, width: int) -> tuple[int, int, int, int]:
        """The part of the picture inside the square: left, top, right, bottom."""
        x, y = self.centre
        half = self.side // 2
        return max(x - half, 0), max(y - half, 0), min(x + half, width), min(y + half, height)


def centre_margin(border: int, size: int) -> int:
    """How far a crop's centre keeps from the edges: `border`, halved until it fits `size`.

    MMDetection's closed form; for other borders than powers of two it is below what halving gives.
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
    """Draw a square that holds the centre of at least one box, where the picture has boxes.

    Args:
        sample: the picture.
        config: size, ratios and border.
        integers: uniform draw from [low, high).
        choice: uniform draw from a list.
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
    # Boxes so near the edges of a large picture that no allowed centre brings one in.
    x1, y1, x2, y2 = sample.boxes[integers(0, len(sample.boxes))]
    return Crop(side, (int((x1 + x2) / 2), int((y1 + y2) / 2)))


def _frame(side: int, rows: slice, columns: slice, fill: tuple[float, float, float]) -> np.ndarray:
    """A square canvas, [side, side, 3] float32, with one colour around what is still to come."""
    canvas = np.empty((side, side, 3), np.float32)
    # As numbers in rows, because NumPy is slow at many short runs.
    numbers, line = canvas.reshape(side, -1), np.tile(np.array(fill, np.float32), side)
    numbers[: rows.start] = line
    numbers[rows.stop :] = line
    for part in (np.s_[: 3 * columns.start], np.s_[3 * columns.stop :]):
        numbers[rows, part] = line[part]
    return canvas


def cut(
    sample: Sample,
    crop: Crop,
    fill: tuple[float, float, float],
    change: Photometry = UNCHANGED,
    mirrored: bool = False,
) -> Sample:
    """Cut a square, filled with a colour where it leaves the picture.

    Boxes whose centre is cut away go; the others are moved and clipped. The colours are changed and
    the sides swapped here, so that only what is kept needs the work.

    Args:
        sample: the picture.
        crop: the square.
        fill: RGB colour outside the picture, 0..255.
        change: of the picture's colours.
        mirrored: flip the square left and right.
    """
    height, width = sample.image.shape[:2]
    left, top, right, bottom = crop.window(height, width)
    x, y = crop.centre
    half = crop.side // 2
    # The square's centre, (half, half) on the canvas, is the picture's (x, y).
    origin_x, origin_y = half - (x - left), half - (y - top)
    rows, columns = (
        slice(origin_y, origin_y + bottom - top),
        slice(origin_x, origin_x + right - left),
    )
    window = sample.image[top:bottom, left:right]
    if mirrored:
        window = cv2.flip(window, 1)
        columns = slice(crop.side - columns.stop, crop.side - columns.start)
    canvas = _frame(crop.side, rows, columns, fill)
    distort(window, change, out=canvas[rows, columns])
    kept = _centres_inside(sample.boxes, crop, height, width)
    shift = np.array([origin_x - left, origin_y - top] * 2, np.float32)

    def moved(boxes: np.ndarray) -> np.ndarray:
        boxes = np.clip(boxes + shift, 0, crop.side).astype(np.float32, copy=False)
        if mirrored:
            boxes[:, [0, 2]] = crop.side - boxes[:, [2, 0]]
        return boxes

    boxes, labels, crowd = moved(sample.boxes[kept]), sample.labels[kept], moved(sample.crowd_boxes)
    solid, crowd_solid = (((b[:, 2:] - b[:, :2]) > 0).all(axis=1) for b in (boxes, crowd))
    return replace(
        sample,
        image=canvas,
        boxes=boxes[solid],
        labels=labels[solid],
        crowd_boxes=crowd[crowd_solid],
        crowd_labels=sample.crowd_labels[crowd_solid],
    )


def augment(
    sample: Sample,
    config: AugmentConfig,
    fill: tuple[float, float, float],
    rng: np.random.Generator,
) -> Sample:
    """Colour, crop, flip and resize: a picture of any size to one of `crop_size` squared.

    Args:
        sample: as read.
        config: what may change and how much.
        fill: RGB colour outside the picture, 0..255.
        rng: all randomness comes from here.
    """
    change = draw_photometry(config, rng)
    crop = draw_crop(
        sample,
        config,
        lambda low, high: int(rng.integers(low, high)),
        lambda options: options[int(rng.integers(len(options)))],
    )
    sample = cut(sample, crop, fill, change, mirrored=rng.random() < config.flip)
    return resize_sample(sample, (config.crop_size, config.crop_size))
