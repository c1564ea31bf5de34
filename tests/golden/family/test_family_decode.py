"""Decoding of maps: pairs of corners, and the centres that verify them."""

from __future__ import annotations

import pytest
import torch

from cornernet.config import TestConfig as Settings
from cornernet.parts.centers.decode import center_points
from cornernet.parts.centers.structures import CenterMaps
from cornernet.parts.corners.decode import decode
from cornernet.structures import Detections
from tests.golden.cases import AssertSameDetections, Case


def settings_of(case: Case) -> Settings:
    return Settings(
        topk=case.meta["K"],
        max_pairs=case.meta["num_dets"],
        distance_threshold=case.meta["ae_threshold"],
        peak_kernel=case.meta["kernel"],
        skip_border=case.meta.get("no_border", False),
    )


@pytest.mark.family_cases("decode")
def test_boxes(case: Case, assert_same_detections: AssertSameDetections) -> None:
    outputs = case.outputs()
    height, width = outputs.tl_heat.shape[2:]
    # Of an input of the maps' size boxes come in cells.
    boxes, scores, labels = decode(outputs, settings_of(case), (height, width))
    for image, (wanted, number) in enumerate(
        zip(case.tensor("dets"), case.meta["valid"], strict=True)
    ):
        rows = wanted[:number]
        kept = labels[image] >= 0
        found = Detections(boxes[image][kept], scores[image][kept], labels[image][kept])
        assert_same_detections(
            found, rows[:, :4], rows[:, 4], rows[:, 7].long(), 1e-4, 1e-5, swap=1e-5
        )


@pytest.mark.family_cases("decode")
def test_centers(case: Case) -> None:
    if "centers" not in case:
        pytest.skip("this network has no centres")
    maps = CenterMaps(case.tensor("ct_heat"), case.tensor("ct_off"))
    height, width = maps.heat.shape[2:]
    points, scores, labels = center_points(maps, settings_of(case), (height, width))
    x, y, classes, wanted = case.tensor("centers").unbind(2)
    torch.testing.assert_close(points, torch.stack([x, y], 2), rtol=0, atol=1e-4)
    torch.testing.assert_close(scores, wanted, rtol=0, atol=1e-5)
    assert torch.equal(labels, classes.long())
