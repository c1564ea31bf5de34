"""Images with objects that exist as numbers alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cornernet.data.parse import ImageInfo, Record, Truth


def record(
    boxes: Sequence[Sequence[float]] | np.ndarray,
    labels: Sequence[int] | None = None,
    width: int = 640,
    height: int = 480,
) -> Record:
    """An image with objects.

    Args:
        boxes: `x1 y1 x2 y2` of each.
        labels: of each; by default 0.
        width, height: of the image.
    """
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    classes = np.zeros(len(corners), np.int64) if labels is None else np.array(labels, np.int64)
    given = corners.astype(np.float64)
    given[:, 2:] -= given[:, :2]
    none = np.zeros(len(corners), bool)
    return Record(
        info=ImageInfo("a.jpg", "a.jpg", width, height, 1, 1),
        boxes=corners,
        labels=classes,
        crowd_boxes=np.zeros((0, 4), np.float32),
        crowd_labels=np.zeros(0, np.int64),
        truth=Truth(given, given[:, 2:].prod(axis=1), classes, none, none),
    )


def scattered(
    images: int, side: tuple[float, float], objects: int = 5, size: tuple[int, int] = (640, 480)
) -> list[Record]:
    """Images of one size with objects of random sizes in a range of pixels, anywhere."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(images):
        sides = np.minimum(rng.uniform(*side, (objects, 2)), size)
        corners = rng.uniform(0, 1, (objects, 2)) * (np.array(size) - sides)
        found.append(record(np.hstack([corners, corners + sides]), None, *size))
    return found
