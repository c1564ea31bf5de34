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
# An upper bound of hue, saturation and value, as OpenCV wants it: a column of four.
_MOST_SATURATED = np.array([[math.inf], [1], [math.inf], [0]])


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


def distort(image: np.ndarray, change: Photometry) -> np.ndarray:
    """Apply colour changes to a picture; the result is float32, and values may leave 0..255."""
    pixels: np.ndarray = image.astype(np.float32)  # a copy
    if change.brightness is not None:
        pixels += change.brightness
    if change.contrast is not None and change.contrast_first:
        pixels *= change.contrast
    if change.saturation is not None or change.hue is not None:
        hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)  # H in 0..360, S in 0..1
        saturation = 1.0 if change.saturation is None else change.saturation
        matrix = np.diag([1.0, saturation, 1.0, 0.0])[:3]
        matrix[0, 3] = change.hue or 0.0
        hsv = cv2.transform(hsv, matrix)
        if change.hue is not None:
            _wrap_hue(hsv, change.hue)
        if saturation > 1:
            hsv = cv2.min(hsv, _MOST_SATURATED)
        pixels = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if change.contrast is not None and not change.contrast_first:
        pixels *= change.contrast
    if change.channels is not None:
        swapped = np.empty_like(pixels)
        pairs = [index for pair in zip(change.channels, range(3), strict=True) for index in pair]
        cv2.mixChannels([pixels], [swapped], pairs)
        pixels = swapped
    return pixels


def _wrap_hue(hsv: np.ndarray, added: float) -> None:
    """Bring the hue back into 0..360, in place, after a number below 360 was added."""
    hue: np.ndarray = cv2.extractChannel(
        hsv, 0
    )  # NumPy is slow where it has to step over the others
    outside = hue > 360 if added > 0 else hue < 0
    if outside.any():
        hue[outside] -= np.float32(math.copysign(360, added))
        cv2.insertChannel(hue, hsv, 0)


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
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = (centre > [left, top]) & (centre < [right, bottom])
    return inside.all(axis=1)


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


def cut(
    sample: Sample, crop: Crop, fill: tuple[float, float, float], change: Photometry = UNCHANGED
) -> Sample:
    """Cut a square, filled with a colour where it leaves the picture.

    Boxes whose centre is cut away go; the others are moved and clipped.

    Args:
        sample: the picture.
        crop: the square.
        fill: RGB colour outside the picture, 0..255.
        change: of the picture's colours; made here so that only what is kept needs the work.
    """
    height, width = sample.image.shape[:2]
    left, top, right, bottom = crop.window(height, width)
    x, y = crop.centre
    half = crop.side // 2
    # The square's centre, (half, half) on the canvas, is the picture's (x, y).
    origin_x, origin_y = half - (x - left), half - (y - top)
    canvas = cv2.copyMakeBorder(
        distort(sample.image[top:bottom, left:right], change),
        origin_y,
        crop.side - origin_y - (bottom - top),
        origin_x,
        crop.side - origin_x - (right - left),
        cv2.BORDER_CONSTANT,
        value=fill,
    )
    kept = _centres_inside(sample.boxes, crop, height, width)
    shift = np.array([origin_x - left, origin_y - top] * 2, np.float32)

    def moved(boxes: np.ndarray) -> np.ndarray:
        return np.clip(boxes + shift, 0, crop.side).astype(np.float32)

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


def mirror(sample: Sample) -> Sample:
    """Flip left and right."""
    width = sample.image.shape[1]

    def flipped(boxes: np.ndarray) -> np.ndarray:
        return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)

    return replace(
        sample,
        image=cv2.flip(sample.image, 1),
        boxes=flipped(sample.boxes),
        crowd_boxes=flipped(sample.crowd_boxes),
    )


def augment(
    sample: Sample,
    config: AugmentConfig,
    fill: tuple[float, float, float],
    rng: np.random.Generator,
) -> Sample:
    """Colour, crop, resize and flip: a picture of any size to one of `crop_size` squared.

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
    sample = cut(sample, crop, fill, change)
    sample = resize_sample(sample, (config.crop_size, config.crop_size))
    return mirror(sample) if rng.random() < config.flip else sample
