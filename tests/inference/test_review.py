"""What is told about an evaluation: counts that add up, curves that agree with COCO's numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cornernet.data.coco import CocoDataset
from cornernet.inference.evaluate import coco_evaluation, coco_results
from cornernet.inference.matching import Matches, match_split
from cornernet.inference.review import REVIEW_KEYS, calibration, confusion, review
from cornernet.inference.thresholds import best_thresholds
from cornernet.structures import Detections
from tests.inference.random_split import random_split

Reviewed = tuple[CocoDataset, dict[int, Detections], Matches, dict[str, Any]]


def reviewed(root: Path, seed: int, **options: Any) -> Reviewed:
    dataset, found = random_split(root, seed, **options)
    evaluation = coco_evaluation(dataset, coco_results(found, dataset.category_ids))
    matches = match_split(dataset, found)
    thresholds = best_thresholds(matches, dataset.classes)
    result = review(dataset, found, evaluation, matches, thresholds)
    assert set(result) == REVIEW_KEYS
    return dataset, found, matches, json.loads(json.dumps(result))


@pytest.mark.parametrize("seed", range(3))
def test_curves_have_the_ap50_and_the_best_f1(tmp_path: Path, seed: int) -> None:
    _, _, matches, found = reviewed(tmp_path, seed, images=20)
    for item in found["classes"]:
        if item["objects"]:
            assert np.mean(item["precision"]) == pytest.approx(item["metrics"]["AP50"], abs=1e-4)
            assert max(item["f1"]) <= item["at_best"]["f1"] + 1e-4
        else:
            assert item["precision"] == item["f1"] == [] and item["best_threshold"] is None
    at = found["at_threshold"]
    assert at["f1"] == pytest.approx(
        2 * at["precision"] * at["recall"] / (at["precision"] + at["recall"]), abs=1e-4
    )
    assert max(found["f1"]) <= at["f1"] + 1e-4
    shown = matches.scores >= found["threshold"]
    assert at["precision"] == pytest.approx(matches.correct[shown].mean(), abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_confusion_counts_every_object_and_every_detection_once(tmp_path: Path, seed: int) -> None:
    dataset, _, matches, found = reviewed(tmp_path, seed, images=20)
    table = np.array(found["confusion"])
    size = len(dataset.classes)
    objects = np.bincount(matches.object_labels, minlength=size)
    shown = matches.scores >= found["threshold"]
    assert table[:size].sum(1).tolist() == objects.tolist()
    assert (
        table[:, :size].sum(0).tolist()
        == np.bincount(matches.labels[shown], minlength=size).tolist()
    )
    right = np.bincount(matches.labels[shown & matches.correct], minlength=size)
    assert np.diag(table)[:size].tolist() == right.tolist()


def test_an_object_taken_for_another_class_is_confused(tmp_path: Path) -> None:
    dataset, _ = random_split(tmp_path, 5)
    index = next(i for i in range(len(dataset)) if (~dataset.truth(i).crowds).any())
    truth = dataset.truth(index)
    place = int(np.flatnonzero(~truth.crowds)[0])
    label = int(truth.labels[place])
    other = (label + 1) % len(dataset.classes)
    x, y, width, height = truth.boxes[place].tolist()
    box = torch.tensor([[x, y, x + width, y + height]])
    found = {dataset.info(index).id: Detections(box, torch.ones(1), torch.tensor([other]))}
    table = confusion(dataset, found, match_split(dataset, found), 0.5)
    assert table[label, other] == 1 and table[-1].sum() == 0


def test_worst_images_come_first_and_show_their_errors(tmp_path: Path) -> None:
    _, _, _, found = reviewed(tmp_path, 1, images=20)
    errors = [item["missed"] + item["wrong"] for item in found["worst"]]
    assert errors == sorted(errors, reverse=True) and 0 < len(errors) <= 12 and errors[-1] > 0
    for item in found["worst"]:
        assert item["objects"]["right"].count(False) == item["missed"]
        assert item["detections"]["right"].count(False) == item["wrong"]
        assert min(item["detections"]["scores"], default=1) >= found["threshold"]


def test_perfectly_calibrated_scores_have_no_error() -> None:
    rng = np.random.default_rng(0)
    scores = np.sort(rng.random(20_000))[::-1]
    none = np.zeros(len(scores), np.int64)
    correct = rng.random(len(scores)) < scores
    columns = (scores, none, none, none, correct, none[:0], none[:0], none[:0], scores[:0])
    found = calibration(Matches(*columns))
    assert found["error"] < 0.02
    assert sum(item["number"] for item in found["bins"]) == len(scores)
    too_high = calibration(Matches(scores, none, none, none, correct & False, *columns[5:]))
    assert too_high["error"] == pytest.approx(0.55, abs=0.01)


def test_nothing_found_is_reviewed(tmp_path: Path) -> None:
    dataset, _ = random_split(tmp_path, 0)
    matches = match_split(dataset, {})
    evaluation = coco_evaluation(dataset, [])
    found = review(dataset, {}, evaluation, matches, best_thresholds(matches, dataset.classes))
    assert found["threshold_is_default"] and found["at_threshold"]["recall"] == 0
    assert found["at_threshold"]["precision"] == -1 == found["calibration"]["error"]
    assert sum(item["missed"] for item in found["worst"]) > 0
