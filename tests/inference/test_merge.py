"""Candidates of several views joined and suppressed, a batch at a time."""

from __future__ import annotations

import math

import pytest
import torch

from cornernet.config import TestConfig as Settings
from cornernet.inference.merge import merge, suppress
from cornernet.structures import Candidates
from tests.views import detections_of


def view_of(boxes: list[list[float]], scores: list[float]) -> Candidates:
    """Candidates of one view of a batch of one image."""
    labels = torch.zeros(1, len(scores), dtype=torch.int64)
    return Candidates(torch.tensor([boxes]), torch.tensor([scores]), labels)


def test_views_are_joined_before_one_suppression() -> None:
    box, other = [0.0, 0, 10, 10], [50.0, 50, 60, 60]
    views = [view_of([box, box], [0.9, 0.8]), view_of([other], [0.7])]
    found = detections_of(merge(views, Settings(nms="gaussian", nms_sigma=0.5)))
    assert found.scores.tolist() == pytest.approx([0.9, 0.7, 0.8 * math.exp(-2)])


def test_views_can_be_suppressed_twice_as_in_mmdetection_3() -> None:
    box, other = [0.0, 0, 10, 10], [50.0, 50, 60, 60]
    views = [view_of([box, box], [0.9, 0.8]), view_of([other, box], [0.7, 0.5])]
    found = detections_of(merge(views, Settings(tta_merge="mmdet3", nms_min_score=1e-6)))
    # Each overlap lowers by exp(-2): 0.8 in its view and by 0.9 again, then by what was 0.5.
    assert found.scores.tolist() == pytest.approx(
        [0.9, 0.7, 0.5 * math.exp(-2), 0.8 * math.exp(-6)], rel=1e-5
    )


def test_a_single_view_is_suppressed_once_whatever_the_setting() -> None:
    box = [0.0, 0, 10, 10]
    views = [view_of([box, box], [0.9, 0.8])]
    for setting in ("joint", "mmdet3"):
        found = detections_of(merge(views, Settings(tta_merge=setting)))
        assert found.scores.tolist() == pytest.approx([0.9, 0.8 * math.exp(-2)])


def test_score_threshold_and_limit_act() -> None:
    found = view_of([[0.0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 50, 50]], [0.9, 0.5, 0.2])
    assert len(detections_of(suppress(found, Settings(score_threshold=0.4)))) == 2
    assert len(detections_of(suppress(found, Settings(max_per_image=1)))) == 1


def test_places_without_a_candidate_stay_without() -> None:
    found = view_of([[0.0, 0, 10, 10], [0, 0, 0, 0]], [0.9, 0.8])
    found.labels[0, 1] = -1
    kept = suppress(found, Settings(max_per_image=3))
    assert kept.labels.tolist() == [[0, -1, -1]]
    assert len(detections_of(kept)) == 1


def test_images_of_a_batch_do_not_meet() -> None:
    one = view_of([[0.0, 0, 10, 10]], [0.9])
    both = Candidates(*(torch.cat([tensor, tensor]) for tensor in one))
    assert suppress(both, Settings()).scores[:, 0].tolist() == pytest.approx([0.9, 0.9])
