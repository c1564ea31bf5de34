"""Soft-NMS alone equals mmcv's."""

from __future__ import annotations

import pytest
import torch

from tests.golden.cases import Case, Golden
from tests.suppression import soft_nms

METHODS = {"gaussian": "gaussian", "linear": "linear", "naive": "hard"}


@pytest.mark.golden_cases("soft_nms", "confs", "conf{index}_")
def test_without_classes(case: Case, golden: Golden) -> None:
    content, meta = golden("soft_nms"), case.meta
    boxes, scores = content.tensor("boxes"), content.tensor("scores")
    # mmcv's offset of 1 counts pixels at both ends: the same as far corners moved by one.
    grown = boxes + torch.tensor([0, 0, meta["offset"], meta["offset"]])
    keep, decayed = soft_nms(
        grown,
        scores,
        torch.zeros_like(content.tensor("labels")),
        METHODS[meta["method"]],
        meta["iou_threshold"],
        meta["sigma"],
        meta["min_score"],
    )
    assert torch.equal(keep, case.tensor("inds"))
    torch.testing.assert_close(decayed, case.tensor("dets")[:, 4], rtol=0, atol=1e-4)
    assert torch.equal(boxes[keep], case.tensor("dets")[:, :4])


@pytest.mark.golden_cases("soft_nms", "batched", "batched{index}_")
def test_class_by_class(case: Case, golden: Golden) -> None:
    content, meta = golden("soft_nms"), case.meta
    soft = meta["type"] == "soft_nms"
    keep, decayed = soft_nms(
        content.tensor("boxes"),
        content.tensor("scores"),
        content.tensor("labels"),
        METHODS[meta["method"]] if soft else "hard",
        meta["iou_threshold"],
        min_score=1e-3 if soft else 0.0,
    )
    assert torch.equal(keep, case.tensor("keep"))
    torch.testing.assert_close(decayed, case.tensor("dets")[:, 4], rtol=0, atol=1e-4)


def test_boxes_without_area_overlap_nothing(golden: Golden) -> None:
    content = golden("soft_nms")
    wanted = content.tensor("degenerate_dets")
    boxes = content.tensor("degenerate_boxes")
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
    keep, decayed = soft_nms(boxes, scores, torch.zeros(4, dtype=torch.int64), "linear", 0.5)
    assert torch.equal(keep, content.tensor("degenerate_inds"))
    torch.testing.assert_close(decayed, wanted[:, 4], rtol=0, atol=1e-4)


# A difference: of equal scores the first is picked first; mmcv swaps boxes while it works.
def test_equal_scores_leave_the_first_box_first(golden: Golden) -> None:
    content = golden("soft_nms")
    boxes, scores = content.tensor("ties_boxes"), content.tensor("ties_scores")
    keep, decayed = soft_nms(boxes, scores, torch.arange(len(boxes)))
    assert keep.tolist() == sorted(range(len(boxes)), key=lambda i: (-float(scores[i]), i))
    assert torch.equal(decayed, scores[keep])


# A difference: mmcv keeps the first box even if its score is below the minimum.
def test_nothing_below_the_minimum_survives(golden: Golden) -> None:
    content = golden("soft_nms")
    assert len(content.tensor("below_min_inds")) == 1
    keep, _ = soft_nms(
        content.tensor("boxes"),
        content.tensor("scores") * 1e-4,
        content.tensor("labels"),
        min_score=1e-3,
    )
    assert len(keep) == 0
