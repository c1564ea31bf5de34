"""Non-maximum suppression within classes, hard or soft, with or without merging of boxes.

Bodla et al., "Soft-NMS: Improving Object Detection With One Line of Code", ICCV 2017. Merging is
what the original CornerNet does in its multi-scale test.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .checks import check_at_least, check_device, check_dtype, check_floating, check_shape
from .formulas import box_iou
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

    A picked box multiplies the score of every other box of its class and picture by a factor f of
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
        boxes: [N, P, 4], floating: x1, y1, x2, y2 of P candidates in each of N pictures.
        scores: [N, P], floating.
        labels: [N, P], int64: the class; a negative one marks no candidate.
        method: see above.
        iou_threshold: see above.
        sigma: see above; above 0.
        min_score: a box whose score is or falls below is dropped.
        max_detections: D, how many boxes to return for each picture, at least 1.
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
    return torch.ops.cornernet.soft_nms(
        boxes,
        scores,
        labels,
        method=method,
        iou_threshold=iou_threshold,
        sigma=sigma,
        min_score=min_score,
        max_detections=max_detections,
        merge_exponent=merge_exponent,
    )


def _check(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    method: str,
    sigma: float,
    max_detections: int,
    merge_exponent: float,
) -> None:
    op = "soft_nms"
    check_shape(op, "boxes", boxes, ["N", "P", 4])
    check_shape(op, "scores", scores, boxes.shape[:2])
    check_shape(op, "labels", labels, boxes.shape[:2])
    check_floating(op, "boxes", boxes)
    check_floating(op, "scores", scores)
    check_dtype(op, "labels", labels, torch.int64)
    check_device(op, "scores", scores, boxes.device)
    check_device(op, "labels", labels, boxes.device)
    if method not in METHODS:
        raise ValueError(
            f'{op}: expected method to be "gaussian", "linear", "hard" or "none", got "{method}"'
        )
    if not sigma > 0:
        raise ValueError(f"{op}: expected sigma to be above 0, got {sigma:g}")
    if not merge_exponent >= 0:
        raise ValueError(f"{op}: expected merge_exponent to be at least 0, got {merge_exponent:g}")
    check_at_least(op, "max_detections", max_detections, 1)


def _dtype(boxes: Tensor, scores: Tensor) -> torch.dtype:
    """The dtype of the computation and of the results."""
    wide = torch.float64 in (boxes.dtype, scores.dtype)
    return torch.float64 if wide else torch.float32


# One step a pick, for all pictures at once: no step asks the device for a result, so the whole can
# be recorded and replayed. What has been picked or dropped has the score -inf.
def soft_nms_reference(
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
    boxes, scores = boxes.detach(), scores.detach()
    _check(boxes, scores, labels, method, sigma, max_detections, merge_exponent)
    dtype = _dtype(boxes, scores)
    boxes, first_scores = boxes.to(dtype), scores.to(dtype)
    count, candidates = scores.shape
    picked_index = labels.new_full((count, max_detections), -1)
    picked_boxes = boxes.new_zeros((count, max_detections, 4))
    picked_scores = boxes.new_full((count, max_detections), -1)
    if candidates == 0:
        return picked_index, picked_boxes, picked_scores

    numbers = torch.arange(candidates, device=boxes.device)
    left = first_scores.where((first_scores >= min_score) & (labels >= 0), -torch.inf)
    for pick in range(min(max_detections, candidates)):
        best = left.amax(1, keepdim=True)
        index = numbers.where(left == best, candidates).amin(1, keepdim=True)
        found = best > -torch.inf
        index = index.where(found, 0)
        box = boxes.gather(1, index[:, :, None].expand(-1, 1, 4))
        same = labels == labels.gather(1, index)
        overlap = box_iou(box, boxes).where(same, 0)
        if method == "gaussian":
            factor = torch.exp(-(overlap * overlap) / sigma)
        elif method == "linear":
            factor = torch.where((overlap >= iou_threshold) & same, 1 - overlap, 1)
        elif method == "hard":
            factor = torch.where((overlap >= iou_threshold) & same, 0.0, 1.0).to(dtype)
        else:
            factor = torch.ones_like(overlap)
        if merge_exponent > 0:
            own = numbers == index
            open_ = (left > -torch.inf) & same
            weight = (first_scores * (1 - factor) ** merge_exponent).where(open_, 0)
            weight = torch.where(own, first_scores, weight)
            weight = weight.where(weight > 0, 0)
            total = weight.sum(1, keepdim=True)
            mean = (boxes * weight[:, :, None]).sum(1, keepdim=True) / total[:, :, None]
            box = torch.where(total[:, :, None] > 0, mean, box)
        picked_index[:, pick : pick + 1] = index.where(found, -1)
        picked_boxes[:, pick : pick + 1] = box.where(found[:, :, None], 0)
        picked_scores[:, pick : pick + 1] = best.where(found, -1)
        left = left * factor
        left = left.where((left >= min_score) & (factor > 0) & (numbers != index), -torch.inf)
    return picked_index, picked_boxes, picked_scores


def _fake(
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
    _check(boxes, scores, labels, method, sigma, max_detections, merge_exponent)
    dtype = _dtype(boxes, scores)
    shape = (boxes.shape[0], max_detections)
    return (
        labels.new_empty(shape),
        boxes.new_empty((*shape, 4), dtype=dtype),
        boxes.new_empty(shape, dtype=dtype),
    )


register(
    "soft_nms(Tensor boxes, Tensor scores, Tensor labels, *, str method, float iou_threshold, "
    "float sigma, float min_score, int max_detections, float merge_exponent=0.0) -> "
    "(Tensor indices, Tensor boxes, Tensor scores)",
    reference=soft_nms_reference,
    fake=_fake,
    autocast_to_float32=True,
)
