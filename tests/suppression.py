"""Suppression of the boxes of one picture, with the defaults that tests like."""

from __future__ import annotations

from typing import Any

from torch import Tensor

import cornernet_ops


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    method: str = "gaussian",
    iou_threshold: float = 0.5,
    sigma: float = 0.5,
    min_score: float = 1e-3,
    max_detections: int | None = None,
    op: Any = cornernet_ops.soft_nms,
) -> tuple[Tensor, Tensor]:
    """Which boxes [n, 4] were picked, best first, and their scores when picked."""
    index, _, picked = op(
        boxes[None],
        scores[None],
        labels[None],
        method=method,
        iou_threshold=iou_threshold,
        sigma=sigma,
        min_score=min_score,
        max_detections=max_detections or max(1, len(boxes)),
    )
    found = index[0] >= 0
    return index[0][found], picked[0][found]
