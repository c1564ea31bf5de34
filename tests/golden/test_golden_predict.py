"""From the maps of the last stack to detections."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cornernet.config import TestConfig as Settings
from cornernet.inference.merge import suppress
from cornernet.parts.corners.decode import decode
from cornernet.structures import Detections
from tests.golden.cases import AssertSameDetections, Case
from tests.views import boxes_to_original, detections_of, view_at
from tests.views import candidates_of as batch_of

METHODS: dict[str, Any] = {"gaussian": "gaussian", "linear": "linear", "naive": "hard"}


def settings_of(case: Case) -> Settings:
    nms = case.meta["nms"]
    soft = nms["type"] == "soft_nms"
    return Settings(
        nms=METHODS[nms["method"]] if soft else "hard",
        nms_iou=nms["iou_threshold"],
        nms_min_score=nms.get("min_score", 1e-3) if soft else 0.0,
        max_per_image=case.meta["max_per_img"],
    )


def candidates_of(case: Case) -> list[Detections]:
    """Ours, in each picture's pixels, clipped like the reference's at the left and upper edge."""
    meta = case.meta
    boxes, scores, labels = decode(case.outputs(), Settings(), tuple(meta["batch_input_shape"]))
    factors = tuple(meta["scale_factor"]) if meta["rescale"] else (1.0, 1.0)
    found = []
    for image in range(len(boxes)):
        top, _, left, _ = meta["border"][image] if meta["border"] else (0, 0, 0, 0)
        endless = view_at((10**6, 10**6), factors, (left, top))
        box = boxes_to_original(boxes[image], endless)
        good = (labels[image] >= 0) & (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1])
        found.append(Detections(box[good], scores[image][good], labels[image][good]))
    return found


@pytest.mark.golden_cases("predict", "cases", "{name}_")
def test_candidates(case: Case) -> None:
    for image, found in enumerate(candidates_of(case)):
        assert torch.equal(found.labels, case.tensor(f"raw{image}_labels"))
        wanted = case.tensor(f"raw{image}_scores")
        torch.testing.assert_close(found.scores, wanted, rtol=0, atol=2e-5)
        wanted = case.tensor(f"raw{image}_bboxes")
        torch.testing.assert_close(found.boxes, wanted, rtol=0, atol=1e-3)


@pytest.mark.golden_cases("predict", "cases", "{name}_")
def test_detections(case: Case, assert_same_detections: AssertSameDetections) -> None:
    for image, candidates in enumerate(candidates_of(case)):
        found = detections_of(suppress(batch_of(candidates), settings_of(case)))
        wanted = (case.tensor(f"out{image}_{name}") for name in ("bboxes", "scores", "labels"))
        assert_same_detections(found, *wanted, box_tolerance=1e-3, score_tolerance=2e-5, swap=2e-5)


@pytest.mark.golden_cases("predict", "cases", "{name}_")
def test_suppression_class_by_class(
    case: Case, assert_same_detections: AssertSameDetections
) -> None:
    if "perclass0_dets" not in case:
        pytest.skip("this case was not run class by class")
    for image, candidates in enumerate(candidates_of(case)):
        found = detections_of(suppress(batch_of(candidates), settings_of(case)))
        dets = case.tensor(f"perclass{image}_dets")
        labels = case.tensor(f"perclass{image}_labels")
        assert_same_detections(found, dets[:, :4], dets[:, 4], labels, 1e-3, 2e-5, swap=2e-5)


# A difference: the reference lets boxes run over the right and bottom edge, ours are clipped.
@pytest.mark.golden_cases("predict", "cases", "{name}_")
def test_boxes_are_clipped_on_all_sides(case: Case) -> None:
    meta = case.meta
    boxes, _, _ = decode(case.outputs(), Settings(), tuple(meta["batch_input_shape"]))
    borders = meta["border"] or [(0, meta["batch_input_shape"][0], 0, meta["batch_input_shape"][1])]
    for image, (top, bottom, left, right) in enumerate(borders):
        height, width = int(bottom - top), int(right - left)
        view = view_at((height, width), (1.0, 1.0), (left, top))
        shift = torch.tensor([left, top]).repeat(2)
        wanted = (boxes[image] - shift).clamp_min(0)
        wanted = torch.stack(
            [wanted[:, 0::2].clamp_max(width), wanted[:, 1::2].clamp_max(height)], 2
        )
        assert torch.equal(boxes_to_original(boxes[image], view), wanted.flatten(1))
