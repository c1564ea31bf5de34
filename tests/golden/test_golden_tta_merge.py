"""Detections of the mirrored and the plain view, brought together and suppressed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cornernet.config import TestConfig as Settings
from cornernet.inference.merge import suppress
from cornernet.structures import Candidates
from tests.golden.cases import AssertSameDetections, Case
from tests.views import boxes_to_original, detections_of, view_at


def mirrored(boxes: Tensor, width: int) -> Tensor:
    return torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)


# The reference merges detections that it has already suppressed per view; what it computes from
# them is what ours computes from candidates. Some of these boxes leave the picture, which ours
# would clip: they are mirrored here.
@pytest.mark.golden_cases("tta_merge", "cases", "case{index}_")
def test_merge(case: Case, assert_same_detections: AssertSameDetections) -> None:
    meta = case.meta
    boxes, scores, labels = [], [], []
    for number, flipped in enumerate(meta["flips"]):
        box = case.tensor(f"view{number}_bboxes")
        boxes.append(mirrored(box, meta["ori_shape"][1]) if flipped else box)
        scores.append(case.tensor(f"view{number}_scores"))
        labels.append(case.tensor(f"view{number}_labels"))
    soft = meta["nms"]["type"] == "soft_nms"
    settings = Settings(
        nms=meta["nms"]["method"] if soft else "hard",
        nms_iou=meta["nms"]["iou_threshold"],
        nms_min_score=1e-3 if soft else 0.0,
        max_per_image=meta["max_per_img"],
    )
    joint = Candidates(*(torch.cat(tensors)[None] for tensors in (boxes, scores, labels)))
    found = detections_of(suppress(joint, settings))
    wanted = [case.tensor(name) for name in ("bboxes", "scores", "labels")]
    assert_same_detections(found, *wanted, box_tolerance=1e-3, score_tolerance=2e-5, swap=2e-5)


@pytest.mark.golden_cases("tta_merge", "cases", "case{index}_")
def test_boxes_of_the_mirrored_view_are_mirrored_and_clipped(case: Case) -> None:
    height, width = case.meta["ori_shape"]
    view = view_at((height, width), (1.0, 1.0), (0, 0))
    boxes = case.tensor("view0_bboxes")
    limits = torch.tensor([width, height, width, height])
    wanted = torch.minimum(mirrored(boxes, width).clamp_min(0), limits)
    torch.testing.assert_close(
        boxes_to_original(boxes, view, flipped=True), wanted, rtol=0, atol=1e-4
    )
