"""The score at which F1 is highest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cornernet.inference.matching import match_split
from cornernet.inference.thresholds import ENOUGH_OBJECTS, best_threshold, best_thresholds
from tests.inference.random_split import random_split


def f1(scores: np.ndarray, correct: np.ndarray, objects: int, threshold: float) -> float:
    kept = scores >= threshold
    return 2 * float(correct[kept].sum()) / (int(kept.sum()) + objects)


@pytest.mark.parametrize("seed", range(20))
def test_no_other_threshold_is_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    number = int(rng.integers(1, 40))
    steps = int(rng.integers(2, 30))  # few: many scores are equal
    scores = np.sort(rng.integers(1, steps, number) / steps)[::-1]
    correct = rng.random(number) < scores
    correct[rng.integers(number)] = True
    objects = int(correct.sum() + rng.integers(0, 5))
    best = best_threshold(scores, correct, objects)
    assert best is not None
    others = max(f1(scores, correct, objects, value) for value in scores)
    assert f1(scores, correct, objects, best) == pytest.approx(others)


def test_threshold_has_few_digits_and_lies_between_two_scores() -> None:
    scores = np.array([0.9, 0.6, 0.3])
    assert best_threshold(scores, np.array([True, True, False]), 2) == 0.45
    close = np.array([0.9, 0.600002, 0.600001])
    found = best_threshold(close, np.array([True, True, False]), 2)
    assert found is not None and 0.600001 < found <= 0.600002


def test_nothing_correct_has_no_threshold() -> None:
    assert best_threshold(np.array([0.5]), np.array([False]), 3) is None
    assert best_threshold(np.zeros(0), np.zeros(0, bool), 3) is None


def test_only_classes_with_enough_objects_have_a_threshold_of_their_own(tmp_path: Path) -> None:
    dataset, found = random_split(tmp_path, 1, images=14)
    matches = match_split(dataset, found)
    thresholds = best_thresholds(matches, dataset.classes)
    numbers = np.bincount(matches.object_labels, minlength=len(dataset.classes))
    enough = {dataset.classes[label] for label in np.flatnonzero(numbers >= ENOUGH_OBJECTS)}
    assert 0 < len(enough) < len(dataset.classes)
    assert set(thresholds.by_class) == enough and thresholds.overall is not None
