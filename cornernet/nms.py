"""Non-maximum suppression within classes, hard or soft (Bodla et al., ICCV 2017)."""

from __future__ import annotations

import torch
from torch import Tensor


def box_iou(box: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union of one box [4] with others [n, 4]; 0 where both have no area."""
    top_left = torch.maximum(box[:2], boxes[:, :2])
    bottom_right = torch.minimum(box[2:], boxes[:, 2:])
    intersection = (bottom_right - top_left).clamp_min(0).prod(1)
    area = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(1) - intersection
    return torch.where(area > 0, intersection / area, 0.0)


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    method: str = "gaussian",
    iou_threshold: float = 0.5,
    sigma: float = 0.5,
    min_score: float = 1e-3,
    max_detections: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Pick boxes by score, best first, lowering the scores of those of its class that it overlaps.

    Args:
        boxes: [n, 4] x1 y1 x2 y2.
        scores: [n]; of equal scores the first is picked first.
        labels: [n] int64; boxes of different classes leave each other alone.
        method: what happens to the score s of a box that overlaps the picked one by o:
            "gaussian" s · exp(-o² / sigma); "linear" s · (1 - o) and "hard" 0, both from
            `iou_threshold` on; "none" nothing.
        iou_threshold: see `method`.
        sigma: see `method`.
        min_score: boxes whose score is or falls below are dropped.
        max_detections: stop after this many.

    Returns:
        keep: [m] int64, which boxes were picked, in order of falling score.
        scores: [m] their scores when picked.
    """
    if method not in ("gaussian", "linear", "hard", "none"):
        raise ValueError(
            f"soft_nms: expected method gaussian, linear, hard or none, got {method!r}"
        )
    candidates = (scores >= min_score).nonzero().squeeze(1)
    boxes, remaining, labels = boxes[candidates], scores[candidates].clone(), labels[candidates]
    limit = len(candidates) if max_detections is None else min(max_detections, len(candidates))
    taken = torch.zeros_like(remaining, dtype=torch.bool)
    picked, picked_scores = [], []
    for _ in range(limit):
        score, best = remaining.max(0)
        if float(score) < min_score:
            break
        picked.append(best)
        picked_scores.append(score)
        taken[best] = True
        if method != "none":
            overlap = box_iou(boxes[best], boxes) * (labels == labels[best])
            if method == "gaussian":
                remaining *= torch.exp(-(overlap**2) / sigma)
            elif method == "linear":
                remaining *= torch.where(overlap >= iou_threshold, 1 - overlap, 1.0)
            else:
                remaining.masked_fill_(overlap >= iou_threshold, -1.0)
        # After the decay: a factor of zero would bring a box back where `min_score` is zero.
        remaining.masked_fill_(taken, -1.0)
    if not picked:
        return candidates[:0], scores[:0]
    return candidates[torch.stack(picked)], torch.stack(picked_scores)
