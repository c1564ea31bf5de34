"""Which detections of a split find an object, by COCO's rules at one overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cornernet.data.coco import CocoDataset
from cornernet.data.parse import Truth
from cornernet.structures import Detections

# The overlap (intersection over union) from which a detection finds an object.
OVERLAP = 0.5
# Detections of a class in an image that COCO looks at.
_MOST = 100


@dataclass(frozen=True)
class Matches:
    """The detections of a split and its objects, and which belong together.

    Detections that lie on a region annotated as a crowd are neither right nor wrong and are left
    out, and so are crowds.

    Attributes:
        scores: `[n]` float64, highest first.
        labels: `[n]` int64, 0..K-1.
        images: `[n]` int64, indices of the split's images.
        places: `[n]` int64, the detection's index in its image.
        correct: `[n]` bool, whether it finds an object of its class that no higher score has found.
        object_labels: `[m]` int64, 0..K-1.
        object_images: `[m]` int64.
        object_places: `[m]` int64, the object's index in the `Truth` of its image.
        object_scores: `[m]` float64, of the detection that finds it; -1 where none does.
    """

    scores: np.ndarray
    labels: np.ndarray
    images: np.ndarray
    places: np.ndarray
    correct: np.ndarray
    object_labels: np.ndarray
    object_images: np.ndarray
    object_places: np.ndarray
    object_scores: np.ndarray


def match_split(dataset: CocoDataset, found: Mapping[int, Detections]) -> Matches:
    """Match the detections of a split, each image and class by itself.

    Args:
        dataset: whose annotations are the truth.
        found: detections by image id, in pixels of the image.
    """
    detections: list[tuple[np.ndarray, ...]] = []
    objects: list[tuple[np.ndarray, ...]] = []
    # Equal scores keep this order, which is pycocotools'.
    for index in sorted(range(len(dataset)), key=lambda index: dataset.info(index).id):
        truth = dataset.truth(index)
        item = found.get(dataset.info(index).id)
        counted = np.flatnonzero(~truth.crowds)
        if item is None or not len(item):
            found_at = np.full(len(truth.labels), -1.0)
        else:
            scores = item.scores.double().numpy()
            labels = item.labels.numpy()
            kept, correct, found_at = _match(to_corners(truth), truth, item, scores, labels)
            here = np.full(len(kept), index)
            detections.append((scores[kept], labels[kept], here, kept, correct))
        here = np.full(len(counted), index)
        objects.append((truth.labels[counted], here, counted, found_at[counted]))
    columns = _joined(detections, 5)
    order = np.argsort(-columns[0], kind="stable")
    scores, labels, images, places, correct = (column[order] for column in columns)
    return Matches(
        scores.astype(np.float64), labels.astype(np.int64), images.astype(np.int64),
        places.astype(np.int64), correct.astype(bool), *_joined(objects, 4),
    )  # fmt: skip


def _joined(rows: list[tuple[np.ndarray, ...]], number: int) -> list[np.ndarray]:
    """Tuples of arrays as one array for each place."""
    if not rows:
        return [np.zeros(0, np.int64) for _ in range(number)]
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


def to_corners(truth: Truth) -> np.ndarray:
    """Boxes of the truth as `[n, 4]` float64, x1, y1, x2, y2."""
    return np.concatenate([truth.boxes[:, :2], truth.boxes[:, :2] + truth.boxes[:, 2:]], axis=1)


def _match(
    boxes: np.ndarray, truth: Truth, item: Detections, scores: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Match one image.

    Returns:
        Indices of the detections that count, whether each is correct, and the score at which each
        object is found, -1 where it is not.
    """
    found_at = np.full(len(truth.labels), -1.0)
    kept: list[np.ndarray] = []
    correct: list[np.ndarray] = []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        places = places[np.argsort(-scores[places], kind="stable")][:_MOST]
        mine = np.flatnonzero(truth.labels == label)
        # Crowds last: a detection belongs to one only if it finds no object.
        mine = mine[np.argsort(truth.crowds[mine], kind="stable")]
        counts, right = np.ones(len(places), bool), np.zeros(len(places), bool)
        if len(mine):
            overlaps = overlap(item.boxes[places].double().numpy(), boxes[mine], truth.crowds[mine])
            for row, place in enumerate(places):
                chosen = _best(overlaps[row], found_at[mine], truth.crowds[mine])
                if chosen is None:
                    continue
                if truth.crowds[mine[chosen]]:
                    counts[row] = False
                else:
                    right[row] = True
                    found_at[mine[chosen]] = scores[place]
        kept.append(places[counts])
        correct.append(right[counts])
    return np.concatenate(kept), np.concatenate(correct), found_at


def _best(overlaps: np.ndarray, found_at: np.ndarray, crowds: np.ndarray) -> int | None:
    """The object with the highest overlap that is not found yet, else a crowd; None for neither."""
    for candidates in (~crowds & (found_at < 0), crowds):
        values = np.where(candidates, overlaps, -1.0)
        # Of equal ones the last, as in pycocotools.
        best = len(values) - 1 - int(np.argmax(values[::-1]))
        if values[best] >= OVERLAP:
            return best
    return None


def overlap(boxes: np.ndarray, others: np.ndarray, crowds: np.ndarray | None = None) -> np.ndarray:
    """Intersection over union of boxes with others, `[n, m]`.

    Args:
        boxes: `[n, 4]`, x1, y1, x2, y2.
        others: `[m, 4]`, the same.
        crowds: `[m]` bool: for these the intersection over the area of the box, as COCO does it.
    """
    top_left = np.maximum(boxes[:, None, :2], others[None, :, :2])
    bottom_right = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    inside = (bottom_right - top_left).clip(0).prod(2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)[:, None]
    whole = areas + (others[:, 2:] - others[:, :2]).prod(1)[None] - inside
    if crowds is not None:
        whole = np.where(crowds[None], areas, whole)
    return np.divide(inside, whole, out=np.zeros_like(inside), where=whole > 0)
