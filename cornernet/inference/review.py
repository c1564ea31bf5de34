"""What an evaluation shows beside COCO's numbers: curves, confusions, calibration, worst images.

All of it as plain data, so that a report can be made from it without the dataset or the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cornernet.data.coco import CocoDataset
from cornernet.inference.evaluate import Evaluation
from cornernet.inference.matching import OVERLAP, Matches, overlap, to_corners
from cornernet.inference.thresholds import best_threshold
from cornernet.inference.worst import worst_images
from cornernet.structures import Detections, Thresholds

RECALLS = np.linspace(0, 1, 101)
SCORES = np.linspace(0, 1, 101)
REVIEW_KEYS = frozenset(
    {
        "split", "images", "objects", "overlap", "metrics", "threshold", "threshold_is_default",
        "at_threshold", "f1", "classes", "confusion", "calibration", "worst",
    }
)  # fmt: skip
_BINS = 10
# Scores from which detections count for the calibration error: the many below say little.
_CALIBRATED = 0.1
_WORST_IMAGES = 12


def review(
    dataset: CocoDataset,
    found: Mapping[int, Detections],
    evaluation: Evaluation,
    matches: Matches,
    thresholds: Thresholds,
) -> dict[str, Any]:
    """Review a split's detections.

    Args:
        dataset: the split.
        found: all detections by image id.
        evaluation: COCO's numbers of these.
        matches: of these with the objects.
        thresholds: of these.

    Returns:
        Plain data; rates are in 0..1, -1 stands for what the data cannot say.
    """
    classes = dataset.classes
    objects = np.bincount(matches.object_labels, minlength=len(classes))
    counts = dataset.summary()
    everything = np.ones(len(matches.scores), bool)
    return {
        "split": dataset.annotation_path.name,
        "images": counts["images"],
        "objects": int(objects.sum()),
        "overlap": OVERLAP,
        "metrics": evaluation.metrics,
        "threshold": thresholds.score,
        "threshold_is_default": thresholds.overall is None,
        "at_threshold": _rates(matches, everything, int(objects.sum()), thresholds.score),
        "f1": _f1_curve(matches, everything, int(objects.sum())),
        "classes": [
            _class_review(matches, label, name, int(objects[label]), evaluation, thresholds)
            for label, name in enumerate(classes)
        ],
        "confusion": confusion(dataset, found, matches, thresholds.score).tolist(),
        "calibration": calibration(matches),
        "worst": _worst_images(dataset, found, matches, thresholds.score),
    }


def _class_review(
    matches: Matches,
    label: int,
    name: str,
    objects: int,
    evaluation: Evaluation,
    thresholds: Thresholds,
) -> dict[str, Any]:
    own = matches.labels == label
    best = best_threshold(matches.scores[own], matches.correct[own], objects)
    return {
        "name": name,
        "objects": objects,
        "metrics": evaluation.class_metrics.get(name, {}),
        "at_threshold": _rates(matches, own, objects, thresholds.score),
        "best_threshold": best,
        "at_best": None if best is None else _rates(matches, own, objects, best),
        "is_stored": name in thresholds.by_class,
        "precision": _precision_curve(matches.correct[own], objects),
        "f1": _f1_curve(matches, own, objects),
    }


def _rates(matches: Matches, own: np.ndarray, objects: int, threshold: float) -> dict[str, float]:
    """Precision, recall and F1 of the detections `own` that score at least `threshold`."""
    kept = own & (matches.scores >= threshold)
    right, number = int(matches.correct[kept].sum()), int(kept.sum())
    return {
        "precision": _share(right, number),
        "recall": _share(right, objects),
        "f1": _share(2 * right, number + objects),
    }


def _share(part: float, whole: float) -> float:
    return round(part / whole, 5) if whole else -1.0


def _precision_curve(correct: np.ndarray, objects: int) -> list[float]:
    """The highest precision at each of `RECALLS` or above; empty without an object."""
    if not objects:
        return []
    hits = np.cumsum(correct)
    precision = hits / np.arange(1, len(correct) + 1)
    highest = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return _rounded(highest[np.searchsorted(hits / objects, RECALLS)])


def _f1_curve(matches: Matches, own: np.ndarray, objects: int) -> list[float]:
    """F1 of the detections that score at least each of `SCORES`; empty without an object."""
    if not objects:
        return []
    ascending = matches.scores[own][::-1]
    number = len(ascending) - np.searchsorted(ascending, SCORES)
    hits = np.append(0, np.cumsum(matches.correct[own]))
    return _rounded(2 * hits[number] / (number + objects))


def _rounded(values: np.ndarray) -> list[float]:
    rounded: list[float] = np.round(values, 4).tolist()
    return rounded


def confusion(
    dataset: CocoDataset, found: Mapping[int, Detections], matches: Matches, threshold: float
) -> np.ndarray:
    """How often objects of each class are taken for each class.

    Objects that no detection of their class finds are given, in the order of scores, to what lies
    on them of another class.

    Returns:
        `[K + 1, K + 1]` int64: rows are true classes, columns are those found. The last row counts
        detections where there is no object, the last column objects that are not found.
    """
    size = len(dataset.classes) + 1
    table = np.zeros((size, size), np.int64)
    shown = matches.scores >= threshold
    hit = matches.object_scores >= threshold
    right = np.bincount(matches.labels[shown & matches.correct], minlength=size)
    table[np.diag_indices(size)] = right
    wrong = np.flatnonzero(shown & ~matches.correct)
    missed = np.flatnonzero(~hit)
    by_image: dict[int, list[int]] = {}
    for place in missed.tolist():
        by_image.setdefault(int(matches.object_images[place]), []).append(place)
    for row in wrong.tolist():  # highest score first
        index, label = int(matches.images[row]), int(matches.labels[row])
        left = by_image.get(index, [])
        taken = None
        if left:
            box = found[dataset.info(index).id].boxes[matches.places[row]].double().numpy()
            boxes = to_corners(dataset.truth(index))[matches.object_places[left]]
            overlaps = overlap(box[None], boxes)[0]
            best = int(np.argmax(overlaps))
            taken = left.pop(best) if overlaps[best] >= OVERLAP else None
        truth = size - 1 if taken is None else int(matches.object_labels[taken])
        table[truth, label] += 1
    for left in by_image.values():
        table[:-1, -1] += np.bincount(matches.object_labels[left], minlength=size - 1)
    return table


def calibration(matches: Matches) -> dict[str, Any]:
    """How often detections are right, by their score.

    Returns:
        For each tenth of the scores their number, mean score and share that is right; and the
        expected calibration error: the mean distance of the two over detections from `from` on.
    """
    places = np.minimum((matches.scores * _BINS).astype(int), _BINS - 1)
    bins = []
    for number in range(_BINS):
        own = places == number
        count = int(own.sum())
        bins.append(
            {
                "number": count,
                "score": _share(float(matches.scores[own].sum()), count),
                "right": _share(int(matches.correct[own].sum()), count),
            }
        )
    counted = [item for item in bins[round(_CALIBRATED * _BINS) :] if item["number"]]
    distance = sum(item["number"] * abs(item["score"] - item["right"]) for item in counted)
    error = _share(distance, sum(item["number"] for item in counted))
    return {"bins": bins, "error": error, "from": _CALIBRATED}


def _worst_images(
    dataset: CocoDataset, found: Mapping[int, Detections], matches: Matches, threshold: float
) -> list[dict[str, Any]]:
    """The images with the most errors, worst first.

    Returns:
        For each its file and size, and boxes `x1 y1 x2 y2` in pixels with labels and whether they
        are right, of objects and of detections from `threshold` on.
    """
    entries = []
    for errors in worst_images(matches, threshold, _WORST_IMAGES):
        info, truth = dataset.info(errors.image), dataset.truth(errors.image)
        objects = np.flatnonzero(matches.object_images == errors.image)
        kept = (matches.images == errors.image) & (matches.scores >= threshold)
        places = matches.places[kept]
        boxes = found[info.id].boxes[places].tolist() if len(places) else []
        object_boxes = to_corners(truth)[matches.object_places[objects]]
        entries.append(
            {
                "file": info.path,
                "width": info.width,
                "height": info.height,
                "missed": errors.missed,
                "wrong": errors.false,
                "objects": {
                    "boxes": np.round(object_boxes, 1).tolist(),
                    "labels": matches.object_labels[objects].tolist(),
                    "right": (matches.object_scores[objects] >= threshold).tolist(),
                },
                "detections": {
                    "boxes": np.round(boxes, 1).tolist(),
                    "labels": matches.labels[kept].tolist(),
                    "scores": _rounded(matches.scores[kept]),
                    "right": matches.correct[kept].tolist(),
                },
            }
        )
    return entries
