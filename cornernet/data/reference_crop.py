"""Training images as CornerNet-Saccade takes them: at the size of an object, and around it.

Law et al., "CornerNet-Lite: Efficient Keypoint Based Object Detection", BMVC 2020, section 3, whose
second pass sees crops in which the size of an object is known roughly. An object is drawn, the
image is resized so that the object gets a random size within its class of sizes, and a square
around it is cut out. As in `augment`, what draws is apart from what applies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np

from cornernet.config import AugmentConfig
from cornernet.data.augment import (
    UNCHANGED,
    Crop,
    Photometry,
    draw_photometry,
    paint,
    placement,
    resize,
    turn,
)
from cornernet.structures import Sample

# By how many pixels, at most, a square may be off the middle of its object.
_JITTER = 14
# Factors by which an image without objects is resized.
_SCALES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)

Integers = Callable[[int, int], int]
"""Draws uniformly from [low, high)."""


def within(sample: Sample) -> Sample:
    """The sample with boxes clipped to its pixels' centres, and without those of no area then."""
    height, width = sample.image.shape[:2]
    limits = np.array([width - 1, height - 1] * 2, np.float32)
    boxes = np.clip(sample.boxes, 0, limits)
    solid = _solid(boxes)
    return replace(sample, boxes=boxes[solid], labels=sample.labels[solid])


def _solid(boxes: np.ndarray) -> np.ndarray:
    solid: np.ndarray = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(axis=1)
    return solid


def draw_scale(
    boxes: np.ndarray, config: AugmentConfig, object_sizes: Sequence[int], integers: Integers
) -> tuple[int | None, float]:
    """Draw an object and the factor by which to resize the image; no object where there is none.

    Args:
        boxes: [n, 4] float32.
        config: sizes of the smallest object and of the square, which bound the classes of sizes ...
        object_sizes: ... between these, but for the last; see `ModelConfig.object_sizes`.
        integers: draws.
    """
    if not len(boxes):
        return None, _SCALES[integers(0, len(_SCALES))]
    index = integers(0, len(boxes))
    size = float((boxes[index, 2:] - boxes[index, :2]).max())
    limits = [config.smallest_object, *object_sizes[:-1], config.crop_size - 1]
    kind = int(np.searchsorted(limits[1:-1], size))
    return index, integers(limits[kind], limits[kind + 1] + 1) / size


def draw_square(
    size: tuple[int, int],
    box: np.ndarray | None,
    side: int,
    integers: Integers,
    uniform: Callable[[], float],
) -> Crop:
    """Draw a square: around the middle of an object, or anywhere as long as it holds the object.

    Args:
        size: height and width of the image in pixels.
        box: [4], x1, y1, x2, y2 of the object; None for a square anywhere.
        side: of the square in pixels.
        integers: draws.
        uniform: draws from [0, 1).
    """
    around = uniform() > 0.5

    def center(length: int, axis: int) -> int:
        if length <= side:
            return length // 2
        if box is None:
            return integers(0, length - side + 1) + side // 2
        begin, end = float(box[axis]), float(box[axis + 2])
        if not around:
            low, high = int(max(end - side, 0)), int(min(length - side, begin))
            return integers(low, max(low, high) + 1) + side // 2
        middle = (begin + end) // 2
        low = int(max(middle - integers(0, _JITTER + 1), 0))
        high = int(min(middle + integers(0, _JITTER + 1), length - 1))
        return integers(low, max(low, high) + 1)

    x = center(size[1], 0)
    return Crop(side, (x, center(size[0], 1)))


def _resized_window(
    image: np.ndarray, size: tuple[int, int], window: tuple[int, int, int, int]
) -> np.ndarray:
    """The window left, top, right, bottom of an image resized to (height, width).

    Of an enlarged image only the window is computed: an object of two pixels makes the whole a
    hundred times as large.
    """
    left, top, right, bottom = window
    height, width = image.shape[:2]
    if size[0] * size[1] <= height * width:
        return resize(image, size)[top:bottom, left:right]
    y, x = height / size[0], width / size[1]
    # From a pixel's centre in the window to a place in the image.
    matrix = np.array([[x, 0, (left + 0.5) * x - 0.5], [0, y, (top + 0.5) * y - 0.5]])
    return cv2.warpAffine(
        image,
        matrix,
        (right - left, bottom - top),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def cut_at_scale(
    sample: Sample,
    scale: float,
    crop: Crop,
    config: AugmentConfig,
    fill: tuple[float, float, float],
    change: Photometry = UNCHANGED,
    mirrored: bool = False,
) -> Sample:
    """Resize an image and cut a square out of it.

    Boxes are clipped to the part of the image in the square, up to the middle of its last pixels.
    Those of which too little is left, or that are too small, become difficult ones.

    Args:
        sample: as `within` gives it.
        scale: factor on the image's sides, which are rounded down.
        crop: the square, in pixels of the resized image.
        config: `smallest_object` and `least_visible`.
        fill: RGB colour outside the image, 0..255.
        change: the colour changes.
        mirrored: flip the square horizontally.
    """
    height, width = size = scaled_down(sample, scale)
    window = _resized_window(sample.image, size, crop.window(height, width))
    rows, columns, shift = placement(crop, height, width)
    side = crop.side
    low = np.array([columns.start, rows.start] * 2, np.float32)
    high = np.array([columns.stop - 1, rows.stop - 1] * 2, np.float32)

    def moved(boxes: np.ndarray) -> np.ndarray:
        boxes = np.clip(boxes * np.float32(scale) + shift, low, high)
        if mirrored:
            boxes[:, [0, 2]] = side - 1 - boxes[:, [2, 0]]
        return boxes

    boxes, crowd = moved(sample.boxes), moved(sample.crowd_boxes)
    solid, crowd_solid = _solid(boxes), _solid(crowd)
    boxes, labels = boxes[solid], sample.labels[solid]
    whole = (sample.boxes[solid, 2:] - sample.boxes[solid, :2]) * np.float32(scale)
    visible = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) / whole.prod(axis=1)
    sides = boxes[:, 2:].astype(np.int64) - boxes[:, :2].astype(np.int64)
    good = (visible > config.least_visible) & (sides.max(axis=1) >= config.smallest_object)
    return replace(
        sample,
        image=paint(window, rows, columns, side, fill, change, mirrored),
        boxes=boxes[good],
        labels=labels[good],
        crowd_boxes=crowd[crowd_solid],
        crowd_labels=sample.crowd_labels[crowd_solid],
        difficult_boxes=boxes[~good],
        difficult_labels=labels[~good],
    )


def scaled_down(sample: Sample, scale: float) -> tuple[int, int]:
    """Height and width of a sample's image times a factor, rounded down, at least 1."""
    height, width = sample.image.shape[:2]
    return max(1, int(height * scale)), max(1, int(width * scale))


def augment_around_reference(
    sample: Sample,
    config: AugmentConfig,
    object_sizes: Sequence[int],
    fill: tuple[float, float, float],
    rng: np.random.Generator,
) -> Sample:
    """Change colours, resize, crop, flip and turn an image: a square of `crop_size`.

    Args:
        sample: the image as it was read.
        config: which changes may happen, and how large they are.
        object_sizes: see `draw_scale`.
        fill: RGB colour outside the image, 0..255.
        rng: the source of all random numbers.
    """

    def integers(low: int, high: int) -> int:
        return int(rng.integers(low, high))

    change = draw_photometry(config, rng)
    sample = within(sample)
    index, scale = draw_scale(sample.boxes, config, object_sizes, integers)
    reference = None if index is None else sample.boxes[index] * scale
    size = scaled_down(sample, scale)
    crop = draw_square(size, reference, config.crop_size, integers, rng.random)
    mirrored = rng.random() < config.flip
    sample = cut_at_scale(sample, scale, crop, config, fill, change, mirrored)
    return turn(sample, integers(0, 4)) if config.quarter_turns else sample
