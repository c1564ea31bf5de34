"""Scores at which F1 is highest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cornernet.inference.matching import Matches
from cornernet.structures import Thresholds

# A class has a threshold of its own from this number of objects on: with fewer, chance chooses it.
ENOUGH_OBJECTS = 20


def best_thresholds(matches: Matches, classes: Sequence[str]) -> Thresholds:
    """The thresholds of a split, for all classes and for each that has enough objects.

    Args:
        matches: of the split.
        classes: names by label.
    """
    objects = np.bincount(matches.object_labels, minlength=len(classes))
    by_class = {}
    for label in np.flatnonzero(objects >= ENOUGH_OBJECTS).tolist():
        own = matches.labels == label
        best = best_threshold(matches.scores[own], matches.correct[own], int(objects[label]))
        if best is not None:
            by_class[classes[label]] = best
    return Thresholds(best_threshold(matches.scores, matches.correct, objects.sum()), by_class)


def best_threshold(scores: np.ndarray, correct: np.ndarray, objects: int) -> float | None:
    """The score from which detections have the highest F1.

    It lies half way to the next lower score and has as few digits as suffice.

    Args:
        scores: `[n]`, highest first.
        correct: `[n]` bool.
        objects: number of objects to find.

    Returns:
        None where no detection is correct.
    """
    if not correct.any():
        return None
    # F1 = 2 · correct / (detections + objects).
    f1 = 2 * np.cumsum(correct) / (np.arange(1, len(scores) + 1) + objects)
    is_last = np.append(scores[1:] < scores[:-1], True)  # of equal scores
    best = int(np.argmax(np.where(is_last, f1, -1)))
    high = float(scores[best])
    low = float(scores[best + 1]) if best + 1 < len(scores) else 0.0
    for digits in range(2, 8):
        value = round((low + high) / 2, digits)
        if low < value <= high:
            return value
    return high
