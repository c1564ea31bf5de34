"""Joining the candidates of an image's views, and non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cornernet.config import TestConfig
from cornernet.structures import Candidates
from cornernet_ops import soft_nms


def suppress(candidates: Candidates, config: TestConfig) -> Candidates:
    """Non-maximum suppression, the score threshold and the limit per image, on the device.

    Args:
        candidates: [N, P] of a batch.
        config: how overlapping boxes are treated.

    Returns:
        `config.max_per_image` of each image, best first.
    """
    index, boxes, scores = soft_nms(
        candidates.boxes,
        candidates.scores,
        candidates.labels,
        method=config.nms,
        iou_threshold=config.nms_iou,
        sigma=config.nms_sigma,
        min_score=max(config.nms_min_score, config.score_threshold),
        max_detections=config.max_per_image,
        merge_exponent=config.merge_exponent,
    )
    labels = candidates.labels.gather(1, index.clamp_min(0))
    return Candidates(boxes, scores, torch.where(index >= 0, labels, -1))


def merge(views: Sequence[Candidates], config: TestConfig) -> Candidates:
    """Candidates of the views of a batch to its detections; see `test.tta_merge`.

    Args:
        views: candidates of each view, [N, P] each, in pixels of the original images.
        config: how they are joined.
    """
    if config.tta_merge == "mmdet3" and len(views) > 1:
        views = [suppress(view, config) for view in views]
    joint = Candidates(*(torch.cat(tensors, 1) for tensors in zip(*views, strict=True)))
    return suppress(joint, config)
