"""How many objects the maps of a network can hold at a given size of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cornernet.config import Config
from cornernet.data.augment import scaled_size
from cornernet.data.parse import Record


@dataclass(frozen=True)
class Capacity:
    """What becomes of the objects of a dataset on a network's maps.

    Attributes:
        long_side: longer side of the images in pixels; 0: their own.
        stride: pixels per cell, in each direction.
        objects: number of objects that are learnt.
        representable: objects that the maps can hold and decoding can return.
        merged: objects with both corners in the cells of another object of their class: the two
            are one to the network.
        beyond: objects over the number that is kept per image (`test.topk`, `test.max_per_image`).
        shared: objects with a corner in the cell of another object's corner of the same kind, also
            of another class: they share its offset and its embedding.
        thin: objects with a side below a cell: both of their corners lie in one row or column.
    """

    long_side: int
    stride: int
    objects: int
    representable: int
    merged: int
    beyond: int
    shared: int
    thin: int

    def __str__(self) -> str:
        size = f"a longer side of {self.long_side} px" if self.long_side else "their own size"
        lost = f"{self.merged} coincide with another of their class, {self.beyond} are too many"
        return (
            f"at {size} and {self.stride} px per cell: {self.representable} of {self.objects} "
            f"objects can be found ({lost}), {self.shared} share the cell of a corner, "
            f"{self.thin} are thinner than a cell"
        )


def capacity(records: Sequence[Record], config: Config, long_side: int) -> Capacity:
    """Count how many objects can be told apart.

    Args:
        records: images with their objects.
        config: sections model and test.
        long_side: longer side of the images in pixels; 0: their own.
    """
    stride, limit = config.model.stem_stride, min(config.test.topk, config.test.max_per_image)
    boxes = scaled_boxes(records, long_side)
    images = np.repeat(np.arange(len(records)), [len(record.boxes) for record in records])
    labels = np.concatenate([*(record.labels for record in records), np.zeros(0, np.int64)])
    cells = (boxes / stride).astype(np.int64)
    corners = np.column_stack([images, cells[:, :2]]), np.column_stack([images, cells[:, 2:]])
    shared = np.any([_group_sizes(rows) > 1 for rows in corners], axis=0)
    distinct = np.unique(np.column_stack([images, labels, cells]), axis=0)
    per_image = np.bincount(distinct[:, 0]) if len(distinct) else np.zeros(0, np.int64)
    beyond = int(np.maximum(per_image - limit, 0).sum())
    sides = boxes[:, 2:] - boxes[:, :2]
    return Capacity(
        long_side=long_side,
        stride=stride,
        objects=len(boxes),
        representable=len(distinct) - beyond,
        merged=len(boxes) - len(distinct),
        beyond=beyond,
        shared=int(shared.sum()),
        thin=int((sides.min(axis=1, initial=np.inf) < stride).sum()),
    )


def scaled_boxes(records: Sequence[Record], long_side: int) -> np.ndarray:
    """`[n, 4]` float64: all boxes, `x1 y1 x2 y2`, in pixels of the resized images.

    Args:
        records: images with their objects.
        long_side: longer side of the images in pixels; 0: their own.
    """
    parts = [np.zeros((0, 4))]
    for record in records:
        height, width = record.info.height, record.info.width
        size = (height, width)
        if long_side:
            size = scaled_size(size, long_side / max(size))
        parts.append(record.boxes * np.array([size[1] / width, size[0] / height] * 2))
    return np.concatenate(parts)


def _group_sizes(rows: np.ndarray) -> np.ndarray:
    """How often each row occurs, for each row."""
    _, inverse, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    sizes: np.ndarray = counts[inverse.reshape(-1)]
    return sizes
