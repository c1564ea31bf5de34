"""Non-maximum suppression within classes, hard or soft, with or without merging of boxes.

Bodla et al., "Soft-NMS: Improving Object Detection With One Line of Code", ICCV 2017. Merging is
what the original CornerNet does in its multi-scale test.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .checks import FLOATING, check_above, check_at_least, check_tensors, computation_dtype
from .formulas import box_iou, suppression_factor
from .registration import register

METHODS = ("gaussian", "linear", "hard", "none")


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    *,
    method: str,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    max_detections: int,
    merge_exponent: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Pick boxes by score, best first, lowering the scores of those of its class that it overlaps.

    A picked box multiplies the score of every other box of its class and image by a factor f of
    their overlap o (intersection over union):

    - `"gaussian"`: f = exp(-o² / sigma);
    - `"linear"`: f = 1 - o where o >= iou_threshold, else 1;
    - `"hard"`: f = 0 where o >= iou_threshold, else 1;
    - `"none"`: f = 1.

    A factor of 0 drops a box, whatever `min_score`. Of equal scores the first is picked first. A
    box with a coordinate that is NaN overlaps nothing, one whose score is NaN is left out.
    Deterministic. Not differentiable.

    With a `merge_exponent` e above 0 a picked box becomes the mean of itself, weighing its score,
    and of the boxes of its class that may still be picked, weighing theirs, before it was ever
    lowered, times (1 - f)^e. (The original weighs left and upper sides by the top-left corner's
    score and the others by the bottom-right one's; here a box has one score.)

    Computed in float32, or in float64 if boxes or scores are float64. Under autocast, arguments of
    lower precision are cast to float32.

    Args:
        boxes: [N, P, 4], floating: x1, y1, x2, y2 of P candidates in each of N images.
        scores: [N, P], floating.
        labels: [N, P], int64: the class; a negative one marks no candidate.
        method: see above.
        iou_threshold: see above.
        sigma: see above; above 0.
        min_score: a box whose score is or falls below is dropped.
        max_detections: D, how many boxes to return for each image, at least 1.
        merge_exponent: see above; at least 0, and 0 leaves boxes as they are.

    Returns:
        indices: [N, D], int64: which candidates were picked, best first; -1 where there are fewer.
        boxes: [N, D, 4], the dtype of the computation. 0 where there are fewer.
        scores: [N, D], when picked. -1 where there are fewer.

    Raises:
        ValueError: shapes or devices that do not go together, another method, a number out of
            range.
        TypeError: labels that are not int64, boxes or scores that are not floating.
    """
    limits = {"min_score": min_score, "max_detections": max_detections}
    factors = {"iou_threshold": iou_threshold, "sigma": sigma, "merge_exponent": merge_exponent}
    return _op(boxes, scores, labels, method=method, **factors, **limits)


def _check(a: Any) -> None:
    op = "soft_nms"
    check_tensors(
        op,
        boxes=(a.boxes, "N P 4", FLOATING),
        scores=(a.scores, "N P", FLOATING),
        labels=(a.labels, "N P", torch.int64),
    )
    if a.method not in METHODS:
        raise ValueError(
            f'{op}: expected method to be "gaussian", "linear", "hard" or "none", got "{a.method}"'
        )
    check_above(op, "sigma", a.sigma, 0)
    check_at_least(op, "merge_exponent", a.merge_exponent, 0)
    check_at_least(op, "max_detections", a.max_detections, 1)


def _fake(a: Any) -> tuple[Tensor, Tensor, Tensor]:
    dtype = computation_dtype(a.boxes, a.scores)
    shape = (a.boxes.shape[0], a.max_detections)
    indices, scores = a.labels.new_empty(shape), a.boxes.new_empty(shape, dtype=dtype)
    return indices, a.boxes.new_empty((*shape, 4), dtype=dtype), scores


# One step a pick, for all images at once: no step asks the device for a result, so the whole can
# be recorded and replayed. What has been picked or dropped has the score -inf.
def _reference(a: Any) -> tuple[Tensor, Tensor, Tensor]:
    indices, picked_boxes, picked_scores = results = _fake(a)
    for result, nothing in zip(results, (-1, 0, -1), strict=True):
        result.fill_(nothing)
    boxes, scores = a.boxes.to(picked_boxes.dtype), a.scores.to(picked_boxes.dtype)
    candidates = scores.shape[1]
    numbers = torch.arange(candidates, device=boxes.device)
    left = scores.where((scores >= a.min_score) & (a.labels >= 0), -torch.inf)
    for pick in range(min(a.max_detections, candidates)):
        best = left.amax(1, keepdim=True)
        index = numbers.where(left == best, candidates).amin(1, keepdim=True)
        found = best > -torch.inf
        box = boxes.gather(1, index[:, :, None].expand(-1, 1, 4))
        same = a.labels == a.labels.gather(1, index)
        overlap = box_iou(box, boxes)
        factor = suppression_factor(a.method, overlap, a.iou_threshold, a.sigma).where(same, 1)
        if a.merge_exponent > 0:
            open_ = (left > -torch.inf) & same
            weight = (scores * (1 - factor) ** a.merge_exponent).where(open_, 0)
            weight = torch.where(numbers == index, scores, weight)
            weight = weight.where(weight > 0, 0)
            total = weight.sum(1, keepdim=True)
            mean = (boxes * weight[:, :, None]).sum(1, keepdim=True) / total[:, :, None]
            box = torch.where(total[:, :, None] > 0, mean, box)
        indices[:, pick : pick + 1] = index.where(found, -1)
        picked_boxes[:, pick : pick + 1] = box.where(found[:, :, None], 0)
        picked_scores[:, pick : pick + 1] = best.where(found, -1)
        left = left * factor
        left = left.where((left >= a.min_score) & (factor > 0) & (numbers != index), -torch.inf)
    return indices, picked_boxes, picked_scores


_op, soft_nms_reference = register(
    soft_nms,
    "soft_nms(Tensor boxes, Tensor scores, Tensor labels, *, str method, float iou_threshold, "
    "float sigma, float min_score, int max_detections, float merge_exponent=0.0) -> "
    "(Tensor indices, Tensor boxes, Tensor scores)",
    check=_check,
    reference=_reference,
    fake=_fake,
    autocast_to_float32=True,
)
