"""Which detections find an object: as pycocotools says it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cornernet.inference.evaluate import coco_evaluation, coco_results
from cornernet.inference.matching import Matches, match_split, overlap
from tests.inference.random_split import random_split


def average_precision(matches: Matches, label: int) -> float:
    """AP at one overlap, over COCO's 101 recalls; -1 without an object."""
    objects = int((matches.object_labels == label).sum())
    correct = matches.correct[matches.labels == label]
    if not objects:
        return -1.0
    found = np.cumsum(correct)
    precision = found / np.arange(1, len(correct) + 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(found / objects, np.linspace(0, 1, 101))
    return float(np.append(highest, 0.0)[places].mean())


@pytest.mark.parametrize("seed", range(6))
def test_matches_have_the_ap50_of_pycocotools(tmp_path: Path, seed: int) -> None:
    dataset, found = random_split(tmp_path, seed, images=20)
    evaluation = coco_evaluation(dataset, coco_results(found, dataset.category_ids))
    matches = match_split(dataset, found)
    for label, name in enumerate(dataset.classes):
        expected = evaluation.class_metrics[name]["AP50"]
        assert average_precision(matches, label) == pytest.approx(expected, abs=1e-12)
    assert any(0 < item["AP50"] < 1 for item in evaluation.class_metrics.values())


def test_each_correct_detection_has_one_object(tmp_path: Path) -> None:
    dataset, found = random_split(tmp_path, 3, images=20)
    matches = match_split(dataset, found)
    hit = matches.object_scores >= 0
    assert hit.sum() == matches.correct.sum() > 0
    assert sorted(matches.object_scores[hit]) == sorted(matches.scores[matches.correct])
    crowds = sum(int(dataset.truth(i).crowds.sum()) for i in range(len(dataset)))
    objects = sum(len(dataset.truth(i).labels) for i in range(len(dataset)))
    assert crowds > 0 and len(matches.object_labels) == objects - crowds


def test_nothing_found_at_all(tmp_path: Path) -> None:
    dataset, _ = random_split(tmp_path, 0)
    matches = match_split(dataset, {})
    assert len(matches.scores) == 0 and (matches.object_scores == -1).all()
    assert len(matches.object_labels) > 0


def test_overlap_is_intersection_over_union_and_for_crowds_over_the_box() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [20, 20, 30, 30]])
    others = np.array([[5.0, 0, 15, 10], [5, 0, 15, 10]])
    found = overlap(boxes, others, np.array([False, True]))
    assert found == pytest.approx(np.array([[50 / 150, 50 / 100], [0, 0]]))
